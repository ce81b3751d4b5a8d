/** The attributes of a connection or a flow in a trace. */
import type { SpanAttributes } from "./event_description.ts";

/** @param transport name of the protocol, as in `tcp` */
export function networkAttributes(
  transport: string,
  [localAddress, localPort]: [string, number],
  [peerAddress, peerPort]: [string, number],
): SpanAttributes {
  return {
    "network.transport": transport,
    "network.type": localAddress.includes(":") ? "ipv6" : "ipv4",
    "network.local.address": localAddress,
    "network.local.port": localPort,
    "network.peer.address": peerAddress,
    "network.peer.port": peerPort,
  };
}
