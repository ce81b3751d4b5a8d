/** The events of the router: their types, severities and rings, and what each says. Types and names only. */

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
