/** Messages between the main thread and the worker that owns the fleet's store. Types only. */
import type { Direction } from "../../wire/traffic.ts";
import type { BySeverity } from "../by_severity.ts";
import type { FleetAlert } from "../fleet_alert.ts";
import type { Severity } from "../../events/event.ts";
import type { WorkerFailure } from "../../runtime/worker_handle.ts";
import type { BatchSource } from "../received_batch.ts";

export interface FleetStoreOptions {
  path: string;
  /** The most bytes of batches, flows and groups together; the oldest batches are evicted first. */
  bytesMax: number;
  /** The most rows of flows; the oldest minutes are evicted first. */
  flowRowsMax: number;
  groupsMax: number;
}

/** A flow of one host in one minute. */
export interface MinuteFlow {
  /** Minutes since the epoch. */
  minute: number;
  iface: string;
  direction: Direction;
  src: string;
  dst: string;
  sport: number;
  dport: number;
  proto: number;
  packets: number;
  bytes: number;
}

/** A batch to be stored. */
export interface NewBatch {
  source: BatchSource;
  severity: Severity;
  sequence: number;
  events: number;
  receivedUnixMs: number;
  /** The encoded message `Batch` of ebpfmon.proto. */
  content: Uint8Array<ArrayBuffer>;
  flows: MinuteFlow[];
  alerts: FleetAlert[];
}

/** A batch in the store's log. */
export interface LoggedBatch {
  /** The position in the log, which grows from batch to batch. */
  position: number;
  agent: string;
  severity: Severity;
  sequence: number;
  receivedUnixMs: number;
  content: Uint8Array<ArrayBuffer>;
}

/** A group as the store keeps it. */
export interface StoredGroup {
  id: string;
  rule: string;
  severity: Severity;
  agents: string[];
  endUnixNs: bigint;
  /** The group as one JSON object. */
  json: string;
  /** The whole group as text, for a trace that is still to be sent; absent where none is. */
  untraced?: string;
}

/** A group whose trace an earlier run has not sent. */
export interface UntracedGroup {
  /** The position of the group, which grows from group to group. */
  position: number;
  body: string;
}

/** The position up to which a reader has read the log, and the state that it needs to continue from there. */
export interface Checkpoint {
  reader: string;
  position: number;
  state: string;
}

export interface StoredAgent {
  agent: string;
  host: string;
  version: string;
  bootId: string;
  firstSeenUnixMs: number;
  lastSeenUnixMs: number;
  batches: number;
  events: number;
}

export interface GroupQuery {
  limit: number;
  agent: string | null;
  rule: string | null;
  /** The least severe severity; null for all. */
  severity: Severity | null;
  /** Only groups that ended before this time; null for all. */
  beforeUnixNs: bigint | null;
}

export interface FlowQuery {
  minutes: number;
  limit: number;
  agent: string | null;
  rank: "packets" | "bytes";
}

export interface TopFlow extends Omit<MinuteFlow, "minute"> {
  agent: string;
}

export interface StoreCounts {
  commits: number;
  commitSeconds: number;
  batches: number;
  events: number;
  duplicates: number;
  /** Batches that were evicted to make room. */
  evictedBatches: number;
  /** Evicted batches that correlation had not read. */
  evictedUnread: number;
  sizeBytes: number;
}

/** The calls of the store: request and answer of each. */
export interface StoreCalls {
  /**
   * Stores batches; answers with the log's last position. `position` is that of the batches in another log that they
   * come from.
   */
  accept: { request: { batches: NewBatch[]; position: Checkpoint | null }; answer: number };
  lastSequences: { request: { source: BatchSource }; answer: BySeverity };
  read: { request: { after: number; limit: number }; answer: LoggedBatch[] };
  /** Stores groups; answers with the ids of those that are new. */
  addGroups: { request: { groups: StoredGroup[]; checkpoint: Checkpoint | null }; answer: string[] };
  /** Groups whose traces earlier runs have not sent, the oldest first. */
  untraced: { request: { after: number; limit: number }; answer: UntracedGroup[] };
  /** Notes that the traces of these groups need not be sent any more. */
  traced: { request: { ids: string[] }; answer: void };
  /** Notes that no traces need to be sent any more. */
  forgetUntraced: { request: Record<never, never>; answer: void };
  checkpoint: { request: { reader: string }; answer: Checkpoint | null };
  agents: { request: Record<never, never>; answer: StoredAgent[] };
  groups: { request: { query: GroupQuery }; answer: string[] };
  topFlows: { request: { query: FlowQuery }; answer: TopFlow[] };
  alerts: { request: { limit: number }; answer: (FleetAlert & { agent: string })[] };
  counts: { request: Record<never, never>; answer: StoreCounts };
}

export type StoreCallName = keyof StoreCalls;

export type StoreRequest =
  | { kind: "start"; options: FleetStoreOptions }
  | { kind: "stop" }
  | { [Name in StoreCallName]: { kind: "call"; name: Name; id: number; request: StoreCalls[Name]["request"] } }[
    StoreCallName
  ];

export type StoreReport =
  | { kind: "ready" }
  | { kind: "answer"; id: number; answer: unknown }
  | { kind: "refused"; id: number; why: string }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
