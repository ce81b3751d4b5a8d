/** Running totals over windows of process activity, and over whose flows they were. */
import type { CallSums, ProcessWindow } from "./process_window.ts";
import type { FlowAttribution, FlowWindow } from "../windows/flow_window.ts";
import type { TrafficTotal } from "../flows/totals.ts";

/** Calls of a whole run, those of them that failed, and the time that passed in them. */
export interface CallTotal {
  calls: bigint;
  errors: bigint;
  totalNs: bigint;
}

/** Everything counted since the start: `seen = counted + overflow`. */
export interface ActivityTotals {
  windows: bigint;
  seen: CallTotal;
  counted: CallTotal;
  overflow: CallTotal;
  unentered: bigint;
  passedOver: bigint;
}

function noCallTotal(): CallTotal {
  return { calls: 0n, errors: 0n, totalNs: 0n };
}

/** Totals of nothing yet. */
export function emptyActivityTotals(): ActivityTotals {
  return {
    windows: 0n,
    seen: noCallTotal(),
    counted: noCallTotal(),
    overflow: noCallTotal(),
    unentered: 0n,
    passedOver: 0n,
  };
}

function addCalls(sum: CallTotal, { calls, errors, totalNs }: CallSums): void {
  sum.calls += BigInt(calls);
  sum.errors += BigInt(errors);
  sum.totalNs += totalNs;
}

/** Adds a window to the totals, in place. */
export function addActivityWindow(totals: ActivityTotals, window: ProcessWindow): void {
  totals.windows++;
  addCalls(totals.seen, window.seen);
  addCalls(totals.counted, window.counted);
  addCalls(totals.overflow, window.overflow);
  totals.unentered += BigInt(window.unentered);
  totals.passedOver += BigInt(window.passedOver);
}

/** `seen - (counted + overflow)`: zero, or calls were lost or counted twice. */
export function activityBalance({ seen, counted, overflow }: ActivityTotals): CallTotal {
  return {
    calls: seen.calls - counted.calls - overflow.calls,
    errors: seen.errors - counted.errors - overflow.errors,
    totalNs: seen.totalNs - counted.totalNs - overflow.totalNs,
  };
}

export function isActivityBalanced(totals: ActivityTotals): boolean {
  const { calls, errors, totalNs } = activityBalance(totals);
  return calls === 0n && errors === 0n && totalNs === 0n;
}

/** Matched traffic of a whole run by whether its owner is known. */
export type AttributionTotals = Record<keyof FlowAttribution, TrafficTotal>;

export function emptyAttributionTotals(): AttributionTotals {
  const none = (): TrafficTotal => ({ packets: 0n, bytes: 0n });
  return { attributed: none(), unattributed: none(), unasked: none() };
}

/** Adds a window's, where it has one. */
export function addAttribution(totals: AttributionTotals, { attribution }: FlowWindow): void {
  if (attribution === undefined) return;
  for (const [name, { packets, bytes }] of Object.entries(attribution)) {
    const total = totals[name as keyof FlowAttribution];
    total.packets += BigInt(packets);
    total.bytes += BigInt(bytes);
  }
}

/** Share of the bytes whose owner is known, of those that were looked up; null where there were none. */
export function attributedShare({ attributed, unattributed }: FlowAttribution): number | null {
  const asked = attributed.bytes + unattributed.bytes;
  return asked > 0 ? attributed.bytes / asked : null;
}
