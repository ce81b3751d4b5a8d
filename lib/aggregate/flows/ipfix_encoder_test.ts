import { assertEquals } from "../../../tests/assert.ts";
import { IpfixDecoder } from "../../../tests/support/ipfix.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE } from "../../wire/layouts.gen.ts";
import { writeField } from "../../wire/layout.ts";
import type { MapBatch } from "../../wire/records.ts";
import { IpfixEncoder } from "./ipfix_encoder.ts";
import {
  flowsIn,
  MESSAGE_BYTES_MAX,
  messagesIn,
  stampMessage,
  statisticsMessage,
  templateMessages,
} from "./ipfix_layout.ts";

const hex = (text: string) =>
  Uint8Array.from(text.replace(/#.*$/gm, "").match(/[0-9a-f]{2}/g)!, (it) => parseInt(it, 16));

interface Value {
  packets: bigint;
  bytes: bigint;
  first: bigint;
  last: bigint;
  flags: number;
}

interface Key {
  src: number[];
  dst: number[];
  sport: number;
  dport: number;
  proto: number;
  direction: number;
  slot: number;
}

function batchOf(family: 4 | 6, entries: { key: Key; values: Value[] }[]): MapBatch {
  const layout = family === 4 ? FLOW4_KEY : FLOW6_KEY;
  const valuesPerEntry = entries[0].values.length;
  const keys = new Uint8Array(entries.length * layout.size);
  const values = new Uint8Array(entries.length * valuesPerEntry * FLOW_VALUE.size);
  entries.forEach(({ key, values: ofEntry }, i) => {
    const at = i * layout.size;
    const view = new DataView(keys.buffer);
    keys.set(key.src, at + layout.fields.src.offset);
    keys.set(key.dst, at + layout.fields.dst.offset);
    view.setUint16(at + layout.fields.sport.offset, key.sport);
    view.setUint16(at + layout.fields.dport.offset, key.dport);
    view.setUint8(at + layout.fields.proto.offset, key.proto);
    view.setUint8(at + layout.fields.direction.offset, key.direction);
    view.setUint16(at + layout.fields.iface_slot.offset, key.slot, true);
    ofEntry.forEach((value, j) => {
      const valueAt = (i * valuesPerEntry + j) * FLOW_VALUE.size;
      const target = new DataView(values.buffer);
      writeField(target, FLOW_VALUE, "packets", value.packets, valueAt);
      writeField(target, FLOW_VALUE, "bytes", value.bytes, valueAt);
      writeField(target, FLOW_VALUE, "first_seen_jiffies", value.first, valueAt);
      writeField(target, FLOW_VALUE, "last_seen_jiffies", value.last, valueAt);
      for (let bit = 0; bit < 8; bit++) {
        values[valueAt + FLOW_VALUE.fields.tcp_flags_seen.offset + bit] = value.flags & 1 << bit;
      }
    });
  });
  return { count: entries.length, keys, values };
}

const NOTHING: Value = { packets: 0n, bytes: 0n, first: 0n, last: 0n, flags: 0 };
/** 4 ms a tick. */
const toUnixMs = (jiffies: number) => 1_700_000_000_000 + jiffies * 4;

const KEY4: Key = {
  src: [192, 0, 2, 1],
  dst: [198, 51, 100, 2],
  sport: 40_000,
  dport: 443,
  proto: 6,
  direction: 0,
  slot: 1,
};

Deno.test("IpfixEncoder writes an IPv4 flow as RFC 7011 and IANA's registry have it, byte by byte", () => {
  const encoder = new IpfixEncoder({ ifindexOfSlot: [7, 300], valuesPerEntry: 1 });
  const value = { packets: 0x1_0000_0002n, bytes: 0x0203_0405_0607n, first: 1n, last: 10n, flags: 0x92 };
  encoder.addBatch(4, batchOf(4, [{ key: KEY4, values: [value] }]), toUnixMs);
  const [message, ...more] = messagesIn(encoder.take()!);
  assertEquals(more, []);
  stampMessage(message, 0x65536f00, 2 ** 32 + 5);
  assertEquals(
    message,
    hex(`
      000a 004e 65536f00 00000005 00000001  # version, length, export time, sequence, domain
      0100 003e                             # set 256 and its length
      c0000201 c6336402                     # addresses
      9c40 01bb 06 00 0092 0000             # ports, TCP, ingress, flags, no ICMP
      0000012c 00000000                     # ingress interface 300, no egress
      0000000100000002 0000020304050607     # packets, octets
      0000018bcfe56804 0000018bcfe56828     # first and last, ms
    `),
  );
});

Deno.test("the templates are what RFC 7011 and IANA's registry have, byte by byte", () => {
  const [flows, options] = templateMessages();
  assertEquals(
    flows,
    hex(`
      000a 008c 00000000 00000000 00000001
      0002 007c
      0100 000e                                            # 256: 14 elements
      0008 0004 000c 0004 0007 0002 000b 0002 0004 0001    # addresses, ports, protocol
      003d 0001 0006 0002 0020 0002 000a 0004 000e 0004    # direction, flags, ICMP, interfaces
      0002 0008 0001 0008 0098 0008 0099 0008              # packets, octets, first, last
      0101 000e                                            # 257: 14 elements
      001b 0010 001c 0010 0007 0002 000b 0002 0004 0001
      003d 0001 0006 0002 008b 0002 000a 0004 000e 0004
      0002 0008 0001 0008 0098 0008 0099 0008
    `),
  );
  assertEquals(
    options,
    hex(`
      000a 0032 00000000 00000000 00000001
      0003 0022
      0102 0006 0001                                       # 258: 6 elements, one of them a scope
      0095 0004 00a4 0008 00a5 0008 00a6 0008 00a7 0008 00a8 0008
    `),
  );
});

Deno.test("the statistics record holds what no flow record does", () => {
  const decoder = new IpfixDecoder();
  for (const message of templateMessages()) decoder.decode(message);
  const message = statisticsMessage({
    ignoredPackets: 1n,
    ignoredOctets: 2n ** 63n,
    notSentFlows: 3n,
    notSentPackets: 4n,
    notSentOctets: 5n,
  });
  const { data } = decoder.decode(message);
  const record = new Map([[149, 1n], [164, 1n], [165, 2n ** 63n], [166, 3n], [167, 4n], [168, 5n]]);
  assertEquals(data, [{ templateId: 258, record }]);
});

Deno.test("IpfixEncoder joins the values of the CPUs, says ICMP's type and code, and where a flow went out", () => {
  const encoder = new IpfixEncoder({ ifindexOfSlot: [7, 300], valuesPerEntry: 3 });
  const key: Key = {
    src: [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1],
    dst: [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 2],
    sport: 0,
    dport: 128 << 8,
    proto: 58,
    direction: 1,
    slot: 0,
  };
  const values = [
    { packets: 2n, bytes: 200n, first: 50n, last: 60n, flags: 0x02 },
    NOTHING,
    { packets: 3n, bytes: 301n, first: 40n, last: 55n, flags: 0x10 },
  ];
  encoder.addBatch(6, batchOf(6, [{ key, values }]), toUnixMs);
  const decoder = new IpfixDecoder();
  for (const message of templateMessages()) decoder.decode(message);
  const [message] = messagesIn(encoder.take()!);
  const { data: [{ templateId, record }] } = decoder.decode(message);
  assertEquals(templateId, 257);
  const address = (last: bigint) => 0x2001_0db8n << 96n | last;
  // deno-fmt-ignore
  assertEquals(record, new Map([
    [27, address(1n)], [28, address(2n)], [7, 0n], [11, 0x8000n], [4, 58n], [61, 1n], [6, 0x12n], [139, 0x8000n],
    [10, 0n], [14, 7n], [2, 5n], [1, 501n], [152, BigInt(toUnixMs(40))], [153, BigInt(toUnixMs(60))],
  ]));
});

Deno.test("IpfixEncoder fills messages up to their limit, of both families, and begins anew after take()", () => {
  const encoder = new IpfixEncoder({ ifindexOfSlot: [1, 2], valuesPerEntry: 1 });
  assertEquals(encoder.take(), null);
  for (const round of [1n, 2n]) {
    const count = 3_000;
    const entries = Array.from({ length: count }, (_, i) => ({
      key: { ...KEY4, sport: i },
      values: [{ packets: round, bytes: BigInt(i), first: 1n, last: 1n, flags: 0 }],
    }));
    const entries6 = entries.map(({ key, values }) => ({
      key: { ...key, src: Array(16).fill(1), dst: Array(16).fill(2) },
      values,
    }));
    encoder.addBatch(4, batchOf(4, entries), toUnixMs);
    encoder.addBatch(6, batchOf(6, entries6), toUnixMs);
    // A batch's buffers may be longer than what is in them.
    encoder.addBatch(4, { ...batchOf(4, entries), count: 1 }, toUnixMs);
    const messages = [...messagesIn(encoder.take()!)];
    const decoder = new IpfixDecoder();
    for (const message of templateMessages()) decoder.decode(message);
    const sports: Record<number, number[]> = { 256: [], 257: [] };
    for (const message of messages) {
      if (message.length > MESSAGE_BYTES_MAX) throw new Error(`a message of ${message.length} bytes`);
      const { data } = decoder.decode(message);
      const sum = (id: number) => data.reduce((sum, { record }) => sum + record.get(id)!, 0n);
      assertEquals(flowsIn(message), { flows: data.length, packets: sum(2), octets: sum(1) });
      for (const { templateId, record } of data) sports[templateId].push(Number(record.get(7)));
    }
    const all = Array.from({ length: count }, (_, i) => i);
    assertEquals(sports, { 256: [...all, 0], 257: all });
    assertEquals(messages.length, Math.ceil(count / 23) + Math.ceil(count / 16) + 1);
  }
});
