/** What crosses between the main thread and the pipeline's workers. Types only, but for the names of lanes. */
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
  /** All in one. */
  | { kind: "one" }
  /** One each. */
  | { kind: "each" }
  /** As `each`, with several that enrich. `hash`: events of a process always go to the same one, in order. */
  | { kind: "fan_out"; enrichWorkers: number; distribution: Distribution };

/** One worker's part. */
export interface NodePlan {
  name: string;
  /** Among all workers that share channels. */
  worker: number;
  /** In their order. */
  stages: StageName[];
  input: Lanes;
  /** Several: events are spread over them. None: what comes out has arrived. */
  outputs: Lanes[];
  distribution: Distribution;
  /** The table of fan_out.ts. */
  fanOut: Uint8Array<SharedArrayBuffer>;
  journal: JournalDescription;
  /** One word: the number of the worker's thread, which it stores when it starts. */
  thread: Int32Array<SharedArrayBuffer>;
}

/** What all workers of a pipeline are told. */
export interface NodeOptions {
  plan: NodePlan;
  dropRules: DropRule[];
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
  /** What has arrived is posted to the main thread, event by event. */
  deliver: boolean;
  /** With each its record, as the kernel wrote it. */
  deliverRecords: boolean;
  /** Milliseconds that the last stage waits over each batch: for trying what backpressure does. */
  delayMs: number;
  /** Whether processes are looked up in /proc. */
  procfs: boolean;
  /** Counts are also kept in a BPF hash map for other tools to read. */
  publishCounts: boolean;
  assetsDir: string;
  /** How often `progress` is reported. */
  progressMs: number;
}

/** An event that has come through, with what is known of its process. */
export type PipelineEvent = RouterEvent & {
  category: Category;
  priority: Priority;
  process: Omit<ProcessInfo, "encoded"> | null;
  /** By its port, of a connection; empty where the port has none. */
  service: string;
  /** Where records are delivered too. */
  record?: Uint8Array<ArrayBuffer>;
};

/** An event that a stage failed on. */
export interface FailedEvent {
  stage: string;
  error: string;
  /** How often it was tried. */
  attempts: number;
  /** As the kernel wrote it. */
  record: Uint8Array<ArrayBuffer>;
}

/** Of one stage, since the last report. */
export interface StageProgress {
  stage: string;
  /** Events that came to it and that it let through; those of a batch that was tried again count again. */
  in: number;
  out: number;
  /** From a batch's sending, or the end of the stage before, to the end of this one; once for each event let through. */
  latency: LatencySnapshot;
}

/** What a node found out since its last report; how many events passed is in shared memory. */
export interface NodeProgress {
  aggregate: AggregateDelta | null;
  /** Since the worker started. */
  cache: CacheStats | null;
  /** Events that each drop rule, and the filter, left out. */
  filteredByRule: DropCount[];
  stages: StageProgress[];
  /** What went wrong and does not end the run; one line each. */
  notices: string[];
}

export type NodeRequest =
  | { kind: "start"; options: NodeOptions }
  /** The reader took this many more reports of events, or of failed ones. */
  | { kind: "taken"; reports: number }
  /** Events from outside the channels have ended: finish what is inside, then answer `stopped`. */
  | { kind: "stop" };

export type NodeReport =
  | { kind: "ready" }
  | { kind: "events"; events: PipelineEvent[] }
  | { kind: "failed_events"; letters: FailedEvent[] }
  | { kind: "progress"; progress: NodeProgress }
  | { kind: "stopped"; progress: NodeProgress }
  | { kind: "failed"; failure: WorkerFailure };
