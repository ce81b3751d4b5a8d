/**
 * What crosses between the main thread and the router worker, and what the router's parts agree on. Types and names
 * only. Numbers below 2^53 are plain numbers; nanoseconds and running totals are bigints.
 */
import type { EventType, RingName, SharedRing } from "../events/event.ts";
import type { RuleSet } from "../events/rule_set.ts";
import type { LibbpfInfo } from "../ffi/libbpf.ts";
import type { Lanes } from "../pipeline/channel/lanes.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";

/** Who gets a ring of its own: a process, or the processes that are directly in a cgroup, named by its folder. */
export type IsolateTarget = { kind: "pid"; pid: number } | { kind: "cgroup"; path: string };

/** Counters of one ring since the start. attempts = submitted + dropped + failures; submitted = consumed + inside. */
export interface RingCounters {
  ring: RingName;
  submitted: bigint;
  /** Lost because this ring and every ring it could spill into were full. */
  dropped: bigint;
  /** Could not be built: a read of user memory failed, an invalid size. */
  failures: bigint;
  /** Records meant for this ring that another one took. */
  spilled: bigint;
  consumed: bigint;
  /** Inside now, bytes over capacity, 0 to 1. */
  fill: number;
  capacityBytes: number;
}

export interface HealthReport {
  unixNs: bigint;
  rings: RingCounters[];
  /** Drops since the last report by event type. */
  droppedByType: { event: EventType; count: bigint }[];
  /** What rate limits, sampling, repeat suppression and filters held back since the start. */
  rateLimited: bigint;
  rateLimitedByPid: { pid: number; count: bigint }[];
  sampledOut: bigint;
  repeatsSuppressed: bigint;
  filtered: bigint;
  /** What went wrong or was changed since the last report and does not end the run; one line each. */
  notices?: string[];
}

export interface RouterOptions extends RuleSet {
  /** Sources to attach; what the kernel lacks is skipped and named. */
  sources: EventType[];
  ringBytes: Record<SharedRing, number>;
  /** Largest size a ring may grow to while running. */
  ringBytesMax: number;
  /** That of rule sets which name none. */
  rateLimit: number;
  repeatSuppression: boolean;
  /** Each gets a ring of its own, of the normal ring's size, from which nothing is held back. */
  isolate: IsolateTarget[];
  /** Only these, in the kernel; empty or null for all. */
  only: { rings: SharedRing[]; events: EventType[]; pid: number | null; uid: number | null; comm: string | null };
  healthMs: number;
  /** Where events go: the first hop of a pipeline. */
  output: Lanes;
  assetsDir: string;
  libbpfPath?: string;
}

export type RouterRequest =
  | { kind: "start"; options: RouterOptions }
  /** Put these in force, all in one instant. Answered with `rules`, in the order of the requests. */
  | { kind: "rules"; ruleSet: RuleSet }
  | { kind: "stop" };

export type RouterReport =
  | { kind: "ready"; sources: EventType[]; notices: string[]; libbpf: LibbpfInfo }
  | { kind: "health"; health: HealthReport }
  /** `error`: why the old ones stay in force. */
  | { kind: "rules"; result: { generation: number } | { error: string } }
  | { kind: "stopped"; health: HealthReport }
  | { kind: "failed"; failure: WorkerFailure };
