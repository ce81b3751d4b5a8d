/**
 * Decides when a ring gets another size. It doubles, up to a limit, as soon as it dropped records or was nearly full.
 * It halves, down to the size that was asked for, only after a long quiet time, so that sizes do not swing.
 */

/** Fill at a wakeup above which a ring is nearly full. */
const HIGH_FILL = 0.75;
/** A ring that stays below this fill could be smaller. */
const LOW_FILL = 0.125;
/** Calls of `next` for which a ring has to stay below LOW_FILL before it shrinks. */
const QUIET_TICKS = 30;

export class RingSize {
  readonly #bytesMin: number;
  readonly #bytesMax: number;
  #bytes: number;
  #peakFill = 0;
  #quietTicks = 0;
  #dropped = 0n;

  constructor(bytesMin: number, bytesMax: number) {
    this.#bytesMin = bytesMin;
    this.#bytesMax = Math.max(bytesMin, bytesMax);
    this.#bytes = bytesMin;
  }

  /** Notes how full the ring is before it is read. */
  observe(fill: number): void {
    this.#peakFill = Math.max(this.#peakFill, fill);
  }

  /**
   * Decides the size; called once for each health report.
   *
   * @param dropped total since the start, of records that found this ring full
   * @returns the size it should have from now on
   */
  next(dropped: bigint): number {
    const isTight = dropped > this.#dropped || this.#peakFill > HIGH_FILL;
    this.#quietTicks = isTight || this.#peakFill > LOW_FILL ? 0 : this.#quietTicks + 1;
    this.#dropped = dropped;
    this.#peakFill = 0;
    if (isTight) this.#bytes = Math.min(this.#bytes * 2, this.#bytesMax);
    if (this.#quietTicks >= QUIET_TICKS && this.#bytes > this.#bytesMin) {
      this.#bytes = Math.max(this.#bytes / 2, this.#bytesMin);
      this.#quietTicks = 0;
    }
    return this.#bytes;
  }
}
