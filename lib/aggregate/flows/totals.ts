/** Running totals over windows, and the law they must obey: seen = flows + overflow + other. */

import { type Direction, OTHER_CLASSES, type OtherClass } from "../../wire/traffic.ts";
import type { FlowWindow, InterfaceTraffic, Traffic } from "../windows/flow_window.ts";
import { type RetransmitName, retransmitRecord } from "../windows/retransmit_counts.ts";

/** Packets, and the bytes in them, of a whole run. */
export interface TrafficTotal {
  packets: bigint;
  bytes: bigint;
}

/** Where packets went; the first member is the sum of the others. */
export interface Breakdown {
  seen: TrafficTotal;
  /** Counted in a flow. */
  flows: TrafficTotal;
  /** Of a flow that found no room in the map. */
  overflow: TrafficTotal;
  /** Of no flow at all. */
  other: Record<OtherClass, TrafficTotal>;
}

export interface InterfaceTotals extends Breakdown {
  iface: string;
  direction: Direction;
}

/** What a window has of retransmits, of a whole run. */
export type RetransmitTotals = Record<RetransmitName, bigint>;

/** Everything counted since the start. */
export interface Totals extends Breakdown {
  windows: bigint;
  /** Flows summed over the windows: a flow counts once in each window that saw it. */
  flowSummaries: bigint;
  /** What the filter accepted; all flows where there is none. */
  matched: TrafficTotal & { flowSummaries: bigint };
  /** Absent while no window has counted them. */
  retransmits?: RetransmitTotals;
  /** In the order in which they were first seen; an interface that went away stays. */
  interfaces: InterfaceTotals[];
}

/** Totals of nothing yet. */
export function emptyTotals(): Totals {
  return {
    windows: 0n,
    flowSummaries: 0n,
    matched: { flowSummaries: 0n, packets: 0n, bytes: 0n },
    interfaces: [],
    ...emptyBreakdown(),
  };
}

/** Adds a window to the totals, in place. */
export function addWindow(totals: Totals, window: FlowWindow): void {
  totals.windows++;
  totals.flowSummaries += BigInt(window.flows);
  totals.matched.flowSummaries += BigInt(window.matched.flows);
  addTraffic(totals.matched, window.matched);
  const { retransmits } = window;
  if (retransmits !== undefined) {
    const before = totals.retransmits;
    totals.retransmits = retransmitRecord((name) => (before?.[name] ?? 0n) + BigInt(retransmits[name]));
  }
  for (const traffic of window.interfaces) {
    addBreakdown(totals, traffic);
    addBreakdown(interfaceTotals(totals, traffic), traffic);
  }
}

/** `seen - (flows + overflow + other)`: zero, or packets were lost or counted twice. */
export function balance({ seen, flows, overflow, other }: Breakdown): TrafficTotal {
  const rest = {
    packets: seen.packets - flows.packets - overflow.packets,
    bytes: seen.bytes - flows.bytes - overflow.bytes,
  };
  for (const otherClass of OTHER_CLASSES) {
    rest.packets -= other[otherClass].packets;
    rest.bytes -= other[otherClass].bytes;
  }
  return rest;
}

/** Whether the law holds for each interface, so that a surplus on one cannot hide a loss on another. */
export function isBalanced(totals: Totals): boolean {
  return [totals, ...totals.interfaces].map(balance).every(({ packets, bytes }) => packets === 0n && bytes === 0n);
}

/** Sum over the classes of packets that belong to no flow. */
export function otherTotal(breakdown: Breakdown): TrafficTotal {
  const sum = emptyTraffic();
  for (const otherClass of OTHER_CLASSES) addTraffic(sum, breakdown.other[otherClass]);
  return sum;
}

function interfaceTotals(totals: Totals, { iface, direction }: InterfaceTraffic): InterfaceTotals {
  let found = totals.interfaces.find((candidate) => candidate.iface === iface && candidate.direction === direction);
  if (found === undefined) {
    found = { iface, direction, ...emptyBreakdown() };
    totals.interfaces.push(found);
  }
  return found;
}

function emptyBreakdown(): Breakdown {
  return {
    seen: emptyTraffic(),
    flows: emptyTraffic(),
    overflow: emptyTraffic(),
    other: {
      non_ip: emptyTraffic(),
      truncated: emptyTraffic(),
      malformed: emptyTraffic(),
      fragment: emptyTraffic(),
    },
  };
}

function emptyTraffic(): TrafficTotal {
  return { packets: 0n, bytes: 0n };
}

function addBreakdown(sum: Breakdown, traffic: InterfaceTraffic): void {
  addTraffic(sum.seen, traffic.seen);
  addTraffic(sum.flows, traffic.flows);
  addTraffic(sum.overflow, traffic.overflow);
  for (const otherClass of OTHER_CLASSES) addTraffic(sum.other[otherClass], traffic.other[otherClass]);
}

function addTraffic(sum: TrafficTotal, { packets, bytes }: Traffic | TrafficTotal): void {
  sum.packets += BigInt(packets);
  sum.bytes += BigInt(bytes);
}
