/** Sums of calls: how they add up, rank and balance. */
import { DURATION_BUCKETS } from "./process_histogram.ts";
import type { Activity, CallSums, ProcessSums } from "./process_window.ts";
import type { ActivityOrder } from "./activity_options.ts";

/** Sums of no call yet. */
export function noCalls(): CallSums {
  return { calls: 0, errors: 0, totalNs: 0n };
}

/** The activity of no call yet. */
export function noActivity(): Activity {
  return {
    ...noCalls(),
    bytesIn: 0,
    bytesOut: 0,
    minNs: null,
    maxNs: null,
    histogram: new Array(DURATION_BUCKETS).fill(0),
  };
}

/** Adds up, in place. */
export function addCalls(sum: CallSums, calls: CallSums): void {
  sum.calls += calls.calls;
  sum.errors += calls.errors;
  sum.totalNs += calls.totalNs;
}

/** Adds up, in place; of the durations it keeps the shortest and the longest. */
export function addActivity(sum: Activity, activity: Activity): void {
  addCalls(sum, activity);
  sum.bytesIn += activity.bytesIn;
  sum.bytesOut += activity.bytesOut;
  const { minNs, maxNs, histogram } = activity;
  if (minNs === null || maxNs === null) return;
  if (sum.minNs === null || minNs < sum.minNs) sum.minNs = minNs;
  if (sum.maxNs === null || maxNs > sum.maxNs) sum.maxNs = maxNs;
  for (let bucket = 0; bucket < DURATION_BUCKETS; bucket++) sum.histogram[bucket] += histogram[bucket];
}

/** What rows are ranked by. */
export type Ranked = CallSums & Pick<Activity, "bytesIn" | "bytesOut">;

/** Compares two rows for a sort, the largest first. Rows that are equal in `order` are compared by calls, time and errors. */
export function compareActivity(order: ActivityOrder, a: Ranked, b: Ranked): number {
  const byTime = a.totalNs < b.totalNs ? 1 : a.totalNs > b.totalNs ? -1 : 0;
  const byCalls = b.calls - a.calls;
  const byErrors = b.errors - a.errors;
  switch (order) {
    case "calls":
      return byCalls || byTime || byErrors;
    case "time":
      return byTime || byCalls || byErrors;
    case "errors":
      return byErrors || byCalls || byTime;
    case "bytes":
      return b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut || byCalls || byTime;
    case "in":
      return b.bytesIn - a.bytesIn || byCalls || byTime;
    case "out":
      return b.bytesOut - a.bytesOut || byCalls || byTime;
    default:
      return order satisfies never;
  }
}

/** `seen - (counted + overflow)`: zero, or calls were lost or counted twice. */
export function processBalance({ seen, counted, overflow }: ProcessSums): CallSums {
  return {
    calls: seen.calls - counted.calls - overflow.calls,
    errors: seen.errors - counted.errors - overflow.errors,
    totalNs: seen.totalNs - counted.totalNs - overflow.totalNs,
  };
}
