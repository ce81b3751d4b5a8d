/**
 * What crosses between the main thread and the router worker, and what the router's parts agree on. Types and names
 * only. Numbers below 2^53 are plain numbers; nanoseconds and running totals are bigints.
 */
import type { Cidr } from "../aggregate/address.ts";
import type { LibbpfInfo } from "../aggregate/protocol.ts";
import type { Lanes } from "../pipeline/protocol.ts";
import type { WorkerFailure } from "../worker_handle.ts";

/** In the order of `enum event_type` in bpf/event.h. */
export const EVENT_TYPES = [
  "process_exec",
  "process_exit",
  "file_open",
  "network_connect",
  "tcp_state",
  "security_violation",
  "resource_limit",
] as const;
export type EventType = typeof EVENT_TYPES[number];

/** In the order of `enum severity`: 0 is critical. */
export const SEVERITIES = ["critical", "error", "warning", "info", "debug"] as const;
export type Severity = typeof SEVERITIES[number];

/** In the order of `enum ring_id`. Critical and error go to the first, warning and info to the second. */
export const RINGS = ["critical", "normal", "debug", "isolated"] as const;
export type RingName = typeof RINGS[number];

/** Those that all processes share; `isolated` stands for all rings that somebody has for himself. */
export const SHARED_RINGS = ["critical", "normal", "debug"] as const;
export type SharedRing = typeof SHARED_RINGS[number];

/** Who gets a ring of its own: a process, or the processes that are directly in a cgroup, named by its folder. */
export type IsolateTarget = { kind: "pid"; pid: number } | { kind: "cgroup"; path: string };

/** The number that no user has. */
export const UID_UNKNOWN = 0xffff_ffff;

/** Who, when and where: what every event has. */
export interface EventBase {
  event: EventType;
  severity: Severity;
  /** CLOCK_MONOTONIC, when the program ran. */
  tsNs: bigint;
  cpu: number;
  pid: number;
  tid: number;
  uid: number;
  comm: string;
  cgroupId: bigint;
  /** 0, a positive value, or -errno of the system call; 0 for events that have none. */
  result: number;
  /** Events this one stands for: more than 1 when debug was sampled; sums of weights estimate counts without bias. */
  weight: number;
  /** Identical events suppressed into this one, itself included; first at `firstNs`, last at `tsNs`. */
  repeats: number;
  firstNs: bigint;
  /** The ring it was meant for was full. */
  spilled: boolean;
  /** Rules that judged it. */
  rulesGeneration: number;
  /** There when path, address or arguments could not be read from the process's memory. */
  unreadable?: true;
  /**
   * There when the kernel did not tell everything: an exec's parent or an exit's status, which are left out then; or, of
   * a process killed for want of memory, its user (`uid` is UID_UNKNOWN), its name (empty) or its cgroup (0).
   */
  incomplete?: true;
}

export type RouterEvent =
  & EventBase
  & (
    | { event: "process_exec"; filename: string; argv: string[]; argvTruncated: boolean; ppid?: number }
    | { event: "process_exit"; exitCode?: number; signal?: number }
    | { event: "file_open"; path: string; pathTruncated: boolean; flags: number; syscall: string }
    | {
      event: "network_connect";
      family: "ipv4" | "ipv6" | "unix";
      address: string;
      /** 0 for unix. */
      port: number;
    }
    | {
      event: "tcp_state";
      family: "ipv4" | "ipv6";
      src: string;
      dst: string;
      sport: number;
      dport: number;
      oldState: string;
      newState: string;
    }
    | { event: "security_violation"; kind: string; syscall: string; detail: string }
    | { event: "resource_limit"; kind: string; syscall: string; detail: string }
  );

/** What must hold for a rule to apply: every member that is there. */
export interface RuleMatch {
  event?: EventType;
  uid?: number;
  comm?: string;
  /** Absolute; matches the path itself and everything that starts with it. */
  pathPrefix?: string;
  port?: number;
  /** 0, or -errno. */
  result?: number;
}

/** Raises or lowers severity. Of several rules that match, the one that stands first in the list applies. */
export interface SeverityRule {
  name: string;
  match: RuleMatch;
  /** `set` to this severity; or `atLeast`: raise to it, never lower. */
  action: { set: Severity } | { atLeast: Severity };
}

/** What must hold for a filter to apply. */
export interface FilterMatch extends RuleMatch {
  pid?: number;
  /** Folder of a cgroup, as in `/sys/fs/cgroup/system.slice`: processes directly in it. */
  cgroup?: string;
  /** The address of a connect, or either end of a TCP connection, lies in it. */
  net?: Cidr;
}

/**
 * Says which events are wanted. Of several filters that match, the one that stands first applies; what none matches is
 * dropped where there is a filter that keeps.
 */
export interface EventFilter {
  name: string;
  match: FilterMatch;
  action: "drop" | "keep";
}

/** Raises connects and TCP states that touch an address or a port, at either end of a TCP connection. */
export interface WatchList {
  name: string;
  nets: Cidr[];
  ports: number[];
  /** Never lowers; of several lists the most severe counts. */
  atLeast: Severity;
}

/** Everything by which events are judged: it can change while programs run, all of it in one instant. */
export interface RuleSet {
  rules: SeverityRule[];
  filters?: EventFilter[];
  watch?: WatchList[];
  /** What rules and watch lists leave less severe than this is dropped; nothing where there is none. */
  minimumSeverity?: Severity;
  /** Events a second a cgroup may send to normal and debug; 0 for no limit. */
  rateLimit?: number;
  /** Of debug events at most one in so many is sent; 1 for all. */
  debugOneIn?: number;
}

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
