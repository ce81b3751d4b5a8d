/** What crosses between the main thread and the correlation worker. Types only. */
import type { Severity } from "../../events/event.ts";
import type { CorrelationPart } from "./partition.ts";
import type { CorrelatedGroup, CorrelationOptions, CorrelationRule, CorrelationStats } from "./correlated_group.ts";
import type { WorkerFailure } from "../../runtime/worker_handle.ts";

/** A batch, or as much of one as belongs to a partition. */
export interface CorrelationBatch {
  /** In the log that it comes from. */
  position: number;
  agent: string;
  severity: Severity;
  sequence: number;
  /** When it came to a server: whoever reads it later takes time to be then. */
  receivedUnixMs: number;
  /** `Batch` of ebpfmon.proto. */
  content: Uint8Array<ArrayBuffer>;
  /** What its records are for; absent where there is one partition. */
  part?: CorrelationPart;
  /** Where in the whole batch its records stand; absent where it is whole. */
  places?: number[];
}

export interface PartitionStats {
  partition: number;
  /** Of the last batch that was taken. */
  position: number;
  stats: CorrelationStats;
}

export type CorrelateRequest =
  | { kind: "start"; rules: CorrelationRule[]; options: Partial<CorrelationOptions> }
  /** `state`: as `checkpoint` gave it; null for none. */
  | { kind: "open"; id: number; partition: number; position: number; state: Uint8Array<ArrayBuffer> | null }
  | { kind: "add"; id: number; partition: number; batches: CorrelationBatch[] }
  /** Nothing that came before this waits to be added. */
  | { kind: "advance"; partition: number; unixMs: number }
  | { kind: "checkpoint"; id: number; partition: number }
  | { kind: "close"; partition: number }
  | { kind: "stop" };

export type CorrelateReport =
  | { kind: "ready" }
  /** Answers `open` and `add`; what `add` led to was reported before it. */
  | { kind: "taken"; id: number }
  /** There is no such partition. */
  | { kind: "refused"; id: number; why: string }
  | { kind: "groups"; partition: number; groups: CorrelatedGroup[] }
  /** `state`: compressed here, since that takes longer than everything that whoever asks does with it. */
  | { kind: "checkpoint"; id: number; position: number; state: Uint8Array<ArrayBuffer> }
  | { kind: "stats"; partitions: PartitionStats[]; unknown: number }
  | { kind: "notice"; text: string }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
