/**
 * From one window's drained maps and counters to a FlowWindow: sums by interface and direction, the filter, the top
 * flows. Reads packed C structs in place; makes objects only for flows that rank.
 */
import type { FlowOwnerSource } from "../owners/flow_owner_source.ts";
import type { StructLayout } from "../../wire/layout.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE, PACKET_COUNTERS } from "../../wire/layouts.gen.ts";
import type { CounterBlock, MapBatch, OverflowMemory } from "../../wire/records.ts";
import { formatAddress } from "../../net/address.ts";
import { compileFlowFilter, type FilterableFlow } from "../../filter/flows.ts";
import type { FlowFilter } from "../../filter/language.ts";
import { type Candidate as OverflowCandidate, estimateFlows, PrefixTable } from "./overflow.ts";
import type {
  FlowAttribution,
  FlowOrder,
  FlowRow,
  FlowWindow,
  InterfaceTraffic,
  OverflowDetail,
  Traffic,
} from "../windows/flow_window.ts";
import type { ProcessIdentity } from "../../processes/process_identity.ts";
import { type Direction, DIRECTIONS, OTHER_CLASSES, type OtherClass } from "../../wire/traffic.ts";
import type { RetransmitTable } from "../retransmits/retransmit_table.ts";
import type { TickClock } from "../windows/tick_clock.ts";
import { compareFlows, needsFlags, type RankedFlow, TopFlows } from "./top_flows.ts";

export interface ReducerOptions {
  /** Names by slot number; a slot without an interface is undefined. */
  interfaceOfSlot: (string | undefined)[];
  /** Values a map entry holds: 1, or the number of CPUs for per-CPU maps. */
  valuesPerEntry: number;
  topMax: number;
  /** Absent: packets. */
  order?: FlowOrder;
  filter: FlowFilter | null;
  /** null: nobody asks whose flow it is. */
  owners?: FlowOwnerSource | null;
  /** Of the same window; null: nobody asks what was sent again. */
  retransmits?: RetransmitTable | null;
}

/** A flow under the filter: its owner is looked for when it is asked for, and once. */
class Candidate implements FilterableFlow {
  family: 4 | 6 = 4;
  src = new Uint8Array(4);
  dst = new Uint8Array(4);
  sport = 0;
  dport = 0;
  proto = 0;
  iface = "";
  direction: Direction = "ingress";
  readonly #owners: FlowOwnerSource | null;
  #owner: ProcessIdentity | null | undefined;

  constructor(owners: FlowOwnerSource | null) {
    this.#owners = owners;
  }

  /** It is another flow now. */
  renew(): void {
    this.#owner = undefined;
  }

  get isAsked(): boolean {
    return this.#owner !== undefined;
  }

  get owner(): ProcessIdentity | null {
    if (this.#owner === undefined) this.#owner = this.#owners?.ownerOf(this) ?? null;
    return this.#owner;
  }

  get pid(): number | undefined {
    return this.owner?.pid;
  }

  get comm(): string | undefined {
    return this.owner?.comm;
  }

  get container(): string | undefined {
    const { owner } = this;
    return owner === null ? undefined : this.#owners!.containerOf(owner);
  }
}

/**
 * Flows of a window whose owners are looked up for the sum, at 5 to 15 microseconds each, which is more than all else
 * that is done with a flow; beyond them only those that a filter asks about and those that are shown.
 */
const OWNERS_ASKED_MAX = 2_048;

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

function noAttribution(): FlowAttribution {
  return { attributed: noTraffic(), unattributed: noTraffic(), unasked: noTraffic() };
}

/** Reduces one window after another: `addCounters` and `addBatch` in any order, then `finish`. */
export class FlowReducer {
  readonly #options: ReducerOptions;
  readonly #matches: ((flow: FilterableFlow) => boolean) | null;
  readonly #top: TopFlows;
  /** Packets and bytes of the flows, by slot and direction. */
  readonly #flowSums: Float64Array;
  readonly #candidate: Candidate;
  readonly #addresses = { 4: [new Uint8Array(4), new Uint8Array(4)], 6: [new Uint8Array(16), new Uint8Array(16)] };
  #interfaces: (InterfaceTraffic & { sumIndex: number })[] = [];
  #flows = 0;
  #matched = { ...noTraffic(), flows: 0 };
  #attribution = noAttribution();
  #ownersAsked = 0;
  readonly #order: FlowOrder;
  readonly #prefixes: PrefixTable;
  #overflow = { ...noTraffic(), rest: noTraffic() };
  #estimates: OverflowCandidate[] = [];

  constructor(options: ReducerOptions) {
    this.#options = options;
    this.#matches = options.filter === null ? null : compileFlowFilter(options.filter);
    this.#order = options.order ?? "packets";
    this.#top = new TopFlows(options.topMax, this.#order);
    this.#prefixes = new PrefixTable(options.interfaceOfSlot);
    this.#flowSums = new Float64Array(options.interfaceOfSlot.length * DIRECTIONS.length * 2);
    this.#candidate = new Candidate(options.owners ?? null);
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
      this.#overflow.rest.packets += read(fields.rest_packets.offset);
      this.#overflow.rest.bytes += read(fields.rest_bytes.offset);
      OTHER_CLASSES.forEach((name, i) => {
        traffic.other[name].packets += read(fields.other_packets.offset + i * 8);
        traffic.other[name].bytes += read(fields.other_bytes.offset + i * 8);
      });
    }
    this.#overflow.packets += traffic.overflow.packets;
    this.#overflow.bytes += traffic.overflow.bytes;
    this.#interfaces.push(traffic);
  }

  /** Whether the window has flows without room, as far as its counters are added. */
  get overflowed(): boolean {
    return this.#overflow.packets > 0;
  }

  /** Adds source networks of flows without room. */
  addPrefixes(batch: MapBatch): void {
    this.#prefixes.addBatch(batch);
  }

  /** Takes what was kept of the flows without room, all counters of the window having been added. */
  addEstimates(memory: OverflowMemory): void {
    const candidates = estimateFlows(memory, { 4: FLOW4_KEY.size, 6: FLOW6_KEY.size }, this.#overflow)
      .filter(({ family, key }) => this.#matches === null || this.#matches(this.#decodeKey(family, key, 0)));
    candidates.sort((a, b) => compareFlows(this.#order, b, a));
    // The memory is lent.
    this.#estimates = candidates.slice(0, this.#options.topMax).map((flow) => ({ ...flow, key: flow.key.slice() }));
  }

  addBatch(family: 4 | 6, batch: MapBatch): void {
    const { key } = FAMILIES[family];
    const { valuesPerEntry, retransmits } = this.#options;
    const sums = this.#flowSums;
    const values = new Uint32Array(batch.values.buffer, batch.values.byteOffset, batch.values.byteLength >> 2);
    const entryWords = VALUE_WORDS * valuesPerEntry;
    const { keys } = batch;
    const rank = { family, packets: 0, bytes: 0, tcpFlags: 0, retransmits: 0 };
    const ranksFlags = needsFlags(this.#order);
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
      // Of every flow, whatever the filter: what was sent again is then either a flow's or nobody's.
      const sentAgain = retransmits?.segmentsOf(family, keys, keyAt) ?? null;
      const looksAt = this.#matches !== null || this.#mayAsk();
      const flow = looksAt ? this.#decodeKey(family, keys, keyAt) : null;
      if (this.#matches !== null && !this.#matches(flow!)) continue;
      this.#matched.flows++;
      this.#matched.packets += packets;
      this.#matched.bytes += bytes;
      this.#attribute(flow, packets, bytes);
      rank.packets = packets;
      rank.bytes = bytes;
      rank.retransmits = sentAgain ?? 0;
      if (ranksFlags) rank.tcpFlags = this.#tcpFlags(batch, entry);
      if (this.#top.admits(rank, keys, keyAt)) {
        const ranked = this.#ranked(family, batch, values, entry, packets, bytes);
        this.#top.add(sentAgain === null ? ranked : { ...ranked, retransmits: sentAgain });
      }
    }
    this.#flows += batch.count;
  }

  /** Whether one more flow may be looked up for the sum. */
  #mayAsk(): boolean {
    const { owners } = this.#options;
    return owners !== null && owners !== undefined && this.#ownersAsked < OWNERS_ASKED_MAX;
  }

  /** @param flow null for one that is not to be looked up */
  #attribute(flow: Candidate | null, packets: number, bytes: number): void {
    const { attributed, unattributed, unasked } = this.#attribution;
    let sum = unasked;
    if (flow !== null && (flow.isAsked || this.#mayAsk())) {
      if (!flow.isAsked) this.#ownersAsked++;
      sum = flow.owner === null ? unattributed : attributed;
    }
    sum.packets += packets;
    sum.bytes += bytes;
  }

  /** Lent: the next call overwrites it. */
  #decodeKey(family: 4 | 6, keys: Uint8Array, at: number): Candidate {
    const { key: { fields }, addressBytes } = FAMILIES[family];
    const flow = this.#candidate;
    flow.renew();
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

  /** Union of those that each CPU saw. */
  #tcpFlags({ values }: MapBatch, entry: number): number {
    const { valuesPerEntry } = this.#options;
    let tcpFlags = 0;
    for (let i = 0; i < valuesPerEntry; i++) {
      const at = (entry * valuesPerEntry + i) * FLOW_VALUE.size + TCP_FLAGS.offset;
      for (let bit = 0; bit < TCP_FLAGS.size; bit++) if (values[at + bit] !== 0) tcpFlags |= 1 << bit;
    }
    return tcpFlags;
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
    for (let i = 0; i < valuesPerEntry; i++) {
      const word = (entry * valuesPerEntry + i) * VALUE_WORDS;
      const read = (at: number) => BigInt(values[at]) | BigInt(values[at + 1]) << 32n;
      const first = read(word + FIRST_SEEN);
      if (first === 0n) continue; // a CPU that saw nothing of this flow
      if (firstSeenJiffies === 0n || first < firstSeenJiffies) firstSeenJiffies = first;
      const last = read(word + LAST_SEEN);
      if (last > lastSeenJiffies) lastSeenJiffies = last;
    }
    const tcpFlags = this.#tcpFlags(batch, entry);
    const key = batch.keys.subarray(entry * keyBytes, (entry + 1) * keyBytes);
    return { family, key, packets, bytes, firstSeenJiffies, lastSeenJiffies, tcpFlags };
  }

  #row(flow: RankedFlow, clock: Pick<TickClock, "toNs">): FlowRow {
    const candidate = this.#decodeKey(flow.family, flow.key, 0);
    const { src, dst, sport, dport, proto, iface, direction, owner } = candidate;
    const { packets, bytes, tcpFlags, retransmits } = flow;
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
      ...retransmits !== undefined && { retransmits },
      firstSeenNs: clock.toNs(flow.firstSeenJiffies),
      lastSeenNs: clock.toNs(flow.lastSeenJiffies),
      ...owner !== null && this.#ownerFields(owner),
    };
  }

  #ownerFields(owner: ProcessIdentity): Required<Pick<FlowRow, "pid" | "comm" | "exe" | "container" | "podUid">> {
    const { exe, container, podUid } = this.#options.owners!.describe(owner);
    return { pid: owner.pid, comm: owner.comm, exe, container, podUid };
  }

  /** The window so far; the next call to `addBatch` or `addCounters` starts the next one. */
  finish(
    clock: Pick<TickClock, "toNs">,
  ): Pick<FlowWindow, "flows" | "interfaces" | "matched" | "top" | "overflow" | "attribution"> {
    const interfaces = this.#interfaces.map(({ sumIndex, ...traffic }) => ({
      ...traffic,
      flows: { packets: this.#flowSums[sumIndex], bytes: this.#flowSums[sumIndex + 1] },
    }));
    const top = this.#top.take().map((flow) => this.#row(flow, clock));
    const hasOwners = (this.#options.owners ?? null) !== null;
    const attribution = hasOwners ? { attribution: this.#attribution } : {};
    const overflow = this.overflowed ? { overflow: this.#overflowDetail(clock) } : {};
    const result = { flows: this.#flows, interfaces, matched: this.#matched, top, ...overflow, ...attribution };
    this.#interfaces = [];
    this.#flows = 0;
    this.#matched = { ...noTraffic(), flows: 0 };
    this.#attribution = noAttribution();
    this.#ownersAsked = 0;
    this.#overflow = { ...noTraffic(), rest: noTraffic() };
    this.#estimates = [];
    this.#flowSums.fill(0);
    return result;
  }

  #overflowDetail(clock: Pick<TickClock, "toNs">): OverflowDetail {
    const estimates = this.#estimates.map((flow) => ({
      ...this.#row(flow, clock),
      errorPackets: flow.errorPackets,
      errorBytes: flow.errorBytes,
    }));
    return { estimates, ...this.#prefixes.take(), rest: this.#overflow.rest };
  }
}
