/**
 * What crosses between the main thread and the aggregator worker. Types only: both sides import it, neither depends on
 * the other's code. Counts of one window are plain numbers (a window cannot reach 2^53 bytes); running totals and
 * nanoseconds are bigints.
 */
import type { OverflowDetail } from "./overflow_protocol.ts";
import type { WorkerFailure } from "../worker_handle.ts";
import type { ActivityArrangement, ActivityOptions, ProcessWindow } from "./process_protocol.ts";

/** Where a packet was seen. */
export type Direction = "ingress" | "egress";

/** In the order of `enum flow_direction` in bpf/flow.h. */
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** How programs are attached to an interface for ingress. */
export type IngressMode = "native" | "generic" | "tcx" | "clsact";

/** Packets without a flow, in the order of `enum other_class` in bpf/flow.h. */
export const OTHER_CLASSES = ["non_ip", "truncated", "malformed", "fragment"] as const;
export type OtherClass = typeof OTHER_CLASSES[number];

/** Packets, and the bytes in them: layer 2 length without the frame check sequence. */
export interface Traffic {
  packets: number;
  bytes: number;
}

/** One flow of one window, ready to be shown. */
export interface FlowRow {
  iface: string;
  direction: Direction;
  /** Textual address; IPv6 in RFC 5952 form. */
  src: string;
  dst: string;
  sport: number;
  /** For ICMP and ICMPv6: type << 8 | code. */
  dport: number;
  /** IANA protocol number. */
  proto: number;
  packets: number;
  bytes: number;
  /** Union of the TCP flags seen, FIN = bit 0 … CWR = bit 7. */
  tcpFlags: number;
  /** Segments that its socket sent again; absent where that is not counted: only of TCP that goes out. */
  retransmits?: number;
  /** CLOCK_MONOTONIC, exact to one timer tick: 1 to 10 ms, as the kernel was built. */
  firstSeenNs: bigint;
  lastSeenNs: bigint;
  /** Who uses the flow's end on this host; these are absent where that is not known. */
  pid?: number;
  comm?: string;
  /** Path of the executable; empty for a process that has ended. */
  exe?: string;
  /** The container's id, empty outside of one. */
  container?: string;
  /** The Kubernetes pod's, empty outside of one. */
  podUid?: string;
  /** Of an estimate: so many more than `packets` it can have had. */
  errorPackets?: number;
  errorBytes?: number;
}

/** What makes a flow large: packets, bytes; or first a TCP reset, or a TCP handshake seen, then packets. */
export const SEEN_ORDERS = ["packets", "bytes", "resets", "new"] as const;

/** The same, or first what its socket had to send again: segments, or segments by packets. Captures do not tell. */
export const FLOW_ORDERS = [...SEEN_ORDERS, "retransmits", "retransmit-share"] as const;
export type FlowOrder = typeof FLOW_ORDERS[number];

/** How much of the matched traffic has a known owner; the three add up to it. */
export interface FlowAttribution {
  attributed: Traffic;
  /** No process is known: forwarded, answered by the kernel itself, without ports. */
  unattributed: Traffic;
  /** Of flows beyond those that a window looks up. */
  unasked: Traffic;
}

/** TCP segments that sockets sent again. `segments = attributed + unattributed + overflow`. */
export interface WindowRetransmits {
  /** Of all sockets in the network namespace whose interfaces are watched. */
  segments: number;
  /** Of flows of this window. */
  attributed: number;
  /** Of connections without a flow that goes out: over another interface, or it found no room. */
  unattributed: number;
  /** Of connections that found no room in the map of those that retransmit. */
  overflow: number;
  /** Of sockets in other namespaces, as of containers, in flows of this window. */
  forwarded: number;
  /** Of sockets in other namespaces, in no flow of this window. */
  elsewhere: number;
  /** Runs of the programs that the kernel left out; a segment or a few each. */
  missedRuns: number;
}

/** What one interface saw in one direction. `seen = flows + overflow + the sum of other`, packets and bytes. */
export interface InterfaceTraffic {
  iface: string;
  direction: Direction;
  seen: Traffic;
  /** Sum over the flows drained from the maps. */
  flows: Traffic;
  overflow: Traffic;
  other: Record<OtherClass, Traffic>;
}

/** One complete window: swapped out, quiet, drained. */
export interface FlowWindow {
  /** 0 for the first window; no number is skipped. */
  sequence: number;
  /** CLOCK_MONOTONIC. The end of a window is the start of the next one. */
  startNs: bigint;
  endNs: bigint;
  /** The window's end on the wall clock, nanoseconds since the epoch. */
  endUnixNs: bigint;
  /** Distinct flows drained. */
  flows: number;
  /** Entries the flow maps of one side can hold, IPv4 and IPv6 together. */
  capacity: number;
  interfaces: InterfaceTraffic[];
  /** Flows that the `--filter` expression accepts; equal to all flows where none was given. */
  matched: Traffic & { flows: number };
  /** The largest matched flows by packets, then bytes, or by `order`; at most `topMax`. */
  top: FlowRow[];
  /** Of the flows that found no room; absent where all of them did. */
  overflow?: OverflowDetail;
  /** Absent where owners are not looked for. */
  attribution?: FlowAttribution;
  /** Absent where they are not counted. */
  retransmits?: WindowRetransmits;
  /** Switching sides and waiting until no program could still see the old one. */
  swapSeconds: number;
  /** Reading, deleting, decoding and ranking the old side. */
  drainSeconds: number;
  /** The programs' runs so far. */
  programs: ProgramStats[];
}

/** A running program's own cost, as the kernel counts it while `bpf_stats` is on. */
export interface ProgramStats {
  program: string;
  runs: bigint;
  runNs: bigint;
}

export interface AttachedInterface {
  name: string;
  ifindex: number;
  /** null: nothing is attached for ingress (`--direction egress`). */
  mode: IngressMode | null;
  /** null: nothing is attached for egress. */
  egress: "tcx" | "clsact" | null;
}

/** Everything a user can set about flow aggregation. */
export interface AggregatorOptions {
  interfaces: string[];
  direction: Direction | "both";
  /** What to try for ingress: `auto` is native, then generic, then TCX, which is clsact where the kernel has no TCX. */
  ingressMode: IngressMode | "auto";
  /** `tcx` is clsact where the kernel has no TCX. */
  egressHook: "tcx" | "clsact";
  /** Replace an XDP program that somebody else attached. */
  force: boolean;
  windowMs: number;
  /** Let the load choose the length of windows; `windowMs` is then not used. */
  windowAuto?: boolean;
  /** Entries of the IPv4 map, and of the IPv6 map. */
  flowsMax: number;
  /** To which a map that was full may grow; not above `flowsMax` where it is absent. */
  flowsLimit?: number;
  /** Source networks that flows without room are counted by; absent: 16,384. */
  prefixesMax?: number;
  /** How values stay exact: atomic adds on shared values, or a value a CPU. */
  values: "atomic" | "percpu";
  topMax: number;
  /** What ranks flows; absent: packets. */
  order?: FlowOrder;
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
  /** Whether to report all flows of each window as IPFIX messages. */
  allFlows?: boolean;
  /** Whether to look for whose flow it is. */
  owners?: boolean;
  /** Whether to count the segments that TCP sends again. */
  retransmits?: boolean;
  /** What to count of system calls; nothing where it is absent or null. Without interfaces, it is all that is counted. */
  activity?: ActivityOptions | null;
  /** Folder with `bpf/*.bpf.o` and `lib/libbpf.so.1`. */
  assetsDir: string;
  /** A libbpf to use in the place of the system's. */
  libbpfPath?: string;
}

/** Which libbpf is in use. */
export interface LibbpfInfo {
  version: string;
  source: "system" | "embedded" | "path";
}

export type AggregatorRequest =
  | { kind: "start"; options: AggregatorOptions }
  /** Rank and choose processes like this from the next window on. */
  | { kind: "arrange"; arrangement: ActivityArrangement }
  /** End the current window now, drain it, detach, and answer `stopped`. */
  | { kind: "stop" };

export type AggregatorReport =
  | {
    kind: "ready";
    interfaces: AttachedInterface[];
    /** System calls are counted. */
    activity: boolean;
    startNs: bigint;
    notices: string[];
    libbpf: LibbpfInfo;
  }
  /** IPFIX messages, one after another, with every flow of the window that is reported next. */
  | { kind: "flow_records"; messages: ArrayBuffer }
  | { kind: "window"; window: FlowWindow }
  /** Follows the flows' window, where there is one. */
  | { kind: "activity"; window: ProcessWindow }
  /** Something that an operator should know. `alert` names its kind. */
  | { kind: "notice"; alert: string; message: string }
  /**
   * An interface is watched no more: it was deleted, or, where it `exists`, somebody detached what watched it. What it had
   * counted is in the windows all the same.
   */
  | { kind: "interface_gone"; iface: string; exists: boolean; remaining: number }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
