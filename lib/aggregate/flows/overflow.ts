/**
 * From what the kernel kept of flows without room (bpf/sketch.h) to an OverflowDetail: source networks, which are exact,
 * and the largest flows, which are estimates within a bound.
 */
import { CANDIDATE, CANDIDATE_SHAPE, PREFIX_BITS, PREFIX_KEY, PREFIX_VALUE } from "../../wire/layouts.gen.ts";
import type { MapBatch, OverflowMemory } from "../../wire/records.ts";
import { formatAddress } from "../../net/address.ts";
import { COUNT_MIN_EPSILON, CountMin } from "./count_min.ts";
import type { PrefixRow, Traffic } from "../windows/flow_window.ts";
import { DIRECTIONS } from "../../wire/traffic.ts";
import type { RankedFlow } from "./top_flows.ts";

/** Source networks that a window names. */
export const PREFIX_ROWS_MAX = 20;

/** A flow without room and its bounds: at least `packets`, at most `errorPackets` more; bytes likewise. */
export interface Candidate extends RankedFlow {
  errorPackets: number;
  errorBytes: number;
}

/** What one flow's slots on all CPUs say. */
type Held = Omit<Candidate, "errorPackets" | "errorBytes"> & { low: number; high: number };

/**
 * The candidates of all CPUs, each flow once, and how much each had.
 *
 * @param keyBytes length of a key, by family
 * @param overflow all that the sketch was given
 */
export function estimateFlows(
  { sketch, candidates }: OverflowMemory,
  keyBytes: { 4: number; 6: number },
  overflow: Traffic,
): Candidate[] {
  const counted = new CountMin(sketch);
  const slackPackets = Math.ceil(COUNT_MIN_EPSILON * overflow.packets);
  const slackBytes = Math.ceil(COUNT_MIN_EPSILON * overflow.bytes);
  return Array.from(heldFlows(candidates, keyBytes).values(), ({ low, high, ...flow }) => {
    const most = counted.upperBound(low, high);
    const packets = Math.max(flow.packets, most.packets - slackPackets);
    const bytes = Math.max(flow.bytes, most.bytes - slackBytes);
    return { ...flow, packets, bytes, errorPackets: most.packets - packets, errorBytes: most.bytes - bytes };
  });
}

function heldFlows(candidates: OverflowMemory["candidates"], keyBytes: { 4: number; 6: number }): Map<string, Held> {
  const { fields } = CANDIDATE;
  const flows = new Map<string, Held>();
  for (let cpu = 0; cpu < candidates.cpus; cpu++) {
    const view = new DataView(candidates.bytes, candidates.byteOffset + cpu * candidates.strideBytes);
    for (let slot = 0, at = 0; slot < CANDIDATE_SHAPE.CANDIDATES; slot++, at += CANDIDATE.size) {
      const family = view.getUint8(at + fields.family.offset);
      if (family !== 4 && family !== 6) continue;
      const flow: Held = {
        family,
        key: new Uint8Array(candidates.bytes, view.byteOffset + at + fields.key.offset, keyBytes[family]),
        packets: Number(view.getBigUint64(at + fields.packets.offset, true)),
        bytes: Number(view.getBigUint64(at + fields.bytes.offset, true)),
        firstSeenJiffies: view.getBigUint64(at + fields.first_seen_jiffies.offset, true),
        lastSeenJiffies: view.getBigUint64(at + fields.last_seen_jiffies.offset, true),
        tcpFlags: view.getUint8(at + fields.tcp_flags.offset),
        low: view.getUint32(at + fields.hash.offset, true),
        high: view.getUint32(at + fields.hash.offset + 4, true),
      };
      const name = String.fromCharCode(family, ...flow.key);
      const other = flows.get(name);
      if (other === undefined) flows.set(name, flow);
      else addHeld(other, flow);
    }
  }
  return flows;
}

/** The same flow on another CPU. */
function addHeld(sum: Held, part: Held): void {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
  sum.tcpFlags |= part.tcpFlags;
  if (part.firstSeenJiffies < sum.firstSeenJiffies) sum.firstSeenJiffies = part.firstSeenJiffies;
  if (part.lastSeenJiffies > sum.lastSeenJiffies) sum.lastSeenJiffies = part.lastSeenJiffies;
}

/** Source networks of one window after another: `addBatch`, then `take`. */
export class PrefixTable {
  readonly #interfaceOfSlot: readonly (string | undefined)[];
  readonly #rows: (Traffic & { key: Uint8Array<ArrayBuffer> })[] = [];

  constructor(interfaceOfSlot: readonly (string | undefined)[]) {
    this.#interfaceOfSlot = interfaceOfSlot;
  }

  addBatch({ count, keys, values }: MapBatch): void {
    const view = new DataView(values.buffer, values.byteOffset);
    for (let entry = 0; entry < count; entry++) {
      const at = entry * PREFIX_VALUE.size;
      this.#rows.push({
        key: keys.slice(entry * PREFIX_KEY.size, (entry + 1) * PREFIX_KEY.size),
        packets: Number(view.getBigUint64(at + PREFIX_VALUE.fields.packets.offset, true)),
        bytes: Number(view.getBigUint64(at + PREFIX_VALUE.fields.bytes.offset, true)),
      });
    }
  }

  /** The largest networks by packets, then bytes, then key; empties the table. */
  take(): { prefixes: PrefixRow[]; prefixCount: number } {
    const rows = this.#rows.splice(0);
    rows.sort((a, b) => b.packets - a.packets || b.bytes - a.bytes || compareKeys(a.key, b.key));
    return {
      prefixes: rows.slice(0, PREFIX_ROWS_MAX).map(({ key, packets, bytes }) => ({
        ...this.#name(key),
        packets,
        bytes,
      })),
      prefixCount: rows.length,
    };
  }

  #name(key: Uint8Array<ArrayBuffer>): Pick<PrefixRow, "iface" | "direction" | "prefix"> {
    const { fields } = PREFIX_KEY;
    const slot = new DataView(key.buffer).getUint16(fields.iface_slot.offset, true);
    const bits = key[fields.family.offset] === 4 ? PREFIX_BITS.PREFIX4_BITS : PREFIX_BITS.PREFIX6_BITS;
    const address = new Uint8Array(bits === PREFIX_BITS.PREFIX4_BITS ? 4 : 16);
    address.set(key.subarray(fields.address.offset, fields.address.offset + bits / 8));
    return {
      iface: this.#interfaceOfSlot[slot] ?? "",
      direction: DIRECTIONS[key[fields.direction.offset]],
      prefix: `${formatAddress(address)}/${bits}`,
    };
  }
}

function compareKeys(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
