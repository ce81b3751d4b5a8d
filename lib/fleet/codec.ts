/**
 * Conversion between this program's types and the messages of lib/fleet/proto/ebpfmon.proto. Numbers of 64 bits cross
 * the wire exactly. Values of newer peers that this version does not know are decoded as null.
 */

import type * as proto from "./proto/ebpfmon.gen.ts";
import { EVENT_TYPES, SEVERITIES, type Severity } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";
import type { FleetAlert } from "./fleet_alert.ts";
import type { FleetFilter } from "./fleet_filter.ts";

// Numbers on the wire are one more than places in the lists: 0 stands for unspecified.

export function severityNumber(severity: Severity): number {
  return SEVERITIES.indexOf(severity) + 1;
}

/** @returns null for a number that this version does not know */
export function severityOf(number: number): Severity | null {
  return SEVERITIES[number - 1] ?? null;
}

export function encodeHealth(health: HealthReport): proto.Health {
  return {
    unixNs: health.unixNs,
    rings: health.rings.map((ring) => ({
      ring: ring.ring,
      submitted: ring.submitted,
      dropped: ring.dropped,
      failures: ring.failures,
      spilled: ring.spilled,
      consumed: ring.consumed,
      fill: ring.fill,
      capacityBytes: BigInt(ring.capacityBytes),
    })),
    droppedByType: health.droppedByType.map(({ event, count }) => ({ type: EVENT_TYPES.indexOf(event) + 1, count })),
    rateLimited: health.rateLimited,
    rateLimitedByPid: health.rateLimitedByPid.map(({ pid, count }) => ({ pid, count })),
    sampledOut: health.sampledOut,
    repeatsSuppressed: health.repeatsSuppressed,
    filtered: health.filtered,
    notices: health.notices ?? [],
  };
}

export function encodeAlert({ alert, level, message, fields, unixNs }: FleetAlert): proto.Alert {
  const exact = (_: string, value: unknown) =>
    typeof value !== "bigint" ? value : Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return { alert, level, message, fieldsJson: JSON.stringify(fields, exact), unixNs };
}

/** Decodes an alert; its fields are empty where they are not a JSON object. */
export function decodeAlert(message: proto.Alert): FleetAlert {
  return {
    alert: message.alert,
    level: message.level === "error" ? "error" : "warning",
    message: message.message,
    fields: parseObject(message.fieldsJson),
    unixNs: message.unixNs,
  };
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

export function encodeFilter(filter: FleetFilter): proto.FilterUpdate {
  return {
    generation: BigInt(filter.generation),
    events: filter.events.map((event) => EVENT_TYPES.indexOf(event) + 1),
    severity: filter.severity === null ? 0 : severityNumber(filter.severity),
    nets: filter.nets,
    debugSampling: filter.debugSampling,
  };
}

/** Decodes a filter, without the event types that this version does not know: it has no such events to send. */
export function decodeFilter(message: proto.FilterUpdate): FleetFilter {
  return {
    generation: Number(message.generation),
    events: message.events.map((number) => EVENT_TYPES[number - 1]).filter((event) => event !== undefined),
    severity: severityOf(message.severity),
    nets: message.nets,
    debugSampling: Math.max(1, message.debugSampling),
  };
}

/** The place of a batch among those of its severity. */
export interface Position {
  severity: Severity;
  sequence: number;
}

export function encodePosition({ severity, sequence }: Position): proto.LanePosition {
  return { lane: severityNumber(severity), sequence: BigInt(sequence) };
}

/** Decodes positions, without those of severities that this version does not know. */
export function decodePositions(messages: proto.LanePosition[]): Position[] {
  return messages.flatMap(({ lane, sequence }) => {
    const severity = severityOf(lane);
    return severity === null ? [] : [{ severity, sequence: Number(sequence) }];
  });
}
