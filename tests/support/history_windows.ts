/** Windows made up for the tests of levels and of the store, with the truth beside them. */
import { type Direction, OTHER_CLASSES } from "../../lib/wire/traffic.ts";
import type { EstimatedFlow, FlowRow, FlowWindow, Traffic } from "../../lib/aggregate/windows/flow_window.ts";
import type { FlowOwner } from "../../lib/history/levels.ts";
import type { Random } from "./random.ts";
import { flowWindow, interfaceTraffic } from "./windows.ts";

export const NS_PER_S = 1_000_000_000n;

/** 2026-01-02T00:00:00Z, a full day. */
export const DAY_START_NS = 1_767_312_000n * NS_PER_S;

export type OwnedFlow = FlowRow & FlowOwner;

export interface MadeWindow {
  window: FlowWindow;
  /** Every flow, named in the window or not. */
  flows: OwnedFlow[];
  /** What flows without room had, estimated in the window or not. */
  withoutRoom: OwnedFlow[];
}

export interface WindowShape {
  startUnixNs: bigint;
  lengthNs: bigint;
  sequence: number;
  /** Flows of the window, and how many of them it names. */
  flows: number;
  topMax: number;
  /** Further flows, without room: the larger half of them is estimated. Without them nobody knows what overflowed. */
  withoutRoom?: number;
  /** Flows are drawn from so many. */
  pool: number;
  interfaces?: string[];
}

const DIRECTIONS: Direction[] = ["ingress", "egress"];
const PROTOS = [6, 6, 6, 17, 17, 1, 58, 132];

/** The flow with this number: the same one each time. */
function flowNumber(number: number, interfaces: string[]): OwnedFlow {
  const six = number % 5 === 0;
  const proto = PROTOS[number % PROTOS.length];
  const address = (host: number) =>
    six
      ? `2001:db8:${(host % 7 + 1).toString(16)}::${(host % 251 + 1).toString(16)}`
      : `10.${host % 3}.${host % 11}.${host % 251}`;
  return {
    iface: interfaces[number % interfaces.length],
    direction: DIRECTIONS[(number >> 1) % 2],
    src: address(number),
    dst: address(number * 7 + 3),
    sport: 1024 + number % 60_000,
    dport: [443, 53, 80, 8080][number % 4],
    proto,
    packets: 0,
    bytes: 0,
    tcpFlags: proto === 6 ? number % 256 : 0,
    firstSeenNs: 0n,
    lastSeenNs: 0n,
    ...number % 3 === 0 && { pid: 100 + number % 40, comm: `command ${number % 10}` },
    ...number % 6 === 0 && { container: number % 12 === 0 ? "" : `c0ffee${number % 4}` },
  };
}

function traffic(random: Random, packetsMax: number): Traffic {
  const packets = random.below(packetsMax);
  return { packets, bytes: packets * (60 + random.below(1400)) };
}

/** Flows that are not among those with room. */
function flowsWithoutRoom(
  random: Random,
  { withoutRoom = 0, pool }: WindowShape,
  taken: Set<number>,
  interfaces: string[],
) {
  const numbers = new Set<number>();
  while (numbers.size < withoutRoom) {
    const number = random.below(pool);
    if (!taken.has(number)) numbers.add(number);
  }
  const flows = Array.from(numbers, (number) => {
    const packets = 1 + random.below(5_000);
    return { ...flowNumber(number, interfaces), packets, bytes: packets * (60 + random.below(1400)) };
  });
  return flows.sort((a, b) => b.packets - a.packets || b.bytes - a.bytes);
}

/** At least that much, at most so much more, and the truth anywhere between. */
function estimateOf(random: Random, flow: OwnedFlow): EstimatedFlow {
  const packets = flow.packets - random.below(flow.packets);
  const bytes = flow.bytes - random.below(flow.bytes);
  return {
    ...flow,
    packets,
    bytes,
    errorPackets: flow.packets - packets + random.below(10),
    errorBytes: flow.bytes - bytes + random.below(10_000),
  };
}

/** A balanced window whose flows vary, some seen often and most seldom. */
export function madeWindow(random: Random, shape: WindowShape): MadeWindow {
  const interfaces = shape.interfaces ?? ["eth0", "eth1"];
  const numbers = new Set<number>();
  while (numbers.size < shape.flows) {
    const common = random.below(2) === 0;
    numbers.add(common ? random.below(Math.max(shape.flows, shape.pool >> 4)) : random.below(shape.pool));
  }
  const flows = Array.from(numbers, (number) => {
    const packets = 1 + Math.floor(10_000 / (1 + number % 97)) + random.below(20);
    return { ...flowNumber(number, interfaces), packets, bytes: packets * (60 + random.below(1400)) };
  });
  flows.sort((a, b) => b.packets - a.packets || b.bytes - a.bytes);
  const withoutRoom = flowsWithoutRoom(random, shape, numbers, interfaces);
  const all = interfaces.flatMap((iface) =>
    DIRECTIONS.map((direction) => {
      const isMine = (flow: FlowRow) => flow.iface === iface && flow.direction === direction;
      const mine = flows.filter(isMine);
      const sum = (of: Traffic[]) => ({
        packets: of.reduce((sum, it) => sum + it.packets, 0),
        bytes: of.reduce((sum, it) => sum + it.bytes, 0),
      });
      const parts = {
        flows: sum(mine),
        overflow: sum([traffic(random, 100), ...withoutRoom.filter(isMine)]),
        other: Object.fromEntries(OTHER_CLASSES.map((name) => [name, traffic(random, 5)])) as Record<
          typeof OTHER_CLASSES[number],
          Traffic
        >,
      };
      const seen = sum([parts.flows, parts.overflow, ...Object.values(parts.other)]);
      return interfaceTraffic({ iface, direction, seen, ...parts });
    })
  );
  const startNs = shape.startUnixNs - DAY_START_NS + 1_000n * NS_PER_S;
  const window = flowWindow({
    sequence: shape.sequence,
    startNs,
    endNs: startNs + shape.lengthNs,
    endUnixNs: shape.startUnixNs + shape.lengthNs,
    flows: flows.length,
    interfaces: all,
    matched: {
      flows: flows.length,
      packets: flows.reduce((sum, it) => sum + it.packets, 0),
      bytes: flows.reduce((sum, it) => sum + it.bytes, 0),
    },
    top: flows.slice(0, shape.topMax),
  });
  if (withoutRoom.length > 0) {
    const estimates = withoutRoom.slice(0, Math.ceil(withoutRoom.length / 2)).map((flow) => estimateOf(random, flow));
    estimates.sort((a, b) => b.packets - a.packets || b.bytes - a.bytes);
    window.overflow = { estimates, prefixes: [], prefixCount: 0, rest: { packets: 0, bytes: 0 } };
  }
  return { window, flows, withoutRoom };
}
