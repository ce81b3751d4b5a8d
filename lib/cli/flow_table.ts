/** Rows of the tables of flows: what is shown of a flow, and how an endpoint is shortened. */

import { hasPorts, PROTO_ICMP, PROTO_ICMP6, protocolName, tcpFlagLetters } from "../net/iana.ts";
import type { FlowRow } from "../aggregate/windows/flow_window.ts";
import { escapeControls, truncate } from "../runtime/text.ts";

/** One column: its title, and its text for a flow. */
export interface FlowColumn {
  title: string;
  align: "left" | "right";
  cell(flow: FlowRow): string;
}

export const PROTO_COLUMN: FlowColumn = { title: "PROTO", align: "left", cell: (flow) => protocolName(flow.proto) };
export const DIRECTION_COLUMN: FlowColumn = {
  title: "DIR",
  align: "left",
  cell: (flow) => flow.direction === "ingress" ? "in" : "out",
};
export const IFACE_COLUMN: FlowColumn = { title: "IFACE", align: "left", cell: (flow) => escapeControls(flow.iface) };
/** TCP flags; for ICMP its type and code. */
export const FLAGS_COLUMN: FlowColumn = {
  title: "FLAGS",
  align: "left",
  cell: (flow) =>
    flow.proto === PROTO_ICMP || flow.proto === PROTO_ICMP6
      ? `${flow.dport >> 8}/${flow.dport & 0xff}`
      : tcpFlagLetters(flow.tcpFlags),
};

/** Segments sent again, and their share of the packets; empty where they are not counted. */
export const RETRANSMITS_COLUMN: FlowColumn = {
  title: "RETRANS",
  align: "right",
  cell: ({ retransmits, packets }) =>
    retransmits === undefined ? "" : `${retransmits} (${(retransmits / packets * 100).toFixed(1)} %)`,
};

/** Name and number of the process whose flow it is; empty where that is not known. */
export const COMMAND_COLUMN: FlowColumn = {
  title: "COMMAND",
  align: "left",
  cell: ({ comm, pid }) => pid === undefined ? "" : `${escapeControls(comm ?? "")}/${pid}`,
};

/** `192.0.2.1:443`, `[2001:db8::1]:443`, or the address alone where the protocol has no ports. */
export function endpoint(address: string, port: number, proto: number): string {
  if (!hasPorts(proto)) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * Shortens an endpoint to `width` columns. IPv6 loses its middle, because hosts of one network differ in the end, and
 * anything keeps its port as long as three characters are left for the address.
 */
export function shortenEndpoint(text: string, width: number): string {
  if (text.length <= width) return text;
  const port = /\]:\d+$|(?<=\.\d+):\d+$/.exec(text)?.[0] ?? "";
  const room = width - port.length;
  if (room < 3) return truncate(text, width);
  const host = text.slice(0, text.length - port.length);
  if (!host.includes(":")) return truncate(host, room) + port;
  const head = Math.ceil((room - 1) / 2);
  return `${host.slice(0, head)}…${host.slice(host.length - (room - 1 - head))}${port}`;
}
