/** A doorbell wakes waiting workers: a word in shared memory that counts the rings. */

/** Interval of a timer whose only task is to exist. */
const KEEP_ALIVE_MS = 2 ** 30;

export class Doorbell {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #index: number;

  constructor(words: Int32Array<SharedArrayBuffer>, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** Number of rings so far, modulo 2^32. */
  get value(): number {
    return Atomics.load(this.#words, this.#index);
  }

  /** Wakes all waiting workers. A single one could be about to end, and the wakeup would be lost with it. */
  ring(): void {
    Atomics.add(this.#words, this.#index, 1);
    Atomics.notify(this.#words, this.#index);
  }

  /**
   * Waits until `ready` returns true: it is asked now and after each ring. What makes it true must happen before the
   * ring.
   *
   * @returns false when `ready` has not become true within `timeoutMs`
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
