/** A TCP connection changed its state. */
import { formatIpv4, formatIpv6 } from "../../net/address.ts";
import { AF_INET } from "../../net/address_family.ts";
import { PROTO_TCP, serviceOf } from "../../net/iana.ts";
import { EVENT, EVENT_TYPE, TCP_PAYLOAD } from "../../wire/layouts.gen.ts";
import { describeEvent } from "./event_description.ts";
import { endpoint } from "./event_text.ts";
import { familyNumber, familyOf, isInternet } from "./family.ts";
import type { Tracepoint } from "./kernel_source.ts";
import { networkAttributes } from "./network_attributes.ts";

const { fields: AT, size: STRUCT_BYTES } = TCP_PAYLOAD;

/** By their number in the kernel. */
const STATES = [
  "NONE",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];

const TRACEPOINT: Tracepoint = {
  category: "sock",
  name: "inet_sock_set_state",
  fields: [
    { name: "skaddr", offset: 8, size: 8 },
    { name: "oldstate", offset: 16, size: 4 },
    { name: "newstate", offset: 20, size: 4 },
    { name: "sport", offset: 24, size: 2 },
    { name: "dport", offset: 26, size: 2 },
    { name: "family", offset: 28, size: 2 },
    { name: "protocol", offset: 30, size: 2 },
    { name: "saddr", offset: 32, size: 4 },
    { name: "daddr", offset: 36, size: 4 },
    { name: "saddr_v6", offset: 40, size: 16 },
    { name: "daddr_v6", offset: 56, size: 16 },
  ],
};

interface TcpState {
  event: "tcp_state";
  family: "ipv4" | "ipv6";
  src: string;
  dst: string;
  sport: number;
  dport: number;
  oldState: string;
  newState: string;
}

export const tcpState = describeEvent({
  name: "tcp_state",
  type: EVENT_TYPE.EVENT_TCP_STATE,
  category: "network",
  structBytes: STRUCT_BYTES,
  hasText: false,
  sources: [{
    name: "tcp",
    unseen: "states of TCP connections",
    btf: [{ programs: ["tcp_state"], way: "BTF tracepoint inet_sock_set_state" }],
    raw: [{
      programs: ["tcp_state"],
      way: "tracepoint sock:inet_sock_set_state of tracefs",
      tracepoint: TRACEPOINT,
    }],
  }],
  endpoints: {
    family: EVENT.size + AT.family.offset,
    source: { address: EVENT.size + AT.src.offset, port: EVENT.size + AT.sport.offset },
    destination: { address: EVENT.size + AT.dst.offset, port: EVENT.size + AT.dport.offset },
    protocol: PROTO_TCP,
  },

  isSound(data, start) {
    return isInternet(data.getUint16(start + AT.family.offset, true)) &&
      data.getUint8(start + AT.old_state.offset) < STATES.length &&
      data.getUint8(start + AT.new_state.offset) < STATES.length;
  },
  decode(event: TcpState, { data, bytes, payload }) {
    const isV4 = data.getUint16(payload + AT.family.offset, true) === AF_INET;
    const format = isV4 ? formatIpv4 : formatIpv6;
    event.family = isV4 ? "ipv4" : "ipv6";
    event.src = format(bytes, payload + AT.src.offset);
    event.dst = format(bytes, payload + AT.dst.offset);
    event.sport = data.getUint16(payload + AT.sport.offset, true);
    event.dport = data.getUint16(payload + AT.dport.offset, true);
    event.oldState = STATES[data.getUint8(payload + AT.old_state.offset)];
    event.newState = STATES[data.getUint8(payload + AT.new_state.offset)];
  },
  // The end that listens has the port of a service; which end that is the record does not say.
  service: ({ sport, dport }) => serviceOf(dport, PROTO_TCP) ?? serviceOf(sport, PROTO_TCP) ?? "",
  fields: ({ family, src, dst, sport, dport, oldState, newState }) => ({
    family,
    src,
    dst,
    sport,
    dport,
    old_state: oldState,
    new_state: newState,
  }),
  line: ({ family, src, dst, sport, dport, oldState, newState }) =>
    `${endpoint(family, src, sport)} -> ${endpoint(family, dst, dport)} ${oldState} -> ${newState}`,
  about: ({ src, dst, sport, dport, newState }) => `${src} port ${sport} to ${dst} port ${dport}: ${newState}`,
  span: { attributes: ({ src, dst, sport, dport }) => networkAttributes("tcp", [src, sport], [dst, dport]) },
  toMessage: ({ family, src, dst, sport, dport, oldState, newState }) => ({
    family: familyNumber(family),
    src,
    dst,
    sport,
    dport,
    oldState,
    newState,
  }),
  fromMessage({ family: number, src, dst, sport, dport, oldState, newState }) {
    const family = familyOf(number);
    if (family === undefined || family === "unix") return null;
    return { family, src, dst, sport, dport, oldState, newState };
  },
});
