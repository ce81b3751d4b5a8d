/** A process called connect(2). */
import { formatIpv4, formatIpv6 } from "../../net/address.ts";
import { AF_INET, AF_UNIX } from "../../net/address_family.ts";
import { PROTO_TCP, serviceOf } from "../../net/iana.ts";
import { CONNECT_PAYLOAD, EVENT, EVENT_TYPE, SYSCALL_RULE } from "../../wire/layouts.gen.ts";
import { describeEvent, type SpanAttributes } from "./event_description.ts";
import { endpoint } from "./event_text.ts";
import { type Family, familyNumber, familyOf, isInternet } from "./family.ts";
import type { RecordView } from "./record_view.ts";
import { SYSTEM_CALLS } from "./system_calls.ts";

const { fields: AT, size: STRUCT_BYTES } = CONNECT_PAYLOAD;

interface NetworkConnect {
  event: "network_connect";
  family: Family;
  address: string;
  /** 0 for unix. */
  port: number;
}

export const networkConnect = describeEvent({
  name: "network_connect",
  type: EVENT_TYPE.EVENT_NETWORK_CONNECT,
  category: "network",
  structBytes: STRUCT_BYTES,
  hasText: true,
  sources: [SYSTEM_CALLS],
  syscalls: { connect: SYSCALL_RULE.SYSCALL_CONNECT },
  // The protocol of the socket is not in the record.
  endpoints: {
    family: EVENT.size + AT.family.offset,
    destination: { address: EVENT.size + AT.address.offset, port: EVENT.size + AT.port.offset },
  },

  isSound(data, start, lengthBytes) {
    const family = data.getUint16(start + AT.family.offset, true);
    return family === AF_UNIX || (isInternet(family) && lengthBytes === STRUCT_BYTES);
  },
  decode(event: NetworkConnect, record) {
    const { data, bytes, payload } = record;
    const family = data.getUint16(payload + AT.family.offset, true);
    if (family === AF_UNIX) {
      event.family = "unix";
      event.address = unixAddress(record, payload + STRUCT_BYTES);
      event.port = 0;
      return;
    }
    const isV4 = family === AF_INET;
    event.family = isV4 ? "ipv4" : "ipv6";
    event.address = (isV4 ? formatIpv4 : formatIpv6)(bytes, payload + AT.address.offset);
    event.port = data.getUint16(payload + AT.port.offset, true);
  },
  service: ({ port }) => port === 0 ? "" : serviceOf(port, PROTO_TCP) ?? "",
  fields: ({ family, address, port }) => ({ family, address, port }),
  line: ({ family, address, port }) => `${family} ${endpoint(family, address, port)}`,
  about: ({ family, address, port }) => family === "unix" ? address : `${address} port ${port}`,
  span: {
    isClient: true,
    attributes: ({ family, address, port }): SpanAttributes =>
      family === "unix"
        ? { "network.transport": "unix", "network.peer.address": address }
        : { "network.type": family, "network.peer.address": address, "network.peer.port": port },
  },
  toMessage: ({ family, address, port }) => ({ family: familyNumber(family), address, port }),
  fromMessage({ family: number, address, port }) {
    const family = familyOf(number);
    return family === undefined ? null : { family, address, port };
  },
});

/** Abstract names start with a NUL, which is written as `@`, and have no end but their length. */
function unixAddress(record: RecordView, start: number): string {
  const { bytes, end } = record;
  if (start < end && bytes[start] === 0) return `@${record.text(start + 1, end)}`;
  return record.textUpToNul(start, end);
}
