/**
 * Events a second over the last 1, 10 and 60 seconds, from counts that come tick by tick. The events of a tick are
 * spread evenly over the time since the tick before, so that late ticks and gaps do not distort a rate.
 */

const NS_PER_SECOND = 1e9;
/** Ticks that are closer to each other become one, which bounds the memory. */
const TICK_MIN_NS = 0.1 * NS_PER_SECOND;
const WINDOW_MAX_SECONDS = 60;

/** Events a second over 1, 10 and 60 seconds; over the time since the start, where that is shorter. */
export interface EventRates {
  s1: number;
  s10: number;
  s60: number;
}

/** The total of events at a time. */
interface Mark {
  atNs: number;
  total: number;
}

export class Rates {
  readonly #nowNs: () => number;
  /** In order of time. The first mark may be older than the longest window, to interpolate from. */
  readonly #marks: Mark[];

  /** @param nowNs a clock that never goes back; nanoseconds */
  constructor(nowNs: () => number) {
    this.#nowNs = nowNs;
    this.#marks = [{ atNs: nowNs(), total: 0 }];
  }

  /** @param count events since the last tick */
  tick(count: number): void {
    const atNs = this.#nowNs();
    const marks = this.#marks;
    const last = marks[marks.length - 1];
    const total = last.total + count;
    if (marks.length > 1 && atNs - marks[marks.length - 2].atNs < TICK_MIN_NS) {
      last.atNs = atNs;
      last.total = total;
    } else {
      marks.push({ atNs, total });
    }
    const oldestNs = atNs - WINDOW_MAX_SECONDS * NS_PER_SECOND;
    while (marks.length > 1 && marks[1].atNs <= oldestNs) marks.shift();
  }

  rates(): EventRates {
    const nowNs = this.#nowNs();
    return { s1: this.#over(1, nowNs), s10: this.#over(10, nowNs), s60: this.#over(60, nowNs) };
  }

  #over(seconds: number, nowNs: number): number {
    const marks = this.#marks;
    const startNs = Math.max(nowNs - seconds * NS_PER_SECOND, marks[0].atNs);
    if (nowNs <= startNs) return 0;
    const counted = marks[marks.length - 1].total - this.#totalAt(startNs);
    return counted / ((nowNs - startNs) / NS_PER_SECOND);
  }

  /** The total at a time: between two marks it grows evenly, after the last one it stays the same. */
  #totalAt(atNs: number): number {
    const after = this.#marks.findIndex((mark) => mark.atNs > atNs);
    if (after < 0) return this.#marks[this.#marks.length - 1].total;
    const [from, to] = [this.#marks[after - 1], this.#marks[after]];
    return from.total + (to.total - from.total) * (atNs - from.atNs) / (to.atNs - from.atNs);
  }
}
