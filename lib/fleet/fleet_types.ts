/**
 * What agents and servers of a fleet agree on, beside the messages of lib/fleet/proto/ebpfmon.proto. Types, names and limits
 * only.
 */
import { type RouterEvent, SEVERITIES, type Severity } from "../events/event.ts";

/** A batch has one severity, and each severity sequences of its own: what is urgent overtakes what is not. */
export const LANES = SEVERITIES;
export type Lane = Severity;

/** A number for every lane. */
export type ByLane = Record<Lane, number>;

/** @returns the same number for every lane */
export function byLane(value: number): ByLane {
  return { critical: value, error: value, warning: value, info: value, debug: value };
}

/** Events of a batch, or rows of its windows. Every record of a lane has a number: `recordNumber`. */
export const BATCH_RECORDS_MAX = 1000;

const RECORD_SLOTS = 1024;

/**
 * A number that an agent gives to no other record: made of the batch's sequence, its lane, and the place in it. Exact
 * up to sequence 1.7e12, almost four times where a spool begins today.
 */
export function recordNumber(lane: Lane, sequence: number, index: number): number {
  return (sequence * LANES.length + LANES.indexOf(lane)) * RECORD_SLOTS + index;
}

/**
 * Where a new spool begins: beyond what an agent that lost its spool has used, as long as it made fewer than 256
 * batches a second and lane on the average.
 */
export function firstSequence(unixMs: number): number {
  return Math.floor(unixMs * 0.256);
}

/** What an agent knows of an event's process beyond the event itself; what it does not know is absent. */
export interface EventEnrichment {
  /** Path of the program. */
  exe?: string;
  /** The parent process, when the event happened. */
  ppid?: number;
  parentName?: string;
  user?: string;
  containerId?: string;
  podUid?: string;
  service?: string;
  category?: string;
  /** 1 is looked at first, 3 is what may be left out. */
  priority?: number;
}

export interface EnrichedEvent {
  event: RouterEvent;
  enrichment?: EventEnrichment;
}

/** An alert, as far as it crosses the wire. */
export interface FleetAlert {
  alert: string;
  level: "error" | "warning";
  message: string;
  /** The numbers behind the message, named as in JSON; bigints become strings where they are not exact as numbers. */
  fields: Record<string, unknown>;
  unixNs: bigint;
}

/** Who sends: constant over an agent's run. */
export interface AgentIdentity {
  agentId: string;
  host: string;
  version: string;
  bootId: string;
  semantic: boolean;
  raw: boolean;
}

/** What a server wants of its agents; it replaces the filter before it. */
export interface FleetFilter {
  generation: number;
  /** Empty for all. */
  events: RouterEvent["event"][];
  /** This one and what is more severe; null for all. */
  severity: Severity | null;
  /** Prefixes as in `192.0.2.0/24`; empty for all. */
  nets: string[];
  /** One debug event in this many. */
  debugSampling: number;
}
