/**
 * What ebpfmon says in IPFIX (RFC 7011): its templates, and the numbers that describe its messages. Element numbers are
 * those of IANA's registry. All integers are in network byte order.
 */

const VERSION = 10;
const TEMPLATE_SET = 2;
const OPTIONS_TEMPLATE_SET = 3;
const SET_HEADER_BYTES = 4;

/** Of a message: version, length, export time, sequence number, observation domain. */
export const MESSAGE_HEADER_BYTES = 16;
/** From a message's start to its first record; each message of ours has one set. */
export const RECORDS_AT = MESSAGE_HEADER_BYTES + SET_HEADER_BYTES;
/** Fits in Ethernet's 1,500 bytes with an IPv6 and a UDP header and a tunnel's around them. */
export const MESSAGE_BYTES_MAX = 1400;
/** There is one: all interfaces of this host. */
export const OBSERVATION_DOMAIN = 1;

/** Information elements: number and length in bytes. */
type Element = readonly [id: number, lenBytes: number];

const ELEMENTS = {
  sourceIpv4: [8, 4],
  destinationIpv4: [12, 4],
  sourceIpv6: [27, 16],
  destinationIpv6: [28, 16],
  sourcePort: [7, 2],
  destinationPort: [11, 2],
  protocol: [4, 1],
  direction: [61, 1], // 0 ingress, 1 egress
  tcpFlags: [6, 2],
  icmpTypeCodeIpv4: [32, 2],
  icmpTypeCodeIpv6: [139, 2],
  ingressInterface: [10, 4],
  egressInterface: [14, 4],
  packets: [2, 8], // packetDeltaCount
  octets: [1, 8], // octetDeltaCount
  startMs: [152, 8], // flowStartMilliseconds
  endMs: [153, 8], // flowEndMilliseconds
  observationDomain: [149, 4],
  ignoredPackets: [164, 8], // ignoredPacketTotalCount and so on: since the start
  ignoredOctets: [165, 8],
  notSentFlows: [166, 8],
  notSentPackets: [167, 8],
  notSentOctets: [168, 8],
} as const satisfies Record<string, Element>;
type ElementName = keyof typeof ELEMENTS;

/** A template: where in its records each element is. */
export interface Template {
  id: number;
  elements: readonly ElementName[];
  /** How many of the first elements say what the others are about; 0: no options template. */
  scopes: number;
  offset: Readonly<Partial<Record<ElementName, number>>>;
  recordBytes: number;
}

function template(id: number, elements: ElementName[], scopes = 0): Template {
  const offset: Partial<Record<ElementName, number>> = {};
  let recordBytes = 0;
  for (const name of elements) {
    offset[name] = recordBytes;
    recordBytes += ELEMENTS[name][1];
  }
  return { id, elements, scopes, offset, recordBytes };
}

const COMMON = ["ingressInterface", "egressInterface", "packets", "octets", "startMs", "endMs"] as const;
const TRANSPORT = ["sourcePort", "destinationPort", "protocol", "direction", "tcpFlags"] as const;

/** The template of a flow record, by address family. */
export const FLOW_TEMPLATES = {
  4: template(256, ["sourceIpv4", "destinationIpv4", ...TRANSPORT, "icmpTypeCodeIpv4", ...COMMON]),
  6: template(257, ["sourceIpv6", "destinationIpv6", ...TRANSPORT, "icmpTypeCodeIpv6", ...COMMON]),
} as const;

/** What no flow record holds: with it the packets add up to those that were seen. */
export const STATISTICS_TEMPLATE = template(
  258,
  ["observationDomain", "ignoredPackets", "ignoredOctets", "notSentFlows", "notSentPackets", "notSentOctets"],
  1,
);

/** Starts a message with one set of `setId` that ends where the message does; export time and sequence stay zero. */
export function writeMessageHeader(message: DataView, setId: number): void {
  message.setUint16(0, VERSION);
  message.setUint16(2, message.byteLength);
  message.setUint32(12, OBSERVATION_DOMAIN);
  message.setUint16(16, setId);
  message.setUint16(18, message.byteLength - MESSAGE_HEADER_BYTES);
}

/** Both are known only when it is sent. `sequence`: data records sent before it. */
export function stampMessage(message: Uint8Array, unixSeconds: number, sequence: number): void {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  view.setUint32(4, unixSeconds);
  view.setUint32(8, sequence % 2 ** 32);
}

/** The messages in a buffer that holds one after another. */
export function* messagesIn(buffer: ArrayBuffer): Generator<Uint8Array<ArrayBuffer>> {
  const view = new DataView(buffer);
  for (let at = 0; at < buffer.byteLength; at += view.getUint16(at + 2)) {
    yield new Uint8Array(buffer, at, view.getUint16(at + 2));
  }
}

/** Flows, packets and octets in a message of flow records. */
export function flowsIn(message: Uint8Array): { flows: number; packets: bigint; octets: bigint } {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const { offset, recordBytes } = view.getUint16(16) === FLOW_TEMPLATES[4].id ? FLOW_TEMPLATES[4] : FLOW_TEMPLATES[6];
  const sums = { flows: 0, packets: 0n, octets: 0n };
  for (let at = RECORDS_AT; at < message.length; at += recordBytes) {
    sums.flows++;
    sums.packets += view.getBigUint64(at + offset.packets!);
    sums.octets += view.getBigUint64(at + offset.octets!);
  }
  return sums;
}

function templateRecord({ id, elements, scopes }: Template): number[] {
  const counts = scopes > 0 ? [elements.length, scopes] : [elements.length];
  return [id, ...counts, ...elements.flatMap((name) => ELEMENTS[name])];
}

/** The messages that describe all others: the flow templates, then the options template. */
export function templateMessages(): Uint8Array<ArrayBuffer>[] {
  const sets: [setId: number, fields: number[]][] = [
    [TEMPLATE_SET, [FLOW_TEMPLATES[4], FLOW_TEMPLATES[6]].flatMap(templateRecord)],
    [OPTIONS_TEMPLATE_SET, templateRecord(STATISTICS_TEMPLATE)],
  ];
  return sets.map(([setId, fields]) => {
    const message = new DataView(new ArrayBuffer(RECORDS_AT + fields.length * 2));
    writeMessageHeader(message, setId);
    fields.forEach((field, i) => message.setUint16(RECORDS_AT + i * 2, field));
    return new Uint8Array(message.buffer);
  });
}

/** Totals since the start. */
export interface IpfixStatistics {
  /** Without a flow: overflow and other. */
  ignoredPackets: bigint;
  ignoredOctets: bigint;
  /** In flow records that were never sent. */
  notSentFlows: bigint;
  notSentPackets: bigint;
  notSentOctets: bigint;
}

/** A message with one statistics record. */
export function statisticsMessage(statistics: IpfixStatistics): Uint8Array<ArrayBuffer> {
  const { id, offset, recordBytes } = STATISTICS_TEMPLATE;
  const message = new DataView(new ArrayBuffer(RECORDS_AT + recordBytes));
  writeMessageHeader(message, id);
  message.setUint32(RECORDS_AT + offset.observationDomain!, OBSERVATION_DOMAIN);
  for (const [name, value] of Object.entries(statistics)) {
    message.setBigUint64(RECORDS_AT + offset[name as keyof IpfixStatistics]!, value);
  }
  return new Uint8Array(message.buffer);
}
