import { assertEquals } from "../../../tests/assert.ts";
import { readField, writeField } from "../../wire/layout.ts";
import {
  CANDIDATE,
  CANDIDATE_SHAPE,
  COUNT_MIN_CELL,
  COUNT_MIN_SHAPE,
  FLOW4_KEY,
  FLOW6_KEY,
  FLOW_VALUE,
  PACKET_COUNTERS,
} from "../../wire/layouts.gen.ts";
import type { CounterBlock, MapBatch, OverflowMemory } from "../../wire/records.ts";
import { COUNT_MIN_BYTES } from "./count_min.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import { FlowReducer, type ReducerOptions } from "./flow_reducer.ts";
import { TickClock } from "../windows/tick_clock.ts";

const OPTIONS: ReducerOptions = {
  interfaceOfSlot: ["eth0", undefined, "eth1"],
  valuesPerEntry: 1,
  topMax: 10,
  filter: null,
};
const MS = 1_000_000n;

function clock(): TickClock {
  const clock = new TickClock({ monotonicNs: 10_000n * MS, jiffies: 1_000n });
  clock.addSample({ monotonicNs: 20_000n * MS, jiffies: 3_500n }); // 250 Hz
  return clock;
}

// deno-fmt-ignore
const GOLDEN_KEY4 = [
  192, 0, 2, 1,    // src
  198, 51, 100, 2, // dst
  0x9c, 0x40,      // sport 40000
  0x01, 0xbb,      // dport 443
  6,               // proto TCP
  0,               // direction ingress
  2, 0,            // iface_slot 2
];

// deno-fmt-ignore
const GOLDEN_VALUE = [
  3, 0, 0, 0, 0, 0, 0, 0,          // packets
  0xe8, 3, 0, 0, 0, 0, 0, 0,       // bytes 1000
  0xe8, 3, 0, 0, 0, 0, 0, 0,       // first_seen_jiffies 1000
  0xea, 3, 0, 0, 0, 0, 0, 0,       // last_seen_jiffies 1002
  0, 2, 0, 0, 16, 0, 0, 0,         // tcp_flags_seen SYN, ACK
];

function batchOf(entries: { key: number[]; values: number[][] }[], room = entries.length): MapBatch {
  const keys = new Uint8Array(room * entries[0].key.length);
  const values = new Uint8Array(room * entries[0].values.flat().length);
  entries.forEach(({ key, values: ofEntry }, i) => {
    keys.set(key, i * key.length);
    values.set(ofEntry.flat(), i * ofEntry.flat().length);
  });
  return { count: entries.length, keys, values };
}

function value(packets: bigint, bytes: bigint, first: bigint, last: bigint, flags: number[] = []): number[] {
  const view = new DataView(new ArrayBuffer(FLOW_VALUE.size));
  writeField(view, FLOW_VALUE, "packets", packets);
  writeField(view, FLOW_VALUE, "bytes", bytes);
  writeField(view, FLOW_VALUE, "first_seen_jiffies", first);
  writeField(view, FLOW_VALUE, "last_seen_jiffies", last);
  for (const bit of flags) readField(view, FLOW_VALUE, "tcp_flags_seen")[bit] = 1 << bit;
  return [...new Uint8Array(view.buffer)];
}

function key4(last: number, slot = 0, direction = 0): number[] {
  const key = new Uint8Array(GOLDEN_KEY4);
  const view = new DataView(key.buffer);
  key[FLOW4_KEY.fields.src.offset + 3] = last;
  writeField(view, FLOW4_KEY, "iface_slot", slot);
  writeField(view, FLOW4_KEY, "direction", direction);
  return [...key];
}

/** Counters of several CPUs: what each saw, overflowed, and classed as other. */
function block(slot: number, direction: number, cpus: Partial<Record<"seen" | "overflow" | "truncated", bigint>>[]) {
  const byteOffset = 256; // a block lies somewhere in the mapping
  const bytes = new ArrayBuffer(byteOffset + cpus.length * PACKET_COUNTERS.size);
  cpus.forEach(({ seen = 0n, overflow = 0n, truncated = 0n }, cpu) => {
    const at = byteOffset + cpu * PACKET_COUNTERS.size;
    const view = new DataView(bytes);
    writeField(view, PACKET_COUNTERS, "seen_packets", seen, at);
    writeField(view, PACKET_COUNTERS, "seen_bytes", seen * 100n, at);
    writeField(view, PACKET_COUNTERS, "overflow_packets", overflow, at);
    writeField(view, PACKET_COUNTERS, "overflow_bytes", overflow * 100n, at);
    writeField(view, PACKET_COUNTERS, "other_packets", [0n, truncated, 0n, 0n], at);
    writeField(view, PACKET_COUNTERS, "other_bytes", [0n, truncated * 100n, 0n, 0n], at);
  });
  return { slot, direction, bytes, byteOffset, cpus: cpus.length, strideBytes: PACKET_COUNTERS.size } as CounterBlock;
}

Deno.test("FlowReducer takes the golden bytes of an IPv4 flow apart", () => {
  const reducer = new FlowReducer(OPTIONS);
  reducer.addBatch(4, batchOf([{ key: GOLDEN_KEY4, values: [GOLDEN_VALUE] }]));
  const { flows, top, matched } = reducer.finish(clock());
  assertEquals(flows, 1);
  assertEquals(matched, { flows: 1, packets: 3, bytes: 1000 });
  assertEquals(top, [{
    iface: "eth1",
    direction: "ingress",
    src: "192.0.2.1",
    dst: "198.51.100.2",
    sport: 40_000,
    dport: 443,
    proto: 6,
    packets: 3,
    bytes: 1000,
    tcpFlags: 0b10010,
    firstSeenNs: 10_000n * MS,
    lastSeenNs: 10_008n * MS,
  }]);
});

Deno.test("FlowReducer takes an IPv6 flow apart", () => {
  const reducer = new FlowReducer(OPTIONS);
  const key = new Uint8Array(FLOW6_KEY.size);
  key.set([0x20, 1, 0x0d, 0xb8], 0);
  key[15] = 1;
  key.set([0xff, 2], 16);
  key[31] = 0x16;
  const view = new DataView(key.buffer);
  writeField(view, FLOW6_KEY, "dport", 143 << 8);
  writeField(view, FLOW6_KEY, "proto", 58);
  writeField(view, FLOW6_KEY, "direction", 1);
  reducer.addBatch(6, batchOf([{ key: [...key], values: [value(1n, 90n, 2_000n, 2_000n)] }]));
  const { top: [row] } = reducer.finish(clock());
  assertEquals([row.src, row.dst, row.sport, row.dport], ["2001:db8::1", "ff02::16", 0, 143 << 8]);
  assertEquals([row.iface, row.direction, row.proto, row.tcpFlags], ["eth0", "egress", 58, 0]);
});

Deno.test("FlowReducer adds the values of all CPUs, and takes times and flags from those that saw the flow", () => {
  const reducer = new FlowReducer({ ...OPTIONS, valuesPerEntry: 3 });
  const values = [value(2n, 200n, 1_500n, 1_600n, [1]), value(0n, 0n, 0n, 0n), value(5n, 500n, 1_400n, 1_450n, [0, 4])];
  const next = [value(1n, 60n, 3_000n, 3_000n), value(1n, 60n, 2_900n, 3_100n), value(0n, 0n, 0n, 0n)];
  reducer.addBatch(4, batchOf([{ key: key4(1), values }, { key: key4(2), values: next }]));
  const { top } = reducer.finish(clock());
  assertEquals(top.map(({ src, packets, bytes, tcpFlags }) => ({ src, packets, bytes, tcpFlags })), [
    { src: "192.0.2.1", packets: 7, bytes: 700, tcpFlags: 0b10011 },
    { src: "192.0.2.2", packets: 2, bytes: 120, tcpFlags: 0 },
  ]);
  assertEquals([top[0].firstSeenNs, top[0].lastSeenNs], [11_600n * MS, 12_400n * MS]);
  assertEquals([top[1].firstSeenNs, top[1].lastSeenNs], [17_600n * MS, 18_400n * MS]);
});

Deno.test("FlowReducer reads counts above 2^32", () => {
  const reducer = new FlowReducer(OPTIONS);
  const [packets, bytes] = [2n ** 33n + 5n, 2n ** 52n + 1n];
  reducer.addBatch(4, batchOf([{ key: key4(1), values: [value(packets, bytes, 1n, 1n)] }]));
  const { matched } = reducer.finish(clock());
  assertEquals(matched, { flows: 1, packets: Number(packets), bytes: Number(bytes) });
});

Deno.test("FlowReducer sums flows by interface and direction, beside the counters of all CPUs", () => {
  const reducer = new FlowReducer(OPTIONS);
  reducer.addCounters(block(0, 0, [{ seen: 4n, truncated: 1n }, { seen: 6n, overflow: 2n }]));
  reducer.addCounters(block(2, 1, [{ seen: 3n }, {}]));
  reducer.addBatch(
    4,
    batchOf([
      { key: key4(1, 0, 0), values: [value(4n, 400n, 1n, 1n)] },
      { key: key4(2, 2, 1), values: [value(3n, 300n, 1n, 1n)] },
    ]),
  );
  reducer.addBatch(4, batchOf([{ key: key4(3, 0, 0), values: [value(3n, 300n, 1n, 1n)] }]));
  const { interfaces, flows } = reducer.finish(clock());
  assertEquals(flows, 3);
  const none = { packets: 0, bytes: 0 };
  assertEquals(interfaces, [
    {
      iface: "eth0",
      direction: "ingress",
      seen: { packets: 10, bytes: 1000 },
      flows: { packets: 7, bytes: 700 },
      overflow: { packets: 2, bytes: 200 },
      other: { non_ip: none, truncated: { packets: 1, bytes: 100 }, malformed: none, fragment: none },
    },
    {
      iface: "eth1",
      direction: "egress",
      seen: { packets: 3, bytes: 300 },
      flows: { packets: 3, bytes: 300 },
      overflow: none,
      other: { non_ip: none, truncated: none, malformed: none, fragment: none },
    },
  ]);
});

Deno.test("FlowReducer reads only the entries that a batch holds", () => {
  const reducer = new FlowReducer(OPTIONS);
  reducer.addBatch(4, batchOf([{ key: key4(1), values: [value(1n, 60n, 1n, 1n)] }], 5));
  assertEquals(reducer.finish(clock()).flows, 1);
});

Deno.test("FlowReducer counts every flow, but matches and ranks only those that the filter takes", () => {
  const reducer = new FlowReducer({ ...OPTIONS, filter: parseFlowFilter("src host 192.0.2.2") });
  reducer.addCounters(block(0, 0, [{ seen: 9n }]));
  const entries = [1, 2, 3].map((last) => ({ key: key4(last), values: [value(3n, 300n, 1n, 1n)] }));
  reducer.addBatch(4, batchOf(entries));
  const { flows, matched, top, interfaces } = reducer.finish(clock());
  assertEquals(flows, 3);
  assertEquals(interfaces[0].flows, { packets: 9, bytes: 900 });
  assertEquals(matched, { flows: 1, packets: 3, bytes: 300 });
  assertEquals(top.map(({ src }) => src), ["192.0.2.2"]);
});

Deno.test("FlowReducer.finish() starts the next window from nothing, and leaves the last one alone", () => {
  const reducer = new FlowReducer(OPTIONS);
  reducer.addCounters(block(0, 0, [{ seen: 3n }]));
  reducer.addBatch(4, batchOf([{ key: key4(1), values: [value(3n, 300n, 1n, 1n)] }]));
  const first = reducer.finish(clock());
  const kept = structuredClone(first);
  reducer.addCounters(block(0, 0, [{}]));
  const second = reducer.finish(clock());
  assertEquals([second.flows, second.matched, second.top], [0, { flows: 0, packets: 0, bytes: 0 }, []]);
  assertEquals(second.interfaces[0].flows, { packets: 0, bytes: 0 });
  assertEquals(first, kept);
});

Deno.test("FlowReducer ranks at most topMax flows", () => {
  const reducer = new FlowReducer({ ...OPTIONS, topMax: 2 });
  const entries = [5, 9, 7].map((packets) => ({ key: key4(packets), values: [value(BigInt(packets), 1n, 1n, 1n)] }));
  reducer.addBatch(4, batchOf(entries));
  assertEquals(reducer.finish(clock()).top.map(({ packets }) => packets), [9, 7]);
});

Deno.test("FlowReducer ranks by a TCP flag first where asked to", () => {
  const reducer = new FlowReducer({ ...OPTIONS, topMax: 2, order: "resets" });
  reducer.addBatch(
    4,
    batchOf([
      { key: key4(1), values: [value(9n, 900n, 1n, 1n, [4])] },
      { key: key4(2), values: [value(1n, 100n, 1n, 1n, [2, 4])] },
      { key: key4(3), values: [value(5n, 500n, 1n, 1n)] },
    ]),
  );
  const { top } = reducer.finish(clock());
  assertEquals(top.map(({ src, tcpFlags }) => [src, tcpFlags]), [["192.0.2.2", 0b10100], ["192.0.2.1", 0b10000]]);
});

/** Memory of a side in which one flow is a candidate: as many packets as its slot and the sketch say. */
function overflowMemory(keyBytes: number[], packets: bigint): OverflowMemory {
  const sketch = { bytes: new ArrayBuffer(COUNT_MIN_BYTES), byteOffset: 0 };
  const bytes = new ArrayBuffer(CANDIDATE_SHAPE.CANDIDATES * CANDIDATE.size);
  const slot = new DataView(bytes);
  writeField(slot, CANDIDATE, "family", 4);
  writeField(slot, CANDIDATE, "packets", packets);
  writeField(slot, CANDIDATE, "bytes", packets * 100n);
  writeField(slot, CANDIDATE, "first_seen_jiffies", 1_000n);
  writeField(slot, CANDIDATE, "last_seen_jiffies", 1_000n);
  new Uint8Array(bytes).set(keyBytes, CANDIDATE.fields.key.offset);
  const cells = new DataView(sketch.bytes);
  for (let row = 0; row < COUNT_MIN_SHAPE.COUNT_MIN_ROWS; row++) {
    writeField(
      cells,
      COUNT_MIN_CELL,
      "packets",
      packets,
      row * COUNT_MIN_SHAPE.COUNT_MIN_COLUMNS * COUNT_MIN_CELL.size,
    );
    writeField(
      cells,
      COUNT_MIN_CELL,
      "bytes",
      packets * 100n,
      row * COUNT_MIN_SHAPE.COUNT_MIN_COLUMNS * COUNT_MIN_CELL.size,
    );
  }
  return { sketch, candidates: { bytes, byteOffset: 0, cpus: 1, strideBytes: bytes.byteLength } };
}

Deno.test("FlowReducer adds what is known of an overflow, and only to its own window", () => {
  const reducer = new FlowReducer(OPTIONS);
  reducer.addCounters(block(2, 0, [{ seen: 12n, overflow: 7n }, { seen: 5n, overflow: 5n }]));
  assertEquals(reducer.overflowed, true);
  reducer.addEstimates(overflowMemory(key4(9, 2), 11n));
  const { overflow } = reducer.finish(clock());
  assertEquals(
    overflow!.estimates.map(({ iface, src, packets, bytes, errorPackets }) => ({
      iface,
      src,
      packets,
      bytes,
      errorPackets,
    })),
    [{ iface: "eth1", src: "192.0.2.9", packets: 11, bytes: 1_100, errorPackets: 0 }],
  );
  assertEquals([overflow!.prefixCount, overflow!.rest], [0, { packets: 0, bytes: 0 }]);
  assertEquals(reducer.overflowed, false);
  assertEquals(reducer.finish(clock()).overflow, undefined);
});

Deno.test("FlowReducer estimates only flows that the filter takes", () => {
  const reducer = new FlowReducer({ ...OPTIONS, filter: parseFlowFilter("src host 192.0.2.2") });
  for (const last of [1, 2]) {
    reducer.addCounters(block(2, 0, [{ seen: 12n, overflow: 12n }]));
    reducer.addEstimates(overflowMemory(key4(last, 2), 12n));
    const { overflow } = reducer.finish(clock());
    assertEquals(overflow!.estimates.length, last - 1);
  }
});
