/** What follows from the counters of the rings. */

import type { RingCounters } from "./router_messages.ts";

/** Times that a program wanted room in this ring; what spilled is an attempt of the ring that took it. */
export function attempts(
  { submitted, dropped, failures }: Pick<RingCounters, "submitted" | "dropped" | "failures">,
): bigint {
  return submitted + dropped + failures;
}

/** Dropped per attempt, 0 to 1. */
export function dropRate(counters: Pick<RingCounters, "submitted" | "dropped" | "failures">): number {
  const all = attempts(counters);
  return all === 0n ? 0 : Number(counters.dropped) / Number(all);
}
