/**
 * What crosses between the main thread and the aggregator worker. Types only: both sides import it, neither depends on
 * the other's code. Counts of one window are plain numbers (a window cannot reach 2^53 bytes); running totals and
 * nanoseconds are bigints.
 */
import type { WorkerFailure } from "../worker_handle.ts";

/** Where a packet was seen. */
export type Direction = "ingress" | "egress";

/** How programs are attached to an interface for ingress. */
export type IngressMode = "native" | "generic" | "tcx";

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
  /** CLOCK_MONOTONIC, exact to one timer tick: 1 to 10 ms, as the kernel was built. */
  firstSeenNs: bigint;
  lastSeenNs: bigint;
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
  /** The largest matched flows by packets, then bytes; at most `topMax`. */
  top: FlowRow[];
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
  /** What to try for ingress: `auto` is native, then generic, then TCX. */
  ingressMode: IngressMode | "auto";
  /** `clsact` is not bound to our process: a kill -9 leaves its filter behind until the next start. */
  egressHook: "tcx" | "clsact";
  /** Replace an XDP program that somebody else attached. */
  force: boolean;
  windowMs: number;
  /** Entries of the IPv4 map, and of the IPv6 map. */
  flowsMax: number;
  /** How values stay exact: atomic adds on shared values, or a value a CPU. */
  values: "atomic" | "percpu";
  topMax: number;
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
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
  /** End the current window now, drain it, detach, and answer `stopped`. */
  | { kind: "stop" };

export type AggregatorReport =
  | { kind: "ready"; interfaces: AttachedInterface[]; startNs: bigint; notices: string[]; libbpf: LibbpfInfo }
  | { kind: "window"; window: FlowWindow }
  /** An interface was deleted while watched; what it had counted is in the windows all the same. */
  | { kind: "interface_gone"; iface: string; remaining: number }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
