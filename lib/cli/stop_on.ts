/** What ends a run from outside: a signal, or its duration once it has begun. */
export class StopOn implements Disposable {
  readonly #signal: AbortSignal;
  readonly #stop: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param stop called when the signal is aborted, at once where it already is; must bear more than one call */
  constructor(signal: AbortSignal, stop: () => void) {
    this.#signal = signal;
    this.#stop = stop;
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  }

  /** Calls `stop` after a time. @param durationMs from now; null for no limit */
  after(durationMs: number | null): void {
    if (durationMs !== null) this.#timer = setTimeout(this.#stop, durationMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#stop);
  }
}

/** `--duration` in milliseconds; null: until a signal. */
export function durationMs(durationSeconds: number | null): number | null {
  return durationSeconds === null ? null : durationSeconds * 1000;
}
