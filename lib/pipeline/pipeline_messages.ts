/** The messages between the main thread and the pipeline's workers. Types only. */
import type { Distribution, Lanes } from "./channel/lanes.ts";
import type { RouterEvent } from "../events/event.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";
import type { AggregateDelta } from "./aggregate_stage.ts";
import type { JournalDescription } from "./channel/commit_journal.ts";
import type { CacheStats } from "../processes/process_cache.ts";
import type { Priority } from "../events/event_batch.ts";
import type { Category } from "../events/types/category.ts";
import type { DropCount, DropRule } from "./filter_stage.ts";
import type { LatencySnapshot } from "./latency_histogram.ts";
import type { ProcessInfo } from "../processes/process_info.ts";
import type { StageName } from "./stage.ts";

/** How the stages are spread over workers. */
export type Placement =
  /** All stages in one worker. */
  | { kind: "one" }
  /** One worker for each stage. */
  | { kind: "each" }
  /**
   * Like `each`, with several workers that enrich. With `hash` a process's events always go to the same one, in order.
   */
  | { kind: "fan_out"; enrichWorkers: number; distribution: Distribution };

/** The plan of one node. */
export interface NodePlan {
  name: string;
  /** Worker id, unique within the pipeline. */
  worker: number;
  /** In the order in which events pass them. */
  stages: StageName[];
  input: Lanes;
  /** The next hops. Events are spread over several; the last node has none. */
  outputs: Lanes[];
  distribution: Distribution;
  /** The table of fan_out.ts: which output each bucket of processes takes. */
  fanOut: Uint8Array<SharedArrayBuffer>;
  journal: JournalDescription;
  /** One word: the number of the worker's thread, which it stores when it starts. */
  thread: Int32Array<SharedArrayBuffer>;
}

/** Options of a worker. All but `plan` are the same for all workers of a pipeline. */
export interface NodeOptions {
  plan: NodePlan;
  dropRules: DropRule[];
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
  /** True posts each event that has arrived to the main thread. */
  deliver: boolean;
  /** True adds to each delivered event its record, as the kernel wrote it. */
  deliverRecords: boolean;
  /** Artificial delay of the last node in each batch, to try what backpressure does. */
  delayMs: number;
  /** True where processes are looked up in /proc. */
  procfs: boolean;
  /** True where counts are also kept in a BPF hash map that other tools can read. */
  publishCounts: boolean;
  assetsDir: string;
  /** How often `progress` is reported. */
  progressMs: number;
}

/** An event that has passed all stages, with what is known of its process. */
export type PipelineEvent = RouterEvent & {
  category: Category;
  priority: Priority;
  process: Omit<ProcessInfo, "encoded"> | null;
  /** IANA service name of a connection's port; empty for none. */
  service: string;
  /** Only with `deliverRecords`. */
  record?: Uint8Array<ArrayBuffer>;
};

/** An event that a stage failed on. */
export interface FailedEvent {
  stage: string;
  error: string;
  /** How often it was tried. */
  attempts: number;
  /** The event's record, as the kernel wrote it. */
  record: Uint8Array<ArrayBuffer>;
}

/** The work of one stage since the last report. */
export interface StageProgress {
  stage: string;
  /** Events that came to it and that it let through; those of a batch that was tried again count again. */
  in: number;
  out: number;
  /**
   * From a batch's sending, or the end of the stage before, to the end of this one; once for each event let through.
   */
  latency: LatencySnapshot;
}

/** A node's progress since its last report. The counts of NODE_COUNTERS are in shared memory instead. */
export interface NodeProgress {
  aggregate: AggregateDelta | null;
  /** Counters of the process cache since the worker started; null without an enrich stage. */
  cache: CacheStats | null;
  /** Events that each drop rule, and the `--filter` expression, dropped. */
  filteredByRule: DropCount[];
  stages: StageProgress[];
  /** Errors that do not end the run; one line each. */
  notices: string[];
}

export type NodeRequest =
  | { kind: "start"; options: NodeOptions }
  /** The main thread has taken so many more reports of kind `events` or `failed_events`. */
  | { kind: "taken"; reports: number }
  /** No sender sends any more: process what is in the channels, then answer `stopped`. */
  | { kind: "stop" };

export type NodeReport =
  | { kind: "ready" }
  | { kind: "events"; events: PipelineEvent[] }
  | { kind: "failed_events"; letters: FailedEvent[] }
  | { kind: "progress"; progress: NodeProgress }
  | { kind: "stopped"; progress: NodeProgress }
  | { kind: "failed"; failure: WorkerFailure };
