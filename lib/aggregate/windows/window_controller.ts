/**
 * How long the next window is to be, with `--window auto`: as long as the flow maps have room for, because a longer
 * window says the same in fewer records and drains less often, and no longer than 10 s. Pure: a step a window.
 *
 * It cannot oscillate under steady load: a window is lengthened only where flows in proportion to its length would stay
 * clear of the fill at which it is shortened, and distinct flows never grow faster than time.
 */

/** The lengths there are, in milliseconds. */
export const WINDOW_RUNGS_MS: readonly number[] = [250, 500, 1_000, 2_000, 5_000, 10_000];
const START_RUNG = 2;

/** Above this share of the map the next window is shorter. */
const FILL_MAX = 0.8;
/** A longer window must be expected to fill less than this. */
const FILL_AIM = 0.4;
/** As much may be expected where draining takes too long a share of the time. */
const FILL_AIM_BUSY = 0.7;
/** Above this share of a window spent on draining, longer ones are wanted. */
const DRAIN_MAX = 0.1;
/** Shorter windows must not spend more than this. */
const DRAIN_LIMIT = 0.5;
/** Windows in a row that must agree before one is lengthened. */
const PATIENCE_WINDOWS = 3;

/** What a window was like. */
export interface WindowLoad {
  /** Its true length. */
  durationMs: number;
  /** Of the map that is fuller, IPv4's or IPv6's: flows over room. */
  fill: number;
  /** Whether a flow found no room. */
  overflowed: boolean;
  /** Swapping and draining it. */
  drainMs: number;
}

export class WindowController {
  #rung = START_RUNG;
  #agreeing = 0;

  /** Length of the next window. */
  get windowMs(): number {
    return WINDOW_RUNGS_MS[this.#rung];
  }

  /** Takes the window that has ended. @returns the length of the one that has begun */
  observe(load: WindowLoad): number {
    const shorterMs = WINDOW_RUNGS_MS[this.#rung - 1];
    const longerMs = WINDOW_RUNGS_MS[this.#rung + 1];
    if (load.overflowed || load.fill > FILL_MAX) {
      this.#agreeing = 0;
      if (shorterMs !== undefined && load.drainMs <= DRAIN_LIMIT * shorterMs) this.#rung--;
    } else if (longerMs !== undefined && this.#hasRoom(load, longerMs)) {
      this.#agreeing++;
      if (this.#agreeing >= PATIENCE_WINDOWS) {
        this.#agreeing = 0;
        this.#rung++;
      }
    } else {
      this.#agreeing = 0;
    }
    return this.windowMs;
  }

  #hasRoom({ fill, durationMs, drainMs }: WindowLoad, longerMs: number): boolean {
    // The first and the last window, and one after a long drain, have lengths of their own.
    const expectedFill = fill * Math.max(1, longerMs / durationMs);
    return expectedFill < (drainMs > DRAIN_MAX * this.windowMs ? FILL_AIM_BUSY : FILL_AIM);
  }
}
