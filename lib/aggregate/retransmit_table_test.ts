import { assertEquals } from "../../tests/assert.ts";
import { writeField } from "../ffi/layout.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE, SOCKET_KEY } from "../ffi/layouts.gen.ts";
import { parseFlowFilter } from "../filter/language.ts";
import type { MapBatch } from "../records.ts";
import { parseAddress } from "./address.ts";
import { FlowReducer } from "./flow_reducer.ts";
import { RetransmitTable } from "./retransmit_table.ts";
import { mapped } from "./socket_owners.ts";
import { TickClock } from "./tick_clock.ts";

const HERE = 4_026_531_840;
const CONTAINER = 4_026_532_000;
const NOTHING = { seen: 0, overflow: 0 };
const TCP = 6;
const UDP = 17;

interface Ends {
  src: string;
  sport: number;
  dst: string;
  dport: number;
}

/** Connections as the kernel's map has them. */
function connections(...entries: (Ends & { segments: bigint; netns?: number })[]): MapBatch {
  const keys = new DataView(new ArrayBuffer(entries.length * SOCKET_KEY.size));
  const values = new BigUint64Array(entries.map(({ segments }) => segments));
  entries.forEach(({ src, sport, dst, dport, netns = HERE }, i) => {
    const at = i * SOCKET_KEY.size;
    writeField(keys, SOCKET_KEY, "local", mapped(parseAddress(src)!), at);
    writeField(keys, SOCKET_KEY, "remote", mapped(parseAddress(dst)!), at);
    writeField(keys, SOCKET_KEY, "netns", netns, at);
    writeField(keys, SOCKET_KEY, "local_port", sport, at);
    writeField(keys, SOCKET_KEY, "remote_port", dport, at);
    writeField(keys, SOCKET_KEY, "proto", TCP, at);
  });
  return { count: entries.length, keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

/** A flow's packed key; it goes out unless told otherwise. */
function flowKey({ src, sport, dst, dport }: Ends, { proto = TCP, ingress = false, slot = 0 } = {}) {
  const [from, to] = [parseAddress(src)!, parseAddress(dst)!];
  const layout = from.length === 4 ? FLOW4_KEY : FLOW6_KEY;
  const view = new DataView(new ArrayBuffer(layout.size));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(from, layout.fields.src.offset);
  bytes.set(to, layout.fields.dst.offset);
  view.setUint16(layout.fields.sport.offset, sport);
  view.setUint16(layout.fields.dport.offset, dport);
  view.setUint8(layout.fields.proto.offset, proto);
  view.setUint8(layout.fields.direction.offset, ingress ? 0 : 1);
  view.setUint16(layout.fields.iface_slot.offset, slot, true);
  return { family: from.length === 4 ? 4 as const : 6 as const, bytes };
}

function ask(table: RetransmitTable, ends: Ends, how: Parameters<typeof flowKey>[1] = {}): number | null {
  const { family, bytes } = flowKey(ends, how);
  // Somewhere in a batch.
  const keys = new Uint8Array(3 * bytes.length);
  keys.set(bytes, 2 * bytes.length);
  return table.segmentsOf(family, keys, 2 * bytes.length);
}

const V4: Ends = { src: "192.0.2.1", sport: 50_000, dst: "198.51.100.2", dport: 443 };
const V6: Ends = { src: "2001:db8::1", sport: 50_000, dst: "2001:db8::2", dport: 443 };

function reversed({ src, sport, dst, dport }: Ends): Ends {
  return { src: dst, sport: dport, dst: src, dport: sport };
}

Deno.test("RetransmitTable meets the flow that goes out, and no other", () => {
  const table = new RetransmitTable(HERE);
  table.addBatch(connections({ ...V4, segments: 3n }, { ...V6, segments: 2n ** 40n }));
  assertEquals(ask(table, V4), 3);
  assertEquals(ask(table, V6), 2 ** 40);
  assertEquals(ask(table, reversed(V4)), 0);
  assertEquals(ask(table, V4, { ingress: true }), null);
  assertEquals(ask(table, V4, { proto: UDP }), null);
  // Each part of the key counts.
  for (const other of [{ src: "192.0.2.2" }, { dst: "198.51.100.3" }, { sport: 50_001 }, { dport: 444 }]) {
    assertEquals(ask(table, { ...V4, ...other }), 0);
  }
});

Deno.test("RetransmitTable tells connections of the same ports apart, and those that fall on one place", () => {
  const table = new RetransmitTable(HERE);
  const far = { ...V4, dst: "198.51.100.3" };
  // Ports and address differ in the same bit.
  const collides = { ...far, dport: V4.dport ^ 1 };
  table.addBatch(connections({ ...V4, segments: 1n }, { ...far, segments: 2n }, { ...collides, segments: 3n }));
  assertEquals([V4, far, collides].map((ends) => ask(table, ends)), [1, 2, 3]);
});

Deno.test("RetransmitTable.finish() adds up: attributed, unattributed and overflow are what was seen", () => {
  const table = new RetransmitTable(HERE);
  const lonely = { ...V4, sport: 50_007 };
  table.addBatch(connections({ ...V4, segments: 3n }, { ...V6, segments: 4n }, { ...lonely, segments: 5n }));
  // A flow seen at two interfaces has its connection's segments twice, the sum has them once.
  assertEquals([ask(table, V4), ask(table, V4, { slot: 1 }), ask(table, V6)], [3, 3, 4]);
  assertEquals(table.finish({ here: { seen: 14, overflow: 2 }, elsewhere: NOTHING }, 1), {
    segments: 14,
    attributed: 7,
    unattributed: 5,
    overflow: 2,
    forwarded: 0,
    elsewhere: 0,
    missedRuns: 1,
  });
  // The next window has nothing of it.
  assertEquals(ask(table, V4), 0);
  assertEquals(table.finish({ here: NOTHING, elsewhere: NOTHING }, 0).attributed, 0);
});

Deno.test("RetransmitTable tells namespaces apart: one's own comes first, another's loopback is nobody's here", () => {
  const table = new RetransmitTable(HERE);
  const loopback = { ...V4, src: "127.0.0.1", dst: "127.0.0.1" };
  table.addBatch(connections(
    { ...V4, segments: 100n, netns: CONTAINER },
    { ...V4, segments: 3n },
    { ...V6, segments: 20n, netns: CONTAINER },
    { ...loopback, segments: 7n, netns: CONTAINER },
  ));
  assertEquals([ask(table, V4), ask(table, V6), ask(table, loopback)], [3, 20, 0]);
  const counters = { here: { seen: 3, overflow: 0 }, elsewhere: { seen: 130, overflow: 3 } };
  const { segments, attributed, unattributed, forwarded, elsewhere } = table.finish(counters, 0);
  assertEquals({ segments, attributed, unattributed }, { segments: 3, attributed: 3, unattributed: 0 });
  assertEquals({ forwarded, elsewhere }, { forwarded: 20, elsewhere: 110 });
});

Deno.test("FlowReducer joins what was sent again to flows, whatever the filter, and ranks by it", () => {
  const retransmits = new RetransmitTable(HERE);
  const reducer = new FlowReducer({
    interfaceOfSlot: ["eth0"],
    valuesPerEntry: 1,
    topMax: 2,
    order: "retransmits",
    filter: parseFlowFilter("not port 22"),
    retransmits,
  });
  const ssh = { ...V4, dport: 22 };
  const quiet = { ...V4, sport: 50_003 };
  const small = { ...V4, sport: 50_004 };
  retransmits.addBatch(connections({ ...small, segments: 2n }, { ...ssh, segments: 9n }));
  const flows = [
    { key: flowKey(quiet), packets: 900n },
    { key: flowKey(reversed(quiet), { ingress: true }), packets: 800n },
    { key: flowKey(ssh), packets: 50n },
    { key: flowKey(small), packets: 10n },
  ];
  const values = new DataView(new ArrayBuffer(flows.length * FLOW_VALUE.size));
  flows.forEach(({ packets }, i) => {
    writeField(values, FLOW_VALUE, "packets", packets, i * FLOW_VALUE.size);
    writeField(values, FLOW_VALUE, "first_seen_jiffies", 1n, i * FLOW_VALUE.size);
  });
  const keys = Uint8Array.from(flows.flatMap(({ key }) => [...key.bytes]));
  reducer.addBatch(4, { count: flows.length, keys, values: new Uint8Array(values.buffer) });
  const { top } = reducer.finish(new TickClock({ monotonicNs: 10_000_000_000n, jiffies: 1_000n }));
  assertEquals(top.map(({ sport, retransmits }) => [sport, retransmits]), [[50_004, 2], [50_003, 0]]);
  assertEquals(retransmits.finish({ here: { seen: 11, overflow: 0 }, elsewhere: NOTHING }, 0).attributed, 11);
});
