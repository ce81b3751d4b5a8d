/**
 * Roll-ups: flows grouped by what they have in common, each flow in exactly one group, so that the groups add up to the
 * flows. A group can be opened again: `isIn` accepts its flows and no others.
 */

import { hasPrefix } from "../filter/predicates.ts";
import { type Cidr, formatAddress } from "../net/address.ts";
import { hasPorts, protocolName } from "../net/iana.ts";
import { addBounded, addressKey, type BoundedTraffic, flowKey, type LevelRow } from "./levels.ts";

/**
 * `net`: the far end's network, which is the source's of what comes in and the destination's of what goes out. `port`:
 * the service's, taken to be the lower one; protocols without ports are a group each. `process`: name and pid.
 */
export const GROUPINGS = ["flow", "src", "dst", "net", "port", "proto", "iface", "process", "container"] as const;
export type GroupBy = typeof GROUPINGS[number];

/** Flows whose owner is not known. */
export const UNKNOWN_GROUP = "(unknown)";

/** Flows of processes outside of any container. */
export const NO_CONTAINER_GROUP = "(none)";

/** Addresses in none of the networks that were named. */
export const ELSEWHERE_GROUP = "(elsewhere)";

export interface RollupOptions {
  /** Networks to group by, the longest that matches; none: every /24 and /48. */
  networks: readonly Cidr[];
}

/** What flows have in common, and their sums. */
export interface RollupGroup extends BoundedTraffic {
  /** Tells the group from the others of its kind: `192.0.2.0/24`, `443/tcp`, `curl (1234)`. */
  label: string;
}

/** How flows are grouped. `key` is cheap and asked for each flow, `label` once a group. */
interface Grouping {
  key(row: LevelRow): string;
  label(row: LevelRow): string;
}

const NET_PREFIX = { 4: 24, 6: 48 } as const;

function network(address: Uint8Array, prefix: number): string {
  const masked = address.map((byte, i) => byte & 0xff00 >> Math.min(8, Math.max(0, prefix - 8 * i)));
  return `${formatAddress(masked)}/${prefix}`;
}

function farEnd({ direction, src, dst }: LevelRow): Uint8Array {
  return direction === "ingress" ? src : dst;
}

function byNetwork(networks: readonly Cidr[]): Grouping {
  if (networks.length === 0) {
    return {
      key: (row) => networkKey(row.family, farEnd(row)),
      label: (row) => network(farEnd(row), NET_PREFIX[row.family]),
    };
  }
  const longestFirst = networks.toSorted((a, b) => b.prefix - a.prefix);
  const label = (row: LevelRow) => {
    const end = farEnd(row);
    const found = longestFirst.find((net) => net.address.length === end.length && hasPrefix(end, 0, net));
    return found === undefined ? ELSEWHERE_GROUP : `${formatAddress(found.address)}/${found.prefix}`;
  };
  return { key: label, label };
}

/** The bytes of a /24 or a /48. */
function networkKey(family: 4 | 6, bytes: Uint8Array): string {
  if (family === 4) return String.fromCharCode(bytes[0] << 8 | bytes[1], bytes[2]);
  return String.fromCharCode(bytes[0] << 8 | bytes[1], bytes[2] << 8 | bytes[3], bytes[4] << 8 | bytes[5]);
}

function servicePort({ sport, dport }: LevelRow): number {
  return Math.min(sport, dport);
}

function flowLabel({ iface, direction, src, dst, sport, dport, proto }: LevelRow): string {
  const end = (address: Uint8Array, port: number) =>
    hasPorts(proto) ? `${formatAddress(address)} ${port}` : formatAddress(address);
  return `${protocolName(proto)} ${end(src, sport)} > ${end(dst, dport)} ${iface} ${direction}`;
}

function groupingOf(by: GroupBy, { networks }: RollupOptions): Grouping {
  switch (by) {
    case "flow":
      return { key: flowKey, label: flowLabel };
    case "src":
      return { key: (row) => addressKey(row.src), label: (row) => formatAddress(row.src) };
    case "dst":
      return { key: (row) => addressKey(row.dst), label: (row) => formatAddress(row.dst) };
    case "net":
      return byNetwork(networks);
    case "port":
      return {
        key: (row) => hasPorts(row.proto) ? `${row.proto}/${servicePort(row)}` : `${row.proto}`,
        label: (row) =>
          hasPorts(row.proto) ? `${servicePort(row)}/${protocolName(row.proto)}` : protocolName(row.proto),
      };
    case "proto":
      return { key: (row) => `${row.proto}`, label: (row) => protocolName(row.proto) };
    case "iface":
      return { key: (row) => row.iface, label: (row) => row.iface };
    case "process":
      return {
        key: ({ comm, pid }) => comm === undefined && pid === undefined ? "" : `${pid ?? ""}/${comm ?? ""}`,
        label: ({ comm, pid }) => {
          if (comm === undefined && pid === undefined) return UNKNOWN_GROUP;
          return pid === undefined ? `${comm}` : `${comm ?? "?"} (${pid})`;
        },
      };
    case "container":
      return {
        key: ({ container }) => container === undefined ? "" : `/${container}`,
        label: ({ container }) => container === "" ? NO_CONTAINER_GROUP : container ?? UNKNOWN_GROUP,
      };
    default:
      return by satisfies never;
  }
}

/** Flows by group. */
export class Rollup {
  readonly #grouping: Grouping;
  readonly #groups = new Map<string, RollupGroup>();

  constructor(by: GroupBy, options: RollupOptions = { networks: [] }) {
    this.#grouping = groupingOf(by, options);
  }

  /** Adds a flow; it may be lent. @returns its group */
  add(row: LevelRow): RollupGroup {
    const key = this.#grouping.key(row);
    let group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, group = { label: this.#grouping.label(row), packets: 0n, bytes: 0n });
    }
    addBounded(group, row);
    return group;
  }

  /** All groups, largest first; equal ones by label. */
  groups(rank: "packets" | "bytes" = "packets"): RollupGroup[] {
    return Array.from(this.#groups.values()).sort((a, b) => {
      if (a[rank] !== b[rank]) return a[rank] < b[rank] ? 1 : -1;
      return a.label < b.label ? -1 : 1;
    });
  }
}

/** A predicate that accepts the flows of one group: that with this label. It remembers what it has seen. */
export function isIn(
  by: GroupBy,
  label: string,
  options: RollupOptions = { networks: [] },
): (row: LevelRow) => boolean {
  const grouping = groupingOf(by, options);
  const accepted = new Map<string, boolean>();
  return (row) => {
    const key = grouping.key(row);
    let is = accepted.get(key);
    if (is === undefined) accepted.set(key, is = grouping.label(row) === label);
    return is;
  };
}
