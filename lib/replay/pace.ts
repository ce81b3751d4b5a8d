/** When a packet of a capture is due, if time is to pass as it did then. */
export class Pace {
  readonly #speed: number;
  readonly #nowMs: () => number;
  #first: { timeNs: bigint; atMs: number } | null = null;

  /** @param speed 1 for real time, 2 for twice as fast; 0 for at once */
  constructor(speed: number, nowMs: () => number = () => performance.now()) {
    this.#speed = speed;
    this.#nowMs = nowMs;
  }

  /** Milliseconds until a packet of that time is due; 0 or less: now. */
  waitMs(timeNs: bigint): number {
    if (this.#speed === 0) return 0;
    this.#first ??= { timeNs, atMs: this.#nowMs() };
    return this.#first.atMs + Number(timeNs - this.#first.timeNs) / 1e6 / this.#speed - this.#nowMs();
  }
}
