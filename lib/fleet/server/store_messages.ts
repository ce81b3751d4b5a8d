/** What crosses between the main thread and the worker that owns the fleet's store. Types only. */
import type { Direction } from "../../wire/traffic.ts";
import type { BySeverity } from "../by_severity.ts";
import type { FleetAlert } from "../fleet_alert.ts";
import type { Severity } from "../../events/event.ts";
import type { WorkerFailure } from "../../runtime/worker_handle.ts";
import type { BatchSource } from "../received_batch.ts";

export interface FleetStoreOptions {
  path: string;
  /** Of batches, flows and groups together; the oldest batches go first. */
  bytesMax: number;
  /** Rows of flows by minute; the oldest minutes go first. */
  flowRowsMax: number;
  groupsMax: number;
}

/** A flow of one host in one minute. */
export interface MinuteFlow {
  /** Since the epoch. */
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

/** A batch on its way into the store. */
export interface NewBatch {
  source: BatchSource;
  severity: Severity;
  sequence: number;
  events: number;
  receivedUnixMs: number;
  /** `Batch` of ebpfmon.proto. */
  content: Uint8Array<ArrayBuffer>;
  flows: MinuteFlow[];
  alerts: FleetAlert[];
}

/** A batch in the store's log. */
export interface LoggedBatch {
  /** Grows from batch to batch. */
  position: number;
  agent: string;
  severity: Severity;
  sequence: number;
  receivedUnixMs: number;
  content: Uint8Array<ArrayBuffer>;
}

/** A group, ready to be shown. */
export interface StoredGroup {
  id: string;
  rule: string;
  severity: Severity;
  agents: string[];
  endUnixNs: bigint;
  /** One JSON object. */
  json: string;
  /** The group whole, as text, where a trace of it is to be sent: kept until that is settled. */
  untraced?: string;
}

/** A group whose trace an earlier run has left to this one. */
export interface UntracedGroup {
  /** Grows from group to group. */
  position: number;
  body: string;
}

/** How far a reader of the log has come, with whatever it needs to go on from there. */
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
  /** This one and what is more severe. */
  severity: Severity | null;
  /** Groups that ended before; null for now. */
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
  /** Batches that made room. */
  evictedBatches: number;
  /** Those of them that correlation had not read. */
  evictedUnread: number;
  sizeBytes: number;
}

/** What can be asked of the store, and what comes back. */
export interface StoreCalls {
  /** The log's last position. `position`: of these batches in another log that they come from. */
  accept: { request: { batches: NewBatch[]; position: Checkpoint | null }; answer: number };
  lastSequences: { request: { source: BatchSource }; answer: BySeverity };
  read: { request: { after: number; limit: number }; answer: LoggedBatch[] };
  /** Those that are new. */
  addGroups: { request: { groups: StoredGroup[]; checkpoint: Checkpoint | null }; answer: string[] };
  /** What earlier runs have left, the oldest first. */
  untraced: { request: { after: number; limit: number }; answer: UntracedGroup[] };
  /** No traces of these are to be sent any more. */
  traced: { request: { ids: string[] }; answer: void };
  /** Nor of any. */
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
