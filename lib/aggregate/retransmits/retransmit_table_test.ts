import { assertEquals } from "../../../tests/assert.ts";
import { connections, type Ends, flowKey, HERE, reversed } from "../../../tests/support/retransmits.ts";
import { RetransmitTable } from "./retransmit_table.ts";

const CONTAINER = 4_026_532_000;
const NOTHING = { seen: 0, overflow: 0 };
const UDP = 17;

function ask(table: RetransmitTable, ends: Ends, how: Parameters<typeof flowKey>[1] = {}): number | null {
  const { family, bytes } = flowKey(ends, how);
  // Somewhere in a batch.
  const keys = new Uint8Array(3 * bytes.length);
  keys.set(bytes, 2 * bytes.length);
  return table.segmentsOf(family, keys, 2 * bytes.length);
}

const V4: Ends = { src: "192.0.2.1", sport: 50_000, dst: "198.51.100.2", dport: 443 };
const V6: Ends = { src: "2001:db8::1", sport: 50_000, dst: "2001:db8::2", dport: 443 };

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
  assertEquals(table.finish({ home: { seen: 14, overflow: 2 }, other: NOTHING }, 1), {
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
  assertEquals(table.finish({ home: NOTHING, other: NOTHING }, 0).attributed, 0);
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
  const counters = { home: { seen: 3, overflow: 0 }, other: { seen: 130, overflow: 3 } };
  const { segments, attributed, unattributed, forwarded, elsewhere } = table.finish(counters, 0);
  assertEquals({ segments, attributed, unattributed }, { segments: 3, attributed: 3, unattributed: 0 });
  assertEquals({ forwarded, elsewhere }, { forwarded: 20, elsewhere: 110 });
});
