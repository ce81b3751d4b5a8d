/** Rates that follow from the counters of a ring. */
import type { RingCounters } from "./router_messages.ts";

/** How often a program wanted room in this ring. A spilled record is an attempt at the ring that took it. */
export function attempts(
  { submitted, dropped, failures }: Pick<RingCounters, "submitted" | "dropped" | "failures">,
): bigint {
  return submitted + dropped + failures;
}

/** Share of the attempts that were dropped, 0 to 1; 0 without attempts. */
export function dropRate(counters: Pick<RingCounters, "submitted" | "dropped" | "failures">): number {
  const all = attempts(counters);
  return all === 0n ? 0 : Number(counters.dropped) / Number(all);
}
