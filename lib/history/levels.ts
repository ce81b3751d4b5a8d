/**
 * Levels of windows: minutes made of the windows that were counted, hours of minutes, days of hours. Every sum of a
 * coarse window is the sum of its parts, exactly; what is bounded is how many flows it names.
 *
 * A window names at most so many flows; the packets and bytes of the others are in `rest`, by interface and direction.
 * Merging adds up the rows of a flow, keeps the largest and moves the others to `rest`. So a flow's row can be less than
 * what the flow sent, by what it sent while it was not named: at most `floorPackets`, the sum of the packets that an
 * unnamed flow can have had in each part, and of the largest row cut off by the merge. The bound is that of Misra-Gries
 * summaries under merging (Agarwal et al., Mergeable Summaries, PODS 2012).
 *
 * Flows that found no room in the kernel's map are in `overflow`, an exact sum. The largest of them are named by estimates,
 * rows of their own kind: each is part of `overflow`, and no other sum has it. Merging adds up the estimates of a flow,
 * and their bounds; one that is cut off stays in `overflow` like all that no estimate names.
 */

import type { FilterableFlow } from "../filter/flows.ts";
import { parseAddress } from "../net/address.ts";
import { type Direction, OTHER_CLASSES } from "../wire/traffic.ts";
import type { FlowRow, FlowWindow } from "../aggregate/windows/flow_window.ts";
import type { TrafficTotal } from "../aggregate/flows/totals.ts";

const NS_PER_S = 1_000_000_000n;

/** From the windows as they were counted to days. A coarser level's length is a multiple of the finer one's. */
export const LEVELS = [
  { name: "1s", lengthNs: NS_PER_S },
  { name: "1m", lengthNs: 60n * NS_PER_S },
  { name: "1h", lengthNs: 3_600n * NS_PER_S },
  { name: "1d", lengthNs: 86_400n * NS_PER_S },
] as const;

export type LevelName = typeof LEVELS[number]["name"];
export const LEVEL_NAMES: readonly LevelName[] = LEVELS.map(({ name }) => name);

/** What a packet was counted as. `seen = flows + overflow + the other classes`, `flows = rows + rest`. */
export const TRAFFIC_CLASSES = ["seen", "flows", "overflow", ...OTHER_CLASSES, "rest"] as const;
export type TrafficClass = typeof TRAFFIC_CLASSES[number];

/** Who sent or received a flow's packets, where that is known. */
export type FlowOwner = Pick<FilterableFlow, "pid" | "comm" | "container">;

/** What was counted; where estimates are in it, it is the least, and at most so many more. */
export interface BoundedTraffic extends TrafficTotal {
  /** Both are absent where all of it is exact. */
  errorPackets?: bigint;
  errorBytes?: bigint;
}

/** A flow of a window, or the estimate of one. Where it is lent, its addresses hold for the time of the call only. */
export interface LevelRow extends FilterableFlow, BoundedTraffic {
  tcpFlags: number;
}

/** What one interface saw in one direction. */
export interface LevelTraffic {
  iface: string;
  direction: Direction;
  classes: Record<TrafficClass, TrafficTotal>;
}

/** A window of any level. */
export interface LevelWindow {
  /** Index in LEVELS. */
  level: number;
  /** Nanoseconds since the epoch; those of the first and the last part. */
  startNs: bigint;
  endNs: bigint;
  /** How long packets were counted: less than end - start where there are gaps, more where a clock was set back. */
  coveredNs: bigint;
  /** Windows of level 0 in it. */
  windows: number;
  /** Flows summed over these windows: a flow counts once in each that saw it. */
  flows: bigint;
  /** What a flow's row may lack, and the most that a flow without a row can have had; overflow apart. */
  floorPackets: bigint;
  traffic: LevelTraffic[];
  /** Largest first. */
  rows: LevelRow[];
  /** Flows of the overflow, largest first: no more of an interface than its overflow. */
  estimates: LevelRow[];
}

/** Start of the UTC minute, hour or day (or second) that `unixNs` lies in. */
export function alignedStart(level: number, unixNs: bigint): bigint {
  const { lengthNs } = LEVELS[level];
  return unixNs - (unixNs % lengthNs + lengthNs) % lengthNs;
}

/**
 * A window as it was counted. Its place in time is where it began: one that passes a full minute belongs to the minute
 * before, whole, because its packets carry no time of their own.
 *
 * @throws {RangeError} when its rows are not part of its interfaces' traffic
 */
export function levelOf(window: FlowWindow, rowsMax: number): LevelWindow {
  const traffic = window.interfaces.map(({ iface, direction, seen, flows, overflow, other }): LevelTraffic => {
    const counted = { seen, flows, overflow, ...other, rest: flows };
    const classes = Object.fromEntries(
      Object.entries(counted).map((
        [name, { packets, bytes }],
      ) => [name, { packets: BigInt(packets), bytes: BigInt(bytes) }]),
    ) as Record<TrafficClass, TrafficTotal>;
    return { iface, direction, classes };
  });
  const rests = new Map(traffic.map((it) => [interfaceKey(it), it.classes.rest]));
  const rows = window.top.slice(0, rowsMax).map(levelRow);
  for (const row of rows) {
    const rest = rests.get(interfaceKey(row));
    if (rest === undefined || rest.packets < row.packets || rest.bytes < row.bytes) {
      throw new RangeError(`Cannot keep window ${window.sequence}: a flow has more than its interface ${row.iface}`);
    }
    rest.packets -= row.packets;
    rest.bytes -= row.bytes;
  }
  const coveredNs = window.endNs - window.startNs;
  return {
    level: 0,
    startNs: window.endUnixNs - coveredNs,
    endNs: window.endUnixNs,
    coveredNs,
    windows: 1,
    flows: BigInt(window.flows),
    floorPackets: floorOf(window, rows.length, traffic),
    traffic,
    rows,
    estimates: estimatesOf(window, rowsMax, traffic),
  };
}

/**
 * An estimate may say too much. It is lowered to what is left of its interface's overflow, and its upper bound stays, so
 * that sums stay exact.
 */
function estimatesOf({ overflow }: FlowWindow, rowsMax: number, traffic: LevelTraffic[]): LevelRow[] {
  if (overflow === undefined) return [];
  const left = new Map(traffic.map((it) => [interfaceKey(it), { ...it.classes.overflow }]));
  return overflow.estimates.slice(0, rowsMax).map((estimate) => {
    const row = levelRow(estimate);
    const room = left.get(interfaceKey(row)) ?? { packets: 0n, bytes: 0n };
    const packets = row.packets < room.packets ? row.packets : room.packets;
    const bytes = row.bytes < room.bytes ? row.bytes : room.bytes;
    room.packets -= packets;
    room.bytes -= bytes;
    return {
      ...row,
      packets,
      bytes,
      errorPackets: BigInt(estimate.errorPackets) + row.packets - packets,
      errorBytes: BigInt(estimate.errorBytes) + row.bytes - bytes,
    };
  }).filter(({ packets }) => packets > 0n);
}

/** The most packets that a flow without a row can have had. */
function floorOf({ top, flows, matched }: FlowWindow, rows: number, traffic: LevelTraffic[]): bigint {
  if (rows === flows) return 0n;
  const most = traffic.reduce((most, { classes: { rest } }) => rest.packets > most ? rest.packets : most, 0n);
  // Rows rank by packets among the flows that a filter accepts; of the others nothing else is known.
  const least = top[rows] ?? top.at(-1);
  if (matched.flows !== flows || least === undefined) return most;
  const floor = BigInt(least.packets);
  return floor < most ? floor : most;
}

/** The same hosts come in each window, and parsing an address costs more than all else that is done with its row. */
const ADDRESSES_MAX = 8_192;
const addresses = new Map<string, Uint8Array>();

/** Bytes of an address in text, which nobody may change. */
function addressOf(text: string): Uint8Array {
  let address = addresses.get(text);
  if (address === undefined) {
    const parsed = parseAddress(text);
    if (parsed === null) throw new RangeError(`Cannot keep a flow: ${JSON.stringify(text)} is no address`);
    if (addresses.size >= ADDRESSES_MAX) addresses.clear();
    addresses.set(text, address = parsed);
  }
  return address;
}

function levelRow(row: FlowRow & FlowOwner): LevelRow {
  const { iface, direction, sport, dport, proto, tcpFlags, pid, comm, container } = row;
  const src = addressOf(row.src);
  return {
    family: src.length === 4 ? 4 : 6,
    iface,
    direction,
    src,
    dst: addressOf(row.dst),
    sport,
    dport,
    proto,
    tcpFlags,
    packets: BigInt(row.packets),
    bytes: BigInt(row.bytes),
    ...pid !== undefined && { pid },
    ...comm !== undefined && { comm },
    ...container !== undefined && { container },
  };
}

/** A copy that may be kept. */
export function copyRow(row: LevelRow): LevelRow {
  return { ...row, src: row.src.slice(), dst: row.dst.slice() };
}

/** Two UTF-16 units for IPv4, eight for IPv6: a key for a Map, much cheaper than the address as text. */
export function addressKey(bytes: Uint8Array): string {
  const unit = (at: number) => bytes[at] << 8 | bytes[at + 1];
  if (bytes.length === 4) return String.fromCharCode(unit(0), unit(2));
  return String.fromCharCode(unit(0), unit(2), unit(4), unit(6), unit(8), unit(10), unit(12), unit(14));
}

/** What tells two flows apart: interface, direction, five-tuple, and whose they are. */
export function flowKey(row: LevelRow): string {
  const { src, dst, sport, dport, proto, iface, direction, pid, comm, container } = row;
  const kind = proto << 2 | (row.family === 6 ? 2 : 0) | (direction === "egress" ? 1 : 0);
  const tuple = String.fromCharCode(kind, sport, dport) + addressKey(src) + addressKey(dst);
  // Names of interfaces hold no slash.
  const owned = pid !== undefined || comm !== undefined || container !== undefined;
  return owned ? `${tuple}${iface}/${JSON.stringify([pid, comm, container])}` : tuple + iface;
}

function interfaceKey({ iface, direction }: { iface: string; direction: Direction }): string {
  return `${direction}/${iface}`;
}

/** Largest first; equal ones in the order of their keys, so that equal windows give equal results. */
function rankRows(a: [string, LevelRow], b: [string, LevelRow]): number {
  const [[aKey, aRow], [bKey, bRow]] = [a, b];
  if (aRow.packets !== bRow.packets) return aRow.packets < bRow.packets ? 1 : -1;
  if (aRow.bytes !== bRow.bytes) return aRow.bytes < bRow.bytes ? 1 : -1;
  return aKey < bKey ? -1 : 1;
}

/** No traffic in any class. */
export function noClasses(): Record<TrafficClass, TrafficTotal> {
  const classes = TRAFFIC_CLASSES.map((name) => [name, { packets: 0n, bytes: 0n }]);
  return Object.fromEntries(classes) as Record<TrafficClass, TrafficTotal>;
}

/** Adds up class by class, in place. */
export function addClasses(
  sum: Record<TrafficClass, TrafficTotal>,
  part: Record<TrafficClass, TrafficTotal>,
): void {
  for (const name of TRAFFIC_CLASSES) {
    sum[name].packets += part[name].packets;
    sum[name].bytes += part[name].bytes;
  }
}

/** Adds up, in place. */
export function addBounded(sum: BoundedTraffic, part: BoundedTraffic): void {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
  if (part.errorPackets === undefined) return;
  sum.errorPackets = (sum.errorPackets ?? 0n) + part.errorPackets;
  sum.errorBytes = (sum.errorBytes ?? 0n) + part.errorBytes!;
}

/** Makes one window out of several, one part after another; what it holds is bounded by the parts' rows. */
export class WindowMerger {
  readonly #level: number;
  readonly #traffic = new Map<string, LevelTraffic>();
  readonly #rows = new Map<string, LevelRow>();
  readonly #estimates = new Map<string, LevelRow>();
  #sum: Pick<LevelWindow, "startNs" | "endNs" | "coveredNs" | "windows" | "flows" | "floorPackets"> | undefined;

  constructor(level: number) {
    this.#level = level;
  }

  /** Adds what a part has besides its rows. */
  addWindow(part: Omit<LevelWindow, "rows" | "estimates">): void {
    const { startNs, endNs, coveredNs, windows, flows, floorPackets } = part;
    if (this.#sum === undefined) {
      this.#sum = { startNs, endNs, coveredNs, windows, flows, floorPackets };
    } else {
      const sum = this.#sum;
      if (startNs < sum.startNs) sum.startNs = startNs;
      if (endNs > sum.endNs) sum.endNs = endNs;
      sum.coveredNs += coveredNs;
      sum.windows += windows;
      sum.flows += flows;
      sum.floorPackets += floorPackets;
    }
    for (const { iface, direction, classes } of part.traffic) this.#trafficOf(iface, direction, classes);
  }

  #trafficOf(iface: string, direction: Direction, classes: Record<TrafficClass, TrafficTotal>): void {
    const key = interfaceKey({ iface, direction });
    let sum = this.#traffic.get(key);
    if (sum === undefined) this.#traffic.set(key, sum = { iface, direction, classes: noClasses() });
    addClasses(sum.classes, classes);
  }

  /** Adds a row or an estimate of a part; it may be lent. */
  addRow(row: LevelRow): void {
    const rows = row.errorPackets === undefined ? this.#rows : this.#estimates;
    const key = flowKey(row);
    const sum = rows.get(key);
    if (sum === undefined) {
      rows.set(key, copyRow(row));
    } else {
      addBounded(sum, row);
      sum.tcpFlags |= row.tcpFlags;
    }
  }

  /** @throws {RangeError} when no part was added */
  finish(rowsMax: number): LevelWindow {
    if (this.#sum === undefined) throw new RangeError("Cannot merge windows: there is none");
    const ranked = Array.from(this.#rows).sort(rankRows).map(([, row]) => row);
    const cut = ranked.slice(rowsMax);
    for (const row of cut) {
      const { rest } = this.#traffic.get(interfaceKey(row))!.classes;
      rest.packets += row.packets;
      rest.bytes += row.bytes;
    }
    return {
      level: this.#level,
      ...this.#sum,
      floorPackets: this.#sum.floorPackets + (cut[0]?.packets ?? 0n),
      traffic: Array.from(this.#traffic.values()),
      rows: ranked.slice(0, rowsMax),
      estimates: Array.from(this.#estimates).sort(rankRows).slice(0, rowsMax).map(([, row]) => row),
    };
  }
}

/** Merges whole windows. @throws {RangeError} when there is none */
export function mergeWindows(level: number, parts: readonly LevelWindow[], rowsMax: number): LevelWindow {
  const merger = new WindowMerger(level);
  for (const part of parts) {
    merger.addWindow(part);
    for (const row of [...part.rows, ...part.estimates]) merger.addRow(row);
  }
  return merger.finish(rowsMax);
}
