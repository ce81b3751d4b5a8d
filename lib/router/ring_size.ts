/**
 * When a ring is replaced by another size. Larger at once when it dropped or was nearly full, up to a limit; smaller,
 * down to what was asked for, only after a long quiet time, so that sizes do not swing.
 */

/** Fill at a wakeup above which a ring is nearly full. */
const HIGH_FILL = 0.75;
/** Below this at every read a larger ring is not needed. */
const LOW_FILL = 0.125;
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
   * At each health tick.
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
