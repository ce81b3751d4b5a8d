/**
 * From one window's drained maps and counters to a FlowWindow: sums by interface and direction, the filter, the top
 * flows. Reads packed C structs in place; makes objects only for flows that rank.
 */
import type { StructLayout } from "../ffi/layout.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE, PACKET_COUNTERS } from "../ffi/layouts.gen.ts";
import type { CounterBlock, MapBatch } from "../records.ts";
import { formatAddress } from "./address.ts";
import { compileFilter, type FilterableFlow, type FilterExpression } from "./filter.ts";
import {
  type Direction,
  type FlowRow,
  type FlowWindow,
  type InterfaceTraffic,
  OTHER_CLASSES,
  type OtherClass,
  type Traffic,
} from "./protocol.ts";
import type { TickClock } from "./tick_clock.ts";
import { type RankedFlow, TopFlows } from "./top_flows.ts";

export interface ReducerOptions {
  /** Names by slot number; a slot without an interface is undefined. */
  interfaceOfSlot: (string | undefined)[];
  /** Values a map entry holds: 1, or the number of CPUs for per-CPU maps. */
  valuesPerEntry: number;
  topMax: number;
  filter: FilterExpression | null;
}

const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];
const WORD_BYTES = 4;
const TWO_TO_32 = 2 ** 32;

/** 32-bit word of a 64-bit field; the high word follows. */
function wordOf(layout: StructLayout, field: string): number {
  return layout.fields[field].offset / WORD_BYTES;
}

const VALUE_WORDS = FLOW_VALUE.size / WORD_BYTES;
const PACKETS = wordOf(FLOW_VALUE, "packets");
const BYTES = wordOf(FLOW_VALUE, "bytes");
const FIRST_SEEN = wordOf(FLOW_VALUE, "first_seen_jiffies");
const LAST_SEEN = wordOf(FLOW_VALUE, "last_seen_jiffies");
const TCP_FLAGS = FLOW_VALUE.fields.tcp_flags_seen;

const FAMILIES = {
  4: { key: FLOW4_KEY, addressBytes: 4 },
  6: { key: FLOW6_KEY, addressBytes: 16 },
} as const;

function noTraffic(): Traffic {
  return { packets: 0, bytes: 0 };
}

/** Reduces one window after another: `addCounters` and `addBatch` in any order, then `finish`. */
export class FlowReducer {
  readonly #options: ReducerOptions;
  readonly #matches: ((flow: FilterableFlow) => boolean) | null;
  readonly #top: TopFlows;
  /** Packets and bytes of the flows, by slot and direction. */
  readonly #flowSums: Float64Array;
  readonly #candidate: FilterableFlow;
  readonly #addresses = { 4: [new Uint8Array(4), new Uint8Array(4)], 6: [new Uint8Array(16), new Uint8Array(16)] };
  #interfaces: (InterfaceTraffic & { sumIndex: number })[] = [];
  #flows = 0;
  #matched = { ...noTraffic(), flows: 0 };

  constructor(options: ReducerOptions) {
    this.#options = options;
    this.#matches = options.filter === null ? null : compileFilter(options.filter);
    this.#top = new TopFlows(options.topMax);
    this.#flowSums = new Float64Array(options.interfaceOfSlot.length * DIRECTIONS.length * 2);
    this.#candidate = {
      family: 4,
      src: this.#addresses[4][0],
      dst: this.#addresses[4][1],
      sport: 0,
      dport: 0,
      proto: 0,
      iface: "",
      direction: "ingress",
    };
  }

  addCounters(block: CounterBlock): void {
    const traffic: InterfaceTraffic & { sumIndex: number } = {
      iface: this.#options.interfaceOfSlot[block.slot] ?? "",
      direction: DIRECTIONS[block.direction],
      seen: noTraffic(),
      flows: noTraffic(),
      overflow: noTraffic(),
      other: Object.fromEntries(OTHER_CLASSES.map((name) => [name, noTraffic()])) as Record<OtherClass, Traffic>,
      sumIndex: (block.slot * DIRECTIONS.length + block.direction) * 2,
    };
    const { fields } = PACKET_COUNTERS;
    for (let cpu = 0; cpu < block.cpus; cpu++) {
      const counters = new DataView(block.bytes, block.byteOffset + cpu * block.strideBytes, PACKET_COUNTERS.size);
      const read = (offset: number) => Number(counters.getBigUint64(offset, true));
      traffic.seen.packets += read(fields.seen_packets.offset);
      traffic.seen.bytes += read(fields.seen_bytes.offset);
      traffic.overflow.packets += read(fields.overflow_packets.offset);
      traffic.overflow.bytes += read(fields.overflow_bytes.offset);
      OTHER_CLASSES.forEach((name, i) => {
        traffic.other[name].packets += read(fields.other_packets.offset + i * 8);
        traffic.other[name].bytes += read(fields.other_bytes.offset + i * 8);
      });
    }
    this.#interfaces.push(traffic);
  }

  addBatch(family: 4 | 6, batch: MapBatch): void {
    const { key } = FAMILIES[family];
    const { valuesPerEntry } = this.#options;
    const sums = this.#flowSums;
    const values = new Uint32Array(batch.values.buffer, batch.values.byteOffset, batch.values.byteLength >> 2);
    const entryWords = VALUE_WORDS * valuesPerEntry;
    const { keys } = batch;
    const rank = { family, packets: 0, bytes: 0 };
    for (let entry = 0; entry < batch.count; entry++) {
      let packets = 0;
      let bytes = 0;
      for (let i = 0, word = entry * entryWords; i < valuesPerEntry; i++, word += VALUE_WORDS) {
        packets += values[word + PACKETS] + values[word + PACKETS + 1] * TWO_TO_32;
        bytes += values[word + BYTES] + values[word + BYTES + 1] * TWO_TO_32;
      }
      const keyAt = entry * key.size;
      const slotAt = keyAt + key.fields.iface_slot.offset;
      const slot = keys[slotAt] | keys[slotAt + 1] << 8;
      const sum = (slot * 2 + keys[keyAt + key.fields.direction.offset]) * 2;
      sums[sum] += packets;
      sums[sum + 1] += bytes;
      if (this.#matches !== null && !this.#matches(this.#decodeKey(family, keys, keyAt))) continue;
      this.#matched.flows++;
      this.#matched.packets += packets;
      this.#matched.bytes += bytes;
      rank.packets = packets;
      rank.bytes = bytes;
      if (this.#top.admits(rank, keys, keyAt)) {
        this.#top.add(this.#ranked(family, batch, values, entry, packets, bytes));
      }
    }
    this.#flows += batch.count;
  }

  /** Lent: the next call overwrites it. */
  #decodeKey(family: 4 | 6, keys: Uint8Array, at: number): FilterableFlow {
    const { key: { fields }, addressBytes } = FAMILIES[family];
    const flow = this.#candidate;
    const [src, dst] = this.#addresses[family];
    for (let i = 0; i < addressBytes; i++) {
      src[i] = keys[at + fields.src.offset + i];
      dst[i] = keys[at + fields.dst.offset + i];
    }
    flow.family = family;
    flow.src = src;
    flow.dst = dst;
    flow.sport = keys[at + fields.sport.offset] << 8 | keys[at + fields.sport.offset + 1];
    flow.dport = keys[at + fields.dport.offset] << 8 | keys[at + fields.dport.offset + 1];
    flow.proto = keys[at + fields.proto.offset];
    flow.direction = DIRECTIONS[keys[at + fields.direction.offset]];
    const slotAt = at + fields.iface_slot.offset;
    flow.iface = this.#options.interfaceOfSlot[keys[slotAt] | keys[slotAt + 1] << 8] ?? "";
    return flow;
  }

  #ranked(
    family: 4 | 6,
    batch: MapBatch,
    values: Uint32Array,
    entry: number,
    packets: number,
    bytes: number,
  ): RankedFlow {
    const { valuesPerEntry } = this.#options;
    const keyBytes = FAMILIES[family].key.size;
    let firstSeenJiffies = 0n;
    let lastSeenJiffies = 0n;
    let tcpFlags = 0;
    for (let i = 0; i < valuesPerEntry; i++) {
      const word = (entry * valuesPerEntry + i) * VALUE_WORDS;
      const read = (at: number) => BigInt(values[at]) | BigInt(values[at + 1]) << 32n;
      const first = read(word + FIRST_SEEN);
      if (first === 0n) continue; // a CPU that saw nothing of this flow
      if (firstSeenJiffies === 0n || first < firstSeenJiffies) firstSeenJiffies = first;
      const last = read(word + LAST_SEEN);
      if (last > lastSeenJiffies) lastSeenJiffies = last;
      const flagsAt = word * WORD_BYTES + TCP_FLAGS.offset;
      for (let bit = 0; bit < TCP_FLAGS.size; bit++) if (batch.values[flagsAt + bit] !== 0) tcpFlags |= 1 << bit;
    }
    const key = batch.keys.subarray(entry * keyBytes, (entry + 1) * keyBytes);
    return { family, key, packets, bytes, firstSeenJiffies, lastSeenJiffies, tcpFlags };
  }

  #row(flow: RankedFlow, clock: TickClock): FlowRow {
    const { src, dst, sport, dport, proto, iface, direction } = this.#decodeKey(flow.family, flow.key, 0);
    const { packets, bytes, tcpFlags } = flow;
    return {
      iface,
      direction,
      src: formatAddress(src),
      dst: formatAddress(dst),
      sport,
      dport,
      proto,
      packets,
      bytes,
      tcpFlags,
      firstSeenNs: clock.toNs(flow.firstSeenJiffies),
      lastSeenNs: clock.toNs(flow.lastSeenJiffies),
    };
  }

  /** The window so far; the next call to `addBatch` or `addCounters` starts the next one. */
  finish(clock: TickClock): Pick<FlowWindow, "flows" | "interfaces" | "matched" | "top"> {
    const interfaces = this.#interfaces.map(({ sumIndex, ...traffic }) => ({
      ...traffic,
      flows: { packets: this.#flowSums[sumIndex], bytes: this.#flowSums[sumIndex + 1] },
    }));
    const top = this.#top.take().map((flow) => this.#row(flow, clock));
    const result = { flows: this.#flows, interfaces, matched: this.#matched, top };
    this.#interfaces = [];
    this.#flows = 0;
    this.#matched = { ...noTraffic(), flows: 0 };
    this.#flowSums.fill(0);
    return result;
  }
}
