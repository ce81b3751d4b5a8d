/** Windows of flows to their messages of ebpfmon.proto, and flows back. */
import type * as proto from "./proto/ebpfmon.gen.ts";
import { type Direction, OTHER_CLASSES } from "../wire/traffic.ts";
import type { FlowRow, FlowWindow, Traffic } from "../aggregate/windows/flow_window.ts";
import { retransmitRecord } from "../aggregate/windows/retransmit_counts.ts";

const DIRECTIONS = ["ingress", "egress"] as const satisfies readonly Direction[];

function encodeTraffic({ packets, bytes }: Traffic): proto.Traffic {
  return { packets: BigInt(packets), bytes: BigInt(bytes) };
}

/**
 * @param rowsMax rows that one message may hold
 * @returns the window in parts: totals are in the first, rows in all
 */
export function encodeWindow(window: FlowWindow, rowsMax: number): proto.Window[] {
  const { retransmits } = window;
  const parts = Math.max(1, Math.ceil(window.top.length / rowsMax));
  return Array.from({ length: parts }, (_, part) => ({
    sequence: BigInt(window.sequence),
    startNs: window.startNs,
    endNs: window.endNs,
    endUnixNs: window.endUnixNs,
    flows: BigInt(part === 0 ? window.flows : 0),
    capacity: BigInt(part === 0 ? window.capacity : 0),
    interfaces: part > 0 ? [] : window.interfaces.map((traffic) => ({
      iface: traffic.iface,
      direction: DIRECTIONS.indexOf(traffic.direction) + 1,
      seen: encodeTraffic(traffic.seen),
      flows: encodeTraffic(traffic.flows),
      overflow: encodeTraffic(traffic.overflow),
      other: Object.fromEntries(OTHER_CLASSES.map((name) => [name, encodeTraffic(traffic.other[name])])),
    })),
    matched: part === 0 ? encodeTraffic(window.matched) : undefined,
    matchedFlows: BigInt(part === 0 ? window.matched.flows : 0),
    top: window.top.slice(part * rowsMax, (part + 1) * rowsMax).map(encodeFlow),
    swapSeconds: part === 0 ? window.swapSeconds : 0,
    drainSeconds: part === 0 ? window.drainSeconds : 0,
    programs: part > 0 ? [] : window.programs.map(({ program, runs, runNs }) => ({ program, runs, runNs })),
    part,
    parts,
    attribution: part === 0 && window.attribution
      ? {
        attributed: encodeTraffic(window.attribution.attributed),
        unattributed: encodeTraffic(window.attribution.unattributed),
        unasked: encodeTraffic(window.attribution.unasked),
      }
      : undefined,
    retransmits: part === 0 && retransmits ? retransmitRecord((name) => BigInt(retransmits[name])) : undefined,
  }));
}

function encodeFlow(flow: FlowRow): proto.Flow {
  return {
    iface: flow.iface,
    direction: DIRECTIONS.indexOf(flow.direction) + 1,
    src: flow.src,
    dst: flow.dst,
    sport: flow.sport,
    dport: flow.dport,
    proto: flow.proto,
    packets: BigInt(flow.packets),
    bytes: BigInt(flow.bytes),
    tcpFlags: flow.tcpFlags,
    firstSeenNs: flow.firstSeenNs,
    lastSeenNs: flow.lastSeenNs,
    pid: flow.pid,
    comm: flow.comm,
    container: flow.container,
    exe: flow.exe,
    podUid: flow.podUid,
    retransmits: flow.retransmits === undefined ? undefined : BigInt(flow.retransmits),
  };
}

/** @returns null for a flow of a direction that this version does not know */
export function decodeFlow(message: proto.Flow): FlowRow | null {
  const direction = DIRECTIONS[message.direction - 1];
  if (direction === undefined) return null;
  return {
    iface: message.iface,
    direction,
    src: message.src,
    dst: message.dst,
    sport: message.sport,
    dport: message.dport,
    proto: message.proto,
    packets: Number(message.packets),
    bytes: Number(message.bytes),
    tcpFlags: message.tcpFlags,
    firstSeenNs: message.firstSeenNs,
    lastSeenNs: message.lastSeenNs,
    ...(message.pid === undefined ? {} : { pid: message.pid }),
    ...(message.comm === undefined ? {} : { comm: message.comm }),
    ...(message.container === undefined ? {} : { container: message.container }),
    ...(message.exe === undefined ? {} : { exe: message.exe }),
    ...(message.podUid === undefined ? {} : { podUid: message.podUid }),
    ...(message.retransmits === undefined ? {} : { retransmits: Number(message.retransmits) }),
  };
}
