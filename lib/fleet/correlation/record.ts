/** What can be asked of any record. */
import { SEVERITIES, type Severity } from "../../events/event.ts";
import type { EventMatch, FleetEvent, FleetFlow, FleetRecord } from "./correlated_group.ts";

const NS_PER_US = 1_000n;

/** A record and its time as a number: microseconds since the epoch stay exact below 2^53 until the year 2255. */
export interface Timed<Kind extends FleetRecord = FleetRecord> {
  timeUs: number;
  record: Kind;
  /** It waits for the comparison of hosts and nothing else. */
  alone?: true;
}

export function isFlow(record: FleetRecord): record is FleetFlow {
  return "flow" in record;
}

/** The severity of the batch that its agent sent it in. Windows are sent as information. */
export function severityOf(record: FleetRecord): Severity {
  return isFlow(record) ? "info" : record.event.severity;
}

/** When its agent could send it. */
export function madeUnixNsOf(record: FleetRecord): bigint {
  return isFlow(record) ? record.endUnixNs : record.unixNs;
}

/** When the record was complete. */
export function unixNsOf(record: FleetRecord): bigint {
  return isFlow(record) ? record.bootUnixNs + record.flow.lastSeenNs : record.unixNs;
}

/** When what the record stands for began. */
export function startUnixNsOf(record: FleetRecord): bigint {
  if (isFlow(record)) return record.bootUnixNs + record.flow.firstSeenNs;
  const { firstNs, tsNs } = record.event;
  return record.unixNs - (tsNs > firstNs ? tsNs - firstNs : 0n);
}

export function toUs(unixNs: bigint): number {
  return Number(unixNs / NS_PER_US);
}

/** By time, then agent, then sequence: the same for everybody who has the same records. */
export function isBefore(left: Timed, right: Timed): boolean {
  if (left.timeUs !== right.timeUs) return left.timeUs < right.timeUs;
  const [leftNs, rightNs] = [unixNsOf(left.record), unixNsOf(right.record)];
  if (leftNs !== rightNs) return leftNs < rightNs;
  if (left.record.agent !== right.record.agent) return left.record.agent < right.record.agent;
  return left.record.sequence < right.record.sequence;
}

/** How many events a record stands for: those sampled out and the repeats held back included. */
export function eventsIn({ event }: FleetEvent): number {
  return Math.max(1, event.weight) * Math.max(1, event.repeats);
}

/** Whether all conditions hold. */
export function matches(match: EventMatch, { event }: FleetEvent): boolean {
  if (match.event !== undefined && event.event !== match.event) return false;
  if (match.uid !== undefined && event.uid !== match.uid) return false;
  if (match.comm !== undefined && event.comm !== match.comm) return false;
  // 0 is success, whatever the call returned: an open returns a descriptor.
  if (match.result !== undefined && Math.min(0, event.result) !== match.result) return false;
  if (match.severity !== undefined && SEVERITIES.indexOf(event.severity) > SEVERITIES.indexOf(match.severity)) {
    return false;
  }
  const { pathPrefix, port, kinds, signal } = match;
  if (pathPrefix !== undefined) {
    const path = event.event === "process_exec" ? event.filename : event.event === "file_open" ? event.path : null;
    if (path === null || !path.startsWith(pathPrefix)) return false;
  }
  if (port !== undefined) {
    const own = event.event === "network_connect" ? event.port : event.event === "tcp_state" ? event.dport : null;
    if (own !== port) return false;
  }
  if (kinds !== undefined && !("kind" in event && kinds.includes(event.kind))) return false;
  return signal === undefined || event.event === "process_exit" && event.signal === signal;
}
