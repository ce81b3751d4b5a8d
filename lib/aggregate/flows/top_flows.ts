/**
 * The K largest flows among many, by packets, then bytes, then key, or as another order has it, so that equal traffic
 * always ranks the same. A
 * bounded min-heap (Knuth, The Art of Computer Programming, volume 3, section 5.2.3): most candidates cost one
 * comparison with the smallest flow kept.
 */

import type { FlowOrder } from "../windows/flow_window.ts";

/** A flow that was kept; `key` is the packed C struct. */
export interface RankedFlow {
  family: 4 | 6;
  key: Uint8Array<ArrayBuffer>;
  packets: number;
  bytes: number;
  firstSeenJiffies: bigint;
  lastSeenJiffies: bigint;
  tcpFlags: number;
  /** Segments that its socket sent again; absent where that is not known. */
  retransmits?: number;
}

/** What a flow is ranked by: `keys` holds its packed key from `keyAt` on. */
interface Rank {
  family: 4 | 6;
  packets: number;
  bytes: number;
  /** Looked at only by orders for which `needsFlags`. */
  tcpFlags: number;
  retransmits?: number;
}

const TCP_SYN = 1 << 1;
const TCP_RST = 1 << 2;
const LEADING_FLAG: Partial<Record<FlowOrder, number>> = { resets: TCP_RST, new: TCP_SYN };

/** Whether an order asks for the TCP flags of every flow. */
export function needsFlags(order: FlowOrder): boolean {
  return LEADING_FLAG[order] !== undefined;
}

/** What comes before traffic in an order. */
function leading(order: FlowOrder, { packets, tcpFlags, retransmits = 0 }: Omit<Rank, "family">): number {
  if (order === "retransmits") return retransmits;
  if (order === "retransmit-share") return packets > 0 ? retransmits / packets : 0;
  return tcpFlags & (LEADING_FLAG[order] ?? 0);
}

/** Compares traffic by an order: negative when `a` ranks below `b`, zero when only their keys can tell. */
export function compareTraffic(order: FlowOrder, a: Omit<Rank, "family">, b: Omit<Rank, "family">): number {
  const lead = leading(order, a) - leading(order, b);
  if (lead !== 0) return lead;
  if (order === "bytes") return a.bytes - b.bytes || a.packets - b.packets;
  return a.packets - b.packets || a.bytes - b.bytes;
}

/** Compares a flow whose key lies at `keyAt` of `keys` with one that is kept: negative when it ranks below. */
function compareRank(order: FlowOrder, a: Rank, keys: Uint8Array, keyAt: number, b: RankedFlow): number {
  const traffic = compareTraffic(order, a, b);
  if (traffic !== 0) return traffic;
  if (a.family !== b.family) return b.family - a.family;
  for (let i = 0; i < b.key.length; i++) if (keys[keyAt + i] !== b.key[i]) return b.key[i] - keys[keyAt + i];
  return 0;
}

/** Negative when `a` ranks below `b`; never zero for two flows. */
export function compareFlows(order: FlowOrder, a: RankedFlow, b: RankedFlow): number {
  return compareRank(order, a, a.key, 0, b);
}

export class TopFlows {
  readonly #heap: RankedFlow[] = [];
  readonly #flowsMax: number;
  readonly #order: FlowOrder;

  constructor(flowsMax: number, order: FlowOrder = "packets") {
    this.#flowsMax = flowsMax;
    this.#order = order;
  }

  /**
   * Whether a flow would be kept: asked before anything is made of it. Equal traffic is common (a scan sends one packet
   * a flow), so that the tie is broken here too.
   *
   * @param keyAt where in `keys` its packed key starts
   */
  admits(flow: Rank, keys: Uint8Array, keyAt: number): boolean {
    return this.#heap.length < this.#flowsMax || compareRank(this.#order, flow, keys, keyAt, this.#heap[0]) > 0;
  }

  /** Keeps a flow that was admitted, in place of the least one where there is no room; its key is copied. */
  add(flow: RankedFlow): void {
    const kept = { ...flow, key: flow.key.slice() };
    if (this.#heap.length < this.#flowsMax) {
      this.#heap.push(kept);
      this.#siftUp(this.#heap.length - 1);
    } else {
      this.#heap[0] = kept;
      this.#siftDown(0);
    }
  }

  /** The flows kept, largest first; empties the heap. */
  take(): RankedFlow[] {
    return this.#heap.splice(0).sort((a, b) => compareFlows(this.#order, b, a));
  }

  #siftUp(at: number): void {
    const heap = this.#heap;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compareFlows(this.#order, heap[at], heap[parent]) >= 0) return;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  #siftDown(at: number): void {
    const heap = this.#heap;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && compareFlows(this.#order, heap[child], heap[least]) < 0) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least], heap[at]];
      at = least;
    }
  }
}
