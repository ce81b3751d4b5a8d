import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { DAY_START_NS, madeWindow, NS_PER_S } from "../../tests/support/history_windows.ts";
import { Random } from "../../tests/support/random.ts";
import { copyRow, levelOf, type LevelRow } from "./levels.ts";
import { forEachRow, packRows } from "./packed_rows.ts";

const SEED = Random.freshSeed();

function unpack(packed: Uint8Array): LevelRow[] {
  const rows: LevelRow[] = [];
  forEachRow(packed, (row) => rows.push(copyRow(row)));
  return rows;
}

const ROWS: LevelRow[] = [
  {
    family: 4,
    iface: "eth0",
    direction: "egress",
    src: Uint8Array.of(192, 0, 2, 1),
    dst: Uint8Array.of(198, 51, 100, 2),
    sport: 40_000,
    dport: 443,
    proto: 6,
    tcpFlags: 0x12,
    packets: 300n,
    bytes: 70_000n,
    pid: 7,
    comm: "é",
  },
  {
    family: 6,
    iface: "eth0",
    direction: "ingress",
    src: new Uint8Array(16).fill(1),
    dst: new Uint8Array(16).fill(2),
    sport: 0,
    dport: 0,
    proto: 58,
    tcpFlags: 0,
    packets: 1n,
    bytes: 2n ** 63n - 1n,
    container: "",
  },
];

// deno-fmt-ignore
const PACKED = Uint8Array.of(
  2, // rows
  3, 4, 0x65, 0x74, 0x68, 0x30, 2, 0xc3, 0xa9, 0, // texts: "eth0", "é", ""
  1 | 4 | 8 | 16, // egress, with flags, pid and comm
  0, // iface: "eth0"
  6, // proto
  192, 0, 2, 1, 198, 51, 100, 2, // src, dst
  0x9c, 0x40, 0x01, 0xbb, // sport 40000, dport 443
  0x12, // tcp flags
  0xac, 0x02, // packets: 300
  0xf0, 0xa2, 0x04, // bytes: 70000
  7, // pid
  1, // comm: "é"
  2 | 32, // ingress, IPv6, with container
  0, // iface
  58, // proto
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // src
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // dst
  0, 0, 0, 0, // sport, dport
  1, // packets
  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, // bytes: 2^63 - 1
  2, // container: ""
);

Deno.test("packRows() makes these bytes, and forEachRow() reads them", () => {
  assertEquals(packRows(ROWS), PACKED);
  assertEquals(unpack(PACKED), ROWS);
  assertEquals(unpack(packRows([])), []);
});

Deno.test("packRows() adds the bounds of an estimate, and nothing to other rows", () => {
  const estimate = { ...ROWS[0], errorPackets: 200n, errorBytes: 5n };
  const packed = packRows([estimate, ROWS[1]]);
  assertEquals(packed.length, PACKED.length + 3);
  const bitsAt = 11;
  assertEquals(packed[bitsAt], PACKED[bitsAt] | 64);
  const endAt = PACKED.indexOf(2 | 32, bitsAt); // where the second row begins
  assertEquals(packed.subarray(endAt, endAt + 3), Uint8Array.of(0xc8, 0x01, 5));
  assertEquals(unpack(packed), [estimate, ROWS[1]]);
});

Deno.test("counts on both sides of every limit of their encoding come back exactly", () => {
  for (let bit = 0; bit < 63; bit++) {
    for (const count of [2n ** BigInt(bit) - 1n, 2n ** BigInt(bit), 2n ** BigInt(bit) + 1n]) {
      assertEquals(unpack(packRows([{ ...ROWS[0], packets: count, bytes: count }]))[0].bytes, count);
    }
  }
});

Deno.test("windows come back as they were packed", () => {
  const random = new Random(SEED);
  for (let sequence = 0; sequence < 20; sequence++) {
    const flows = 1 + random.below(300);
    const withoutRoom = random.below(50);
    const shape = { startUnixNs: DAY_START_NS, lengthNs: NS_PER_S, sequence, flows, topMax: flows, pool: 1000 };
    const { rows, estimates } = levelOf(madeWindow(random, { ...shape, withoutRoom }).window, flows);
    assertEquals(unpack(packRows([...rows, ...estimates])), [...rows, ...estimates], `seed ${SEED}`);
  }
});

Deno.test("forEachRow() refuses bytes that are cut short, too long or out of their table", () => {
  for (let length = 0; length < PACKED.length; length++) {
    assertThrows(() => unpack(PACKED.subarray(0, length)), RangeError, "Cannot read packed flows", `${length} bytes`);
  }
  assertThrows(() => unpack(Uint8Array.of(...PACKED, 0)), RangeError, "more follows");
  const nameless = PACKED.slice();
  nameless[12] = 9;
  assertThrows(() => unpack(nameless), RangeError, "a name is missing");
});
