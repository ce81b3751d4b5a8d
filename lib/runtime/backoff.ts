/**
 * Waits between attempts: exponential back-off with full jitter, so that a thousand hosts do not return at the same
 * time.
 *
 * Source: M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
 */
export interface BackoffOptions {
  firstMs: number;
  maxMs: number;
  /** Returns a number from 0 up to, and without, 1. */
  random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /**
   * Notes one more failure. @returns milliseconds to wait: a random time below a bound that doubles with each failure
   */
  next(): number {
    const { firstMs, maxMs, random = Math.random } = this.#options;
    const bound = Math.min(maxMs, firstMs * 2 ** this.#failures);
    this.#failures++;
    return random() * bound;
  }

  /** Notes a success: the next failure begins at the first bound again. */
  reset(): void {
    this.#failures = 0;
  }
}
