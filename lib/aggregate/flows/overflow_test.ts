import { assertEquals } from "../../../tests/assert.ts";
import { writeField } from "../../wire/layout.ts";
import {
  CANDIDATE,
  CANDIDATE_SHAPE,
  COUNT_MIN_CELL,
  COUNT_MIN_SHAPE,
  FLOW4_KEY,
  FLOW6_KEY,
  PREFIX_KEY,
  PREFIX_VALUE,
} from "../../wire/layouts.gen.ts";
import type { OverflowMemory } from "../../wire/records.ts";
import { COUNT_MIN_BYTES, COUNT_MIN_DELTA, COUNT_MIN_EPSILON, CountMin } from "./count_min.ts";
import { estimateFlows, PREFIX_ROWS_MAX, PrefixTable } from "./overflow.ts";

const KEY_BYTES = { 4: FLOW4_KEY.size, 6: FLOW6_KEY.size };
const CANDIDATES_BYTES = CANDIDATE_SHAPE.CANDIDATES * CANDIDATE.size;
/** Memory of the other side lies before it. */
const OFFSET_BYTES = 64;

/** A side's memory as the kernel fills it: `count` is its count_min_add(), in TypeScript. */
function memoryOf(cpus: number) {
  const sketch = { bytes: new ArrayBuffer(OFFSET_BYTES + COUNT_MIN_BYTES), byteOffset: OFFSET_BYTES };
  const bytes = new ArrayBuffer(OFFSET_BYTES + cpus * CANDIDATES_BYTES);
  const memory: OverflowMemory = {
    sketch,
    candidates: { bytes, byteOffset: OFFSET_BYTES, cpus, strideBytes: CANDIDATES_BYTES },
  };
  const cells = new DataView(sketch.bytes);
  const count = (hash: bigint, packets: bigint, bytes: bigint) => {
    for (let row = 0; row < COUNT_MIN_SHAPE.COUNT_MIN_ROWS; row++) {
      const column = Number(hash >> BigInt(16 * row) & 0xffffn);
      const at = OFFSET_BYTES + (row * COUNT_MIN_SHAPE.COUNT_MIN_COLUMNS + column) * COUNT_MIN_CELL.size;
      const cell = (offset: number, more: bigint) =>
        cells.setBigUint64(at + offset, cells.getBigUint64(at + offset, true) + more, true);
      cell(COUNT_MIN_CELL.fields.packets.offset, packets);
      cell(COUNT_MIN_CELL.fields.bytes.offset, bytes);
    }
  };
  const hold = (
    { cpu = 0, slot, keyByte, family = 4, ...numbers }: {
      cpu?: number;
      slot: number;
      keyByte: number;
      family?: 4 | 6;
      hash: bigint;
      packets: bigint;
      bytes: bigint;
      first?: bigint;
      last?: bigint;
      flags?: number;
    },
  ) => {
    const view = new DataView(bytes, OFFSET_BYTES + cpu * CANDIDATES_BYTES + slot * CANDIDATE.size, CANDIDATE.size);
    writeField(view, CANDIDATE, "hash", numbers.hash);
    writeField(view, CANDIDATE, "packets", numbers.packets);
    writeField(view, CANDIDATE, "bytes", numbers.bytes);
    writeField(view, CANDIDATE, "first_seen_jiffies", numbers.first ?? 1n);
    writeField(view, CANDIDATE, "last_seen_jiffies", numbers.last ?? 2n);
    writeField(view, CANDIDATE, "family", family);
    writeField(view, CANDIDATE, "tcp_flags", numbers.flags ?? 0);
    new Uint8Array(view.buffer, view.byteOffset + CANDIDATE.fields.key.offset, KEY_BYTES[family]).fill(keyByte);
  };
  return { memory, count, hold };
}

Deno.test("CountMin.upperBound() is the least of four cells, each chosen by sixteen bits of the hash", () => {
  const { memory, count } = memoryOf(1);
  const hash = 0xffff_8001_0002_0003n;
  count(hash, 5n, 2n ** 33n);
  count(0xffff_8001_0002_7777n, 3n, 30n); // shares three cells
  count(0x0000_0000_0000_0003n, 2n, 20n); // shares the fourth
  const upperBound = (of: bigint) =>
    new CountMin(memory.sketch).upperBound(Number(of & 0xffff_ffffn), Number(of >> 32n));
  assertEquals(upperBound(hash), { packets: 7, bytes: 2 ** 33 + 20 });
  assertEquals(upperBound(0x1234_1234_1234_1234n), { packets: 0, bytes: 0 });
});

Deno.test("the count-min sketch's bound is e / 65,536 of all, but for one case in fifty", () => {
  assertEquals(COUNT_MIN_EPSILON.toFixed(7), "0.0000415");
  assertEquals(COUNT_MIN_DELTA.toFixed(3), "0.018");
});

Deno.test("estimateFlows() bounds a flow by what its slot held and what the sketch has", () => {
  const { memory, count, hold } = memoryOf(1);
  hold({ slot: 5, keyByte: 7, hash: 0x1111n, packets: 90n, bytes: 9_000n, first: 3n, last: 9n, flags: 0x12 });
  count(0x1111n, 100n, 10_000n);
  const [flow, ...others] = estimateFlows(memory, KEY_BYTES, { packets: 10_000_000, bytes: 1e9 });
  assertEquals(others, []);
  assertEquals(flow, {
    family: 4,
    key: new Uint8Array(16).fill(7),
    packets: 90,
    bytes: 9_000,
    errorPackets: 10,
    errorBytes: 1_000,
    firstSeenJiffies: 3n,
    lastSeenJiffies: 9n,
    tcpFlags: 0x12,
  });
});

Deno.test("estimateFlows() takes the sketch's own bound where a flow got its slot late", () => {
  const { memory, count, hold } = memoryOf(1);
  hold({ slot: 0, keyByte: 1, hash: 0x2222n, packets: 1n, bytes: 100n });
  count(0x2222n, 500n, 50_000n);
  const [{ packets, errorPackets, bytes, errorBytes }] = estimateFlows(memory, KEY_BYTES, {
    packets: 1_000_000,
    bytes: 10_000_000,
  });
  assertEquals([packets, errorPackets], [458, 42]); // e / 65,536 of a million, rounded up
  assertEquals([bytes, errorBytes], [49_585, 415]);
});

Deno.test("estimateFlows() adds up a flow's slots on several CPUs, and tells families apart", () => {
  const { memory, count, hold } = memoryOf(2);
  hold({ cpu: 0, slot: 8, keyByte: 0, hash: 0x33n, packets: 10n, bytes: 100n, first: 5n, last: 6n, flags: 1 });
  hold({ cpu: 1, slot: 9, keyByte: 0, hash: 0x33n, packets: 20n, bytes: 200n, first: 4n, last: 9n, flags: 2 });
  hold({ cpu: 1, slot: 30, keyByte: 0, family: 6, hash: 0x44n, packets: 1n, bytes: 10n });
  count(0x33n, 30n, 300n);
  count(0x44n, 1n, 10n);
  const flows = estimateFlows(memory, KEY_BYTES, { packets: 31, bytes: 310 });
  assertEquals(
    flows.map(({ family, packets, errorPackets, firstSeenJiffies, lastSeenJiffies, tcpFlags }) => [
      family,
      packets,
      errorPackets,
      firstSeenJiffies,
      lastSeenJiffies,
      tcpFlags,
    ]),
    [[4, 30, 0, 4n, 9n, 3], [6, 1, 0, 1n, 2n, 0]],
  );
});

function networks(rows: { address: number[]; family: number; direction?: number; slot?: number; packets: bigint }[]) {
  const keys = new Uint8Array(rows.length * PREFIX_KEY.size);
  const values = new Uint8Array(rows.length * PREFIX_VALUE.size);
  rows.forEach(({ address, family, direction = 0, slot = 0, packets }, i) => {
    const key = new DataView(keys.buffer, i * PREFIX_KEY.size, PREFIX_KEY.size);
    keys.set(address, i * PREFIX_KEY.size + PREFIX_KEY.fields.address.offset);
    writeField(key, PREFIX_KEY, "family", family);
    writeField(key, PREFIX_KEY, "direction", direction);
    writeField(key, PREFIX_KEY, "iface_slot", slot);
    const value = new DataView(values.buffer, i * PREFIX_VALUE.size, PREFIX_VALUE.size);
    writeField(value, PREFIX_VALUE, "packets", packets);
    writeField(value, PREFIX_VALUE, "bytes", packets * 100n);
  });
  return { count: rows.length, keys, values };
}

Deno.test("PrefixTable names networks, largest first, and forgets them", () => {
  const table = new PrefixTable(["eth0", "eth1"]);
  table.addBatch(networks([{ address: [192, 0, 2], family: 4, packets: 5n }]));
  table.addBatch(networks([
    { address: [0x20, 1, 0x0d, 0xb8, 0, 1], family: 6, direction: 1, slot: 1, packets: 9n },
    { address: [10, 0, 0], family: 4, packets: 5n },
  ]));
  assertEquals(table.take(), {
    prefixes: [
      { iface: "eth1", direction: "egress", prefix: "2001:db8:1::/48", packets: 9, bytes: 900 },
      { iface: "eth0", direction: "ingress", prefix: "10.0.0.0/24", packets: 5, bytes: 500 },
      { iface: "eth0", direction: "ingress", prefix: "192.0.2.0/24", packets: 5, bytes: 500 },
    ],
    prefixCount: 3,
  });
  assertEquals(table.take(), { prefixes: [], prefixCount: 0 });
});

Deno.test("PrefixTable counts networks that it does not name", () => {
  const table = new PrefixTable(["eth0"]);
  table.addBatch(networks(
    Array.from({ length: PREFIX_ROWS_MAX + 5 }, (_, i) => ({ address: [10, 0, i], family: 4, packets: BigInt(i) })),
  ));
  const { prefixes, prefixCount } = table.take();
  assertEquals([prefixes.length, prefixCount], [PREFIX_ROWS_MAX, PREFIX_ROWS_MAX + 5]);
  assertEquals(prefixes.at(-1)!.packets, 5);
});
