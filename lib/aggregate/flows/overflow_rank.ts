/** The largest flows of a window, whether they found room or not. */
import type { FlowOrder, FlowRow, FlowWindow } from "../windows/flow_window.ts";
import { compareTraffic } from "./top_flows.ts";

/**
 * Flows that were counted, which are exact, and those that are estimated, ranked together: an estimate by the least that
 * it had. Where they are equal the exact one comes first.
 */
export function largestFlows(
  { top, overflow }: Pick<FlowWindow, "top" | "overflow">,
  order: FlowOrder,
  rowsMax: number,
): FlowRow[] {
  if (overflow === undefined || overflow.estimates.length === 0) return top.slice(0, rowsMax);
  return [...top, ...overflow.estimates].sort((a, b) => compareTraffic(order, b, a)).slice(0, rowsMax);
}
