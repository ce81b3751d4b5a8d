/**
 * The connection that a record belongs to, and the end of it that the record shows. A connection's name is made of its
 * protocol and its two ends in a fixed order, so that both hosts give it the same name. Where addresses are translated
 * between the hosts, the names differ.
 */
import { parseAddress } from "../../net/address.ts";
import { hasPorts, PROTO_TCP } from "../../net/iana.ts";
import type { FleetRecord } from "./correlated_group.ts";
import { isFlow } from "./record.ts";

const MAPPED_PREFIX = "::ffff:";
const LOOPBACK_4 = 127;
const SYN_SENT = "SYN_SENT";
const SYN_RECEIVED = "SYN_RECV";

/** A connection as one record shows it: from one of its ends. */
export interface ConnectionView {
  /** The name of the connection, the same from both ends. */
  connection: string;
  proto: number;
  local: string;
  remote: string;
  localPort: number;
  remotePort: number;
  /** The role of the local end, where the kernel's socket tells it. */
  role: "client" | "server" | null;
}

/**
 * The connection between hosts that a record belongs to; null where there is none. An event of type `network_connect`
 * has none, because the local end is not known yet when it happens.
 */
export function connectionViewOf(record: FleetRecord): ConnectionView | null {
  if (isFlow(record)) {
    const { proto, direction, src, dst, sport, dport } = record.flow;
    if (!hasPorts(proto)) return null;
    return direction === "egress"
      ? connectionView(proto, [src, sport], [dst, dport], null)
      : connectionView(proto, [dst, dport], [src, sport], null);
  }
  const { event } = record;
  if (event.event !== "tcp_state") return null;
  const states = [event.oldState, event.newState];
  const role = states.includes(SYN_SENT) ? "client" : states.includes(SYN_RECEIVED) ? "server" : null;
  return connectionView(PROTO_TCP, [event.src, event.sport], [event.dst, event.dport], role);
}

type Endpoint = [address: string, port: number];

function connectionView(
  proto: number,
  [localAddress, localPort]: Endpoint,
  [remoteAddress, remotePort]: Endpoint,
  role: ConnectionView["role"],
): ConnectionView | null {
  // The socket has no local port yet, or it listens.
  if (localPort === 0 || remotePort === 0) return null;
  const from = unmapped(localAddress);
  const to = unmapped(remoteAddress);
  // Every host has these addresses: the same five-tuple on two hosts is two connections.
  if (isHostOnly(from) || isHostOnly(to)) return null;
  const local = endpoint(from, localPort);
  const remote = endpoint(to, remotePort);
  const connection = local < remote ? `${proto}/${local}/${remote}` : `${proto}/${remote}/${local}`;
  return { connection, proto, local, remote, localPort, remotePort, role };
}

/** The IPv4 address of a mapped one: sockets of both families show IPv4 addresses as mapped, and packets do not. */
function unmapped(address: string): string {
  return address.startsWith(MAPPED_PREFIX) && address.includes(".") ? address.slice(MAPPED_PREFIX.length) : address;
}

/** True for loopback addresses and for unspecified ones. */
function isHostOnly(address: string): boolean {
  if (address === "::1" || address === "::" || address === "0.0.0.0") return true;
  return address.startsWith(`${LOOPBACK_4}.`) && parseAddress(address) !== null;
}

function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
