/** What a window of flows holds. Types only. Counts of one window are plain numbers (a window cannot reach 2^53 bytes); nanoseconds are bigints. */

import type { Direction, OtherClass } from "../../wire/traffic.ts";
import type { WindowRetransmits } from "./retransmit_counts.ts";

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

/**
 * A flow without room. It had at least `packets` and `bytes`, and at most so many more: surely, unless the sketch was
 * off by more than its bound, which happens to one row in fifty or fewer.
 */
export type EstimatedFlow = FlowRow & Required<Pick<FlowRow, "errorPackets" | "errorBytes">>;

/** Exact: what sources of one network sent in flows without room. */
export interface PrefixRow extends Traffic {
  iface: string;
  direction: Direction;
  /** `192.0.2.0/24` or `2001:db8:1::/48`. */
  prefix: string;
}

/** Exact sums: overflow = all prefixes + rest. */
export interface OverflowDetail {
  /** The largest flows among those without room, as far as they can be named. */
  estimates: EstimatedFlow[];
  /** The largest source networks. */
  prefixes: PrefixRow[];
  /** Source networks counted, shown or not. */
  prefixCount: number;
  /** Of networks that found no room either. */
  rest: Traffic;
}
