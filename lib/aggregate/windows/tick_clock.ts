/**
 * Turns the timer ticks that flows carry into CLOCK_MONOTONIC. The kernel counts ticks on that same clock, so one offset
 * holds for as long as the machine runs; what is not known from user space is the tick's length, which is measured.
 */

import type { ClockSample } from "../../wire/records.ts";

/** Lengths that kernels are built with: CONFIG_HZ 100, 250, 300, 1000, and Alpha's and Arm's others. */
const TICK_HZ = [100n, 128n, 200n, 250n, 256n, 300n, 500n, 512n, 1000n, 1024n, 1200n];
const NS_PER_S = 1_000_000_000n;
/** Below this many ticks between two samples the rates above cannot be told apart; nor does it matter then. */
const TICKS_MIN = 20n;

export class TickClock {
  readonly #first: ClockSample;
  #tickNs = NS_PER_S / 250n;
  #last: ClockSample;

  constructor(first: ClockSample) {
    this.#first = first;
    this.#last = first;
  }

  /** Takes a later sample; the further from the first one, the surer the tick's length. */
  addSample(sample: ClockSample): void {
    this.#last = sample;
    const ticks = sample.jiffies - this.#first.jiffies;
    if (ticks < TICKS_MIN) return;
    const hz = ticks * NS_PER_S / (sample.monotonicNs - this.#first.monotonicNs);
    const distance = (candidate: bigint) => candidate > hz ? candidate - hz : hz - candidate;
    const nearest = TICK_HZ.reduce((best, candidate) => distance(candidate) < distance(best) ? candidate : best);
    this.#tickNs = NS_PER_S / nearest;
  }

  /** Length of a tick, nanoseconds: the error that `toNs` may have, early. */
  get tickNs(): bigint {
    return this.#tickNs;
  }

  /** When the tick began, or up to one tick later. */
  toNs(jiffies: bigint): bigint {
    return this.#last.monotonicNs - (this.#last.jiffies - jiffies) * this.#tickNs;
  }
}
