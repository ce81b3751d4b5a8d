/** Waking those who wait in other workers: a word in shared memory that counts how often somebody rang. */

/** Long enough never to matter. */
const KEEP_ALIVE_MS = 2 ** 30;

export class Doorbell {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #index: number;

  constructor(words: Int32Array<SharedArrayBuffer>, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** Changes with each ring. */
  get value(): number {
    return Atomics.load(this.#words, this.#index);
  }

  /** Wakes all who wait: one of them may belong to a worker that is about to end, and would take a single wakeup along. */
  ring(): void {
    Atomics.add(this.#words, this.#index, 1);
    Atomics.notify(this.#words, this.#index);
  }

  /**
   * Looks at `ready` now and after each ring. What makes it true must happen before the ring.
   *
   * @returns false after `timeoutMs` without it
   */
  async until(ready: () => boolean, timeoutMs: number): Promise<boolean> {
    if (ready()) return true;
    const deadlineMs = performance.now() + timeoutMs;
    // A pending waitAsync alone does not keep Deno's event loop going.
    const keepAlive = setInterval(() => {}, KEEP_ALIVE_MS);
    try {
      for (;;) {
        const heard = this.value;
        if (ready()) return true;
        const leftMs = deadlineMs - performance.now();
        if (leftMs <= 0) return false;
        const waiting = Atomics.waitAsync(this.#words, this.#index, heard, leftMs);
        if (waiting.async) await waiting.value;
      }
    } finally {
      clearInterval(keepAlive);
    }
  }
}
