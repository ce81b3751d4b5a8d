/** The objects of `--json`, and how they become lines. */

import { protocolName, tcpFlagLetters } from "../net/iana.ts";
import type { AttachedInterface } from "../aggregate/flows/flow_options.ts";
import type { FlowRow, FlowWindow } from "../aggregate/windows/flow_window.ts";
import { RETRANSMIT_COUNTS } from "../aggregate/windows/retransmit_counts.ts";
import { OTHER_CLASSES, type OtherClass } from "../wire/traffic.ts";
import { type Measurement, reduction } from "../aggregate/flows/reduction.ts";
import {
  addWindow,
  type Breakdown,
  emptyTotals,
  isBalanced,
  otherTotal,
  type RetransmitTotals,
  type Totals,
  type TrafficTotal,
} from "../aggregate/flows/totals.ts";

/** When, and on which host, something was. */
export interface Stamp {
  /** Nanoseconds since the epoch. */
  unixNs: bigint;
  host: string;
}

/** A line before it is one: every object has these three, in this order. */
export type JsonObject = { type: string; time: string; host: string } & Record<string, unknown>;

/** What JSON.stringify leaves alone but terminals obey or line readers split at: DEL, C1, separators, bidi controls. */
const UNSAFE = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * One line of JSON with its newline. A bigint becomes a number while that is exact (below 2^53), else a string.
 *
 * @example
 * ```ts
 * jsonLine({ a: 1n, b: 2n ** 53n }); // '{"a":1,"b":"9007199254740992"}\n'
 * ```
 */
export function jsonLine(object: object): string {
  const json = JSON.stringify(object, (_, value) => typeof value === "bigint" ? exactNumber(value) : value);
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`) + "\n";
}

/** RFC 3339 in UTC with nanoseconds: `2026-01-02T03:04:05.000000006Z`. */
export function rfc3339(unixNs: bigint): string {
  const seconds = new Date(Number(unixNs / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(unixNs % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** `ready`: programs are attached. `listen` is where HTTP answers, or null. */
export function readyObject(
  stamp: Stamp,
  { interfaces, listen }: { interfaces: AttachedInterface[]; listen: string | null },
): JsonObject {
  return {
    ...head("ready", stamp),
    interfaces: interfaces.map(({ name, mode, egress }) => ({ name, mode, egress })),
    listen,
  };
}

/** `window`, stamped with its own end. `filtered`: a `--filter` was given, so what it matched is said too. */
export function windowObject(host: string, window: FlowWindow, filtered: boolean): JsonObject {
  const totals = emptyTotals();
  addWindow(totals, window);
  return {
    ...head("window", { unixNs: window.endUnixNs, host }),
    sequence: window.sequence,
    start_ns: window.startNs,
    end_ns: window.endNs,
    duration_ms: Number(window.endNs - window.startNs) / 1e6,
    flows: window.flows,
    capacity: window.capacity,
    ...totalsFields(totals, filtered),
    ...overflowFields(window),
    ...attributionFields(window),
    top: window.top.map(flowFields),
  };
}

/** `measure`: what a run of the command found. */
export function measureObject(stamp: Stamp, measurement: Measurement): JsonObject {
  const { ratio, rawBytesPerSecond, summaryBytesPerSecond } = reduction(measurement);
  return {
    ...head("measure", stamp),
    seconds: measurement.seconds,
    raw_events: measurement.rawEvents,
    summaries: measurement.summaries,
    reduction_ratio: ratio,
    raw_bytes_per_second: rawBytesPerSecond,
    summary_bytes_per_second: summaryBytesPerSecond,
    raw_record_bytes: measurement.rawRecordBytes,
    summary_record_bytes: measurement.summaryRecordBytes,
    overflow_packets: measurement.overflowPackets,
    seen_packets: measurement.seenPackets,
  };
}

/** `summary`: the totals of a run. `flows` counts a flow once in each window; `balanced`: every packet is accounted for. */
export function summaryObject(stamp: Stamp, totals: Totals, filtered: boolean): JsonObject {
  return {
    ...head("summary", stamp),
    windows: totals.windows,
    flows: totals.flowSummaries,
    ...totalsFields(totals, filtered),
    balanced: isBalanced(totals),
  };
}

/** `alert`: something needs attention. `fields` are the numbers behind the message. */
export function alertObject(
  stamp: Stamp,
  alert: string,
  message: string,
  fields: Record<string, unknown> = {},
): JsonObject {
  return { ...head("alert", stamp), alert, message, ...fields };
}

/** What every object begins with. */
export function head(type: string, { unixNs, host }: Stamp): JsonObject {
  return { type, time: rfc3339(unixNs), host };
}

function totalsFields(totals: Totals, filtered: boolean): Record<string, unknown> {
  const { matched } = totals;
  return {
    ...breakdownFields(totals),
    ...filtered && {
      matched_flows: matched.flowSummaries,
      matched_packets: matched.packets,
      matched_bytes: matched.bytes,
    },
    other: byClass(totals.other),
    ...totals.retransmits && retransmitFields(totals.retransmits),
    interfaces: totals.interfaces.map((traffic) => ({
      name: traffic.iface,
      direction: traffic.direction,
      ...breakdownFields(traffic),
    })),
  };
}

function breakdownFields(breakdown: Breakdown): Record<string, bigint> {
  const { seen, flows, overflow } = breakdown;
  const other = otherTotal(breakdown);
  return {
    packets: flows.packets,
    bytes: flows.bytes,
    overflow_packets: overflow.packets,
    overflow_bytes: overflow.bytes,
    other_packets: other.packets,
    other_bytes: other.bytes,
    seen_packets: seen.packets,
    seen_bytes: seen.bytes,
  };
}

/** `tcp_retransmits = attributed + unattributed + overflow`; the others are of other namespaces. */
function retransmitFields(retransmits: RetransmitTotals): Record<string, bigint> {
  return Object.fromEntries(RETRANSMIT_COUNTS.map(([name, { json }]) => [json, retransmits[name]]));
}

function byClass(other: Record<OtherClass, TrafficTotal>): Record<string, TrafficTotal> {
  return Object.fromEntries(OTHER_CLASSES.map((otherClass) => [otherClass, other[otherClass]]));
}

type FlowEnds = Pick<FlowRow, "iface" | "direction" | "src" | "dst" | "sport" | "dport" | "proto" | "tcpFlags">;

interface CommonFlow extends FlowEnds {
  packets: number | bigint;
  bytes: number | bigint;
}

/** What is said of every flow, whether a window or the history has it. */
export function commonFlowFields(flow: CommonFlow): Record<string, string | number | bigint> {
  return {
    iface: flow.iface,
    direction: flow.direction,
    src: flow.src,
    dst: flow.dst,
    sport: flow.sport,
    dport: flow.dport,
    proto: protocolName(flow.proto),
    packets: flow.packets,
    bytes: flow.bytes,
    tcp_flags: tcpFlagLetters(flow.tcpFlags),
  };
}

function flowFields(flow: FlowRow): Record<string, unknown> {
  return {
    ...commonFlowFields(flow),
    ...flow.retransmits !== undefined && { retransmits: flow.retransmits },
    first_seen_ns: flow.firstSeenNs,
    last_seen_ns: flow.lastSeenNs,
    ...flow.pid !== undefined && { pid: flow.pid },
    ...flow.comm !== undefined && { comm: flow.comm },
    ...flow.exe && { exe: flow.exe },
    ...flow.container && { container: flow.container },
    ...flow.podUid && { pod: flow.podUid },
    ...estimateFields(flow),
  };
}

/** Of what estimates are in: the numbers beside these are the least, and at most so many more. Nothing where it is exact. */
export function estimateFields(
  { errorPackets, errorBytes }: { errorPackets?: number | bigint; errorBytes?: number | bigint },
): { estimate?: true; error_packets?: number | bigint; error_bytes?: number | bigint } {
  return errorPackets === undefined ? {} : { estimate: true, error_packets: errorPackets, error_bytes: errorBytes };
}

/** Where the overflow came from, exactly: the networks, of which the largest are named, and the rest add up to it. */
function overflowFields({ overflow }: FlowWindow): Record<string, unknown> {
  if (overflow === undefined) return {};
  const { prefixes, prefixCount, rest } = overflow;
  return {
    overflow_prefixes: prefixes.map(({ iface, direction, prefix, packets, bytes }) => ({
      iface,
      direction,
      prefix,
      packets,
      bytes,
    })),
    overflow_prefix_count: prefixCount,
    overflow_rest_packets: rest.packets,
    overflow_rest_bytes: rest.bytes,
  };
}

/** How much of the matched traffic has an owner; nothing where owners are not looked for. */
function attributionFields({ attribution }: FlowWindow): Record<string, number> {
  if (attribution === undefined) return {};
  const { attributed, unattributed, unasked } = attribution;
  return {
    attributed_bytes: attributed.bytes,
    unattributed_bytes: unattributed.bytes,
    unasked_bytes: unasked.bytes,
  };
}

function exactNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
