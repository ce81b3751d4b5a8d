/** Says when a packet of a capture is due, so that a replay takes as long as the capture did, or a fraction of that. */
export class Pace {
  readonly #speed: number;
  readonly #nowMs: () => number;
  #first: { timeNs: bigint; atMs: number } | null = null;

  /** @param speed 1 for real time, 2 for twice as fast; 0 for without waiting */
  constructor(speed: number, nowMs: () => number = () => performance.now()) {
    this.#speed = speed;
    this.#nowMs = nowMs;
  }

  /** Milliseconds until the packet captured at `timeNs` is due; 0 or less when it is due now. */
  waitMs(timeNs: bigint): number {
    if (this.#speed === 0) return 0;
    this.#first ??= { timeNs, atMs: this.#nowMs() };
    return this.#first.atMs + Number(timeNs - this.#first.timeNs) / 1e6 / this.#speed - this.#nowMs();
  }
}
