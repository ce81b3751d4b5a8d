/**
 * The messages between the main thread and the router worker, and the types that the router's modules share. Types
 * only. Numbers below 2^53 are plain numbers; nanoseconds and running totals are bigints.
 */
import type { EventType, RingName, SharedRing } from "../events/event.ts";
import type { RuleSet } from "../events/rule_set.ts";
import type { LibbpfInfo } from "../ffi/libbpf.ts";
import type { Lanes } from "../pipeline/channel/lanes.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";

/** What gets a ring of its own: a process, or the processes directly in the cgroup whose folder is `path`. */
export type IsolateTarget = { kind: "pid"; pid: number } | { kind: "cgroup"; path: string };

/** Counters of one ring since the start. attempts = submitted + dropped + failures; submitted = consumed + inside. */
export interface RingCounters {
  ring: RingName;
  submitted: bigint;
  /** Lost because this ring and every ring it could spill into were full. */
  dropped: bigint;
  /** Records that could not be built, because a read of user memory failed or a size was invalid. */
  failures: bigint;
  /** Records meant for this ring that another one took. */
  spilled: bigint;
  consumed: bigint;
  /** Share of the ring's bytes in use now, 0 to 1. */
  fill: number;
  capacityBytes: number;
}

/** The state of the rings at one time. */
export interface HealthReport {
  unixNs: bigint;
  rings: RingCounters[];
  /** Drops since the last report by event type. */
  droppedByType: { event: EventType; count: bigint }[];
  /** Events that rate limits, sampling, repeat suppression and filters held back since the start. */
  rateLimited: bigint;
  rateLimitedByPid: { pid: number; count: bigint }[];
  sampledOut: bigint;
  repeatsSuppressed: bigint;
  filtered: bigint;
  /** Errors that do not end the run, and rings that were resized, since the last report; one line each. */
  notices?: string[];
}

export interface RouterOptions extends RuleSet {
  /** Sources to watch. A source that the kernel does not support is skipped and named in `notices` of `ready`. */
  sources: EventType[];
  ringBytes: Record<SharedRing, number>;
  /** Largest size a ring may grow to while running. */
  ringBytesMax: number;
  /** Normal and debug events a second of a cgroup, for rule sets that name no limit; 0 for no limit. */
  rateLimit: number;
  repeatSuppression: boolean;
  /** Targets with a ring of their own, of the normal ring's size; none of their events is held back. */
  isolate: IsolateTarget[];
  /** Filters that the kernel applies: only these events are sent. An empty list, or null, means all. */
  only: { rings: SharedRing[]; events: EventType[]; pid: number | null; uid: number | null; comm: string | null };
  /** Time between two `health` reports. */
  healthMs: number;
  /** Where events go: the channels of a pipeline's first hop. */
  output: Lanes;
  assetsDir: string;
  libbpfPath?: string;
}

export type RouterRequest =
  | { kind: "start"; options: RouterOptions }
  /** Puts these rules in force, all in one instant. Answered by `rules`, in the order of the requests. */
  | { kind: "rules"; ruleSet: RuleSet }
  | { kind: "stop" };

export type RouterReport =
  | { kind: "ready"; sources: EventType[]; notices: string[]; libbpf: LibbpfInfo }
  | { kind: "health"; health: HealthReport }
  /** The generation of the new rules, or why the old ones stay in force. */
  | { kind: "rules"; result: { generation: number } | { error: string } }
  | { kind: "stopped"; health: HealthReport }
  | { kind: "failed"; failure: WorkerFailure };
