/** What a window knows of the flows that found no room in their map. Types only, as protocol.ts. */
import type { Direction, FlowRow, Traffic } from "./protocol.ts";

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
