/** Waits between attempts: exponential, with full jitter, so that a thousand hosts do not come back in one instant. */
export interface BackoffOptions {
  firstMs: number;
  maxMs: number;
  /** From 0 up to 1. */
  random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #failures = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How long to wait after one more failure: anything up to a bound that doubles each time. */
  next(): number {
    const { firstMs, maxMs, random = Math.random } = this.#options;
    const bound = Math.min(maxMs, firstMs * 2 ** this.#failures);
    this.#failures++;
    return random() * bound;
  }

  /** It worked. */
  reset(): void {
    this.#failures = 0;
  }
}
