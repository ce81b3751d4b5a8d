/**
 * Which connection a record speaks of, and from which of its ends. A connection is named by its protocol and its two
 * ends in one order, so that both hosts name it alike: the five-tuple, mirrored. Address translation between the hosts
 * breaks this.
 */
import { parseAddress } from "../../net/address.ts";
import { hasPorts, PROTO_TCP } from "../../net/iana.ts";
import type { FleetRecord } from "./correlated_group.ts";
import { isFlow } from "./record.ts";

const MAPPED_PREFIX = "::ffff:";
const LOOPBACK_4 = 127;
const SYN_SENT = "SYN_SENT";
const SYN_RECEIVED = "SYN_RECV";

export interface Sighting {
  /** The same from both ends. */
  connection: string;
  proto: number;
  local: string;
  remote: string;
  localPort: number;
  remotePort: number;
  /** Who began it, where the kernel's socket tells. */
  role: "client" | "server" | null;
}

/**
 * What a record says about a connection between hosts; null where it says nothing. `network_connect` does not: it knows
 * the other end, but not yet its own.
 */
export function sightingOf(record: FleetRecord): Sighting | null {
  if (isFlow(record)) {
    const { proto, direction, src, dst, sport, dport } = record.flow;
    if (!hasPorts(proto)) return null;
    return direction === "egress"
      ? sighting(proto, [src, sport], [dst, dport], null)
      : sighting(proto, [dst, dport], [src, sport], null);
  }
  const { event } = record;
  if (event.event !== "tcp_state") return null;
  const states = [event.oldState, event.newState];
  const role = states.includes(SYN_SENT) ? "client" : states.includes(SYN_RECEIVED) ? "server" : null;
  return sighting(PROTO_TCP, [event.src, event.sport], [event.dst, event.dport], role);
}

type Endpoint = [address: string, port: number];

function sighting(
  proto: number,
  [localAddress, localPort]: Endpoint,
  [remoteAddress, remotePort]: Endpoint,
  role: Sighting["role"],
): Sighting | null {
  // A socket that has no port of its own yet, or that listens.
  if (localPort === 0 || remotePort === 0) return null;
  const from = unmapped(localAddress);
  const to = unmapped(remoteAddress);
  // Every host has these: the same tuple on two hosts is two connections.
  if (isHostOnly(from) || isHostOnly(to)) return null;
  const local = endpoint(from, localPort);
  const remote = endpoint(to, remotePort);
  const connection = local < remote ? `${proto}/${local}/${remote}` : `${proto}/${remote}/${local}`;
  return { connection, proto, local, remote, localPort, remotePort, role };
}

/** A socket that speaks both families shows IPv4 as mapped; a packet does not. */
function unmapped(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes(".") ? address.slice(MAPPED_PREFIX.length) : address;
}

/** Loopback, or no address at all. */
function isHostOnly(address: string): boolean {
  if (address === "::1" || address === "::" || address === "0.0.0.0") return true;
  return address.startsWith(`${LOOPBACK_4}.`) && parseAddress(address) !== null;
}

function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
