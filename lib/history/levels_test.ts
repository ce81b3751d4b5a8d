import { assert, assertEquals, assertThrows } from "../../tests/assert.ts";
import {
  DAY_START_NS,
  type MadeWindow,
  madeWindow,
  NS_PER_S,
  type WindowShape,
} from "../../tests/support/history_windows.ts";
import { Random } from "../../tests/support/random.ts";
import { flowRow, flowWindow, interfaceTraffic } from "../../tests/support/windows.ts";
import {
  addClasses,
  alignedStart,
  flowKey,
  levelOf,
  type LevelRow,
  LEVELS,
  type LevelWindow,
  mergeWindows,
  noClasses,
  TRAFFIC_CLASSES,
} from "./levels.ts";
import type { FlowRow, OverflowDetail } from "../aggregate/windows/flow_window.ts";
import { OTHER_CLASSES } from "../wire/traffic.ts";

const SEED = Random.freshSeed();

function made(random: Random, count: number, topMax: number, more: Partial<WindowShape> = {}): MadeWindow[] {
  let startUnixNs = DAY_START_NS;
  return Array.from({ length: count }, (_, sequence) => {
    const lengthNs = NS_PER_S / 4n + BigInt(random.below(2_000_000_000));
    const flows = 1 + random.below(80);
    const it = madeWindow(random, { startUnixNs, lengthNs, sequence, flows, topMax, pool: 400, ...more });
    startUnixNs += lengthNs;
    return it;
  });
}

/** Sums over interfaces. */
function classesOf(windows: LevelWindow[]) {
  const sum = noClasses();
  for (const { traffic } of windows) for (const { classes } of traffic) addClasses(sum, classes);
  return sum;
}

/** By interface and direction: seen = flows + overflow + other, flows = rows + rest, and estimates are of the overflow. */
function assertBalanced({ traffic, rows, estimates }: LevelWindow): void {
  for (const { iface, direction, classes } of traffic) {
    for (const unit of ["packets", "bytes"] as const) {
      const sumOf = (rows: LevelRow[]) =>
        rows.filter((row) => row.iface === iface && row.direction === direction)
          .reduce((sum, row) => sum + row[unit], 0n);
      const named = sumOf(rows);
      assert(sumOf(estimates) <= classes.overflow[unit], `${iface} ${direction} seed ${SEED}`);
      assertEquals(classes.flows[unit], named + classes.rest[unit], `${iface} ${direction} seed ${SEED}`);
      const parts = ["flows", "overflow", ...OTHER_CLASSES] as const;
      assertEquals(classes.seen[unit], parts.reduce((sum, name) => sum + classes[name][unit], 0n), `seed ${SEED}`);
    }
  }
}

Deno.test("levelOf() keeps every sum, and what it does not name as a rest", () => {
  const random = new Random(SEED);
  for (const rowsMax of [1, 7, 100]) {
    for (const { window } of made(random, 20, 60)) {
      const level = levelOf(window, rowsMax);
      assertBalanced(level);
      assertEquals(level.rows.length, Math.min(rowsMax, window.top.length));
      assertEquals([level.flows, level.windows, level.level], [BigInt(window.flows), 1, 0]);
      assertEquals(level.endNs - level.startNs, level.coveredNs);
    }
  }
});

Deno.test("mergeWindows() equals the sum of its parts, merged at once or level by level", () => {
  const random = new Random(SEED);
  for (const rowsMax of [3, 25, 10_000]) {
    const parts = made(random, 60, 50).map(({ window }) => levelOf(window, 20));
    const flat = mergeWindows(1, parts, rowsMax);
    const halves = [parts.slice(0, 23), parts.slice(23)].map((half) => mergeWindows(1, half, rowsMax));
    const nested = mergeWindows(2, halves, rowsMax);
    for (const merged of [flat, nested]) {
      assertBalanced(merged);
      assert(merged.rows.length <= rowsMax);
      const sums = classesOf([merged]);
      const wanted = classesOf(parts);
      for (const name of TRAFFIC_CLASSES) if (name !== "rest") assertEquals(sums[name], wanted[name], `seed ${SEED}`);
      assertEquals(merged.windows, 60);
      assertEquals(merged.flows, parts.reduce((sum, part) => sum + part.flows, 0n));
      assertEquals(merged.coveredNs, parts.reduce((sum, part) => sum + part.coveredNs, 0n));
      assertEquals([merged.startNs, merged.endNs], [parts[0].startNs, parts.at(-1)!.endNs]);
    }
    if (rowsMax === 10_000) assertEquals(classesOf([flat]).rest, classesOf(parts).rest);
  }
});

Deno.test("a flow never had more than its row and the floor, at any level, named or not", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 10; round++) {
    const windows = made(random, 40, 30);
    const truth = new Map<string, bigint>();
    for (const { window, flows } of windows) {
      for (const row of levelOf({ ...window, top: flows }, flows.length).rows) {
        truth.set(flowKey(row), (truth.get(flowKey(row)) ?? 0n) + row.packets);
      }
    }
    const minutes = [0, 20].map((from) =>
      mergeWindows(1, windows.slice(from, from + 20).map(({ window }) => levelOf(window, 25)), 40)
    );
    const hour = mergeWindows(2, minutes, 15);
    const named = new Map(hour.rows.map((row) => [flowKey(row), row.packets]));
    for (const [key, packets] of truth) {
      const row = named.get(key) ?? 0n;
      assert(row <= packets, `a row says too much, seed ${SEED}`);
      assert(packets <= row + hour.floorPackets, `${packets} > ${row} + ${hour.floorPackets}, seed ${SEED}`);
    }
  }
});

Deno.test("levelOf() bounds what it does not name by the largest flow left out, or by the rest", () => {
  const traffic = interfaceTraffic({ flows: { packets: 70, bytes: 7_000 } });
  const top = [40, 20, 4].map((packets, i) => flowRow({ packets, bytes: packets * 100, sport: i + 1 }));
  const matched = { flows: 5, packets: 70, bytes: 7_000 };
  const window = flowWindow({ flows: 5, matched, top, interfaces: [traffic] });
  assertEquals(levelOf(window, 2).floorPackets, 4n); // the third row is known
  assertEquals(levelOf(window, 3).floorPackets, 4n); // no unnamed flow ranks above the last one
  assertEquals(levelOf({ ...window, flows: 3, matched: { ...matched, flows: 3 } }, 3).floorPackets, 0n);
  // Behind a filter there may be anything, as far as there is anything.
  assertEquals(levelOf({ ...window, matched: { flows: 3, packets: 64, bytes: 6_400 } }, 3).floorPackets, 6n);
  assertEquals(levelOf({ ...window, top: [] }, 3).floorPackets, 70n);
});

function estimate(packets: number, errorPackets: number, more: Partial<FlowRow> = {}) {
  return { ...flowRow({ packets, bytes: packets * 100, ...more }), errorPackets, errorBytes: errorPackets * 100 };
}

function overflowOf(...estimates: ReturnType<typeof estimate>[]): OverflowDetail {
  return { estimates, prefixes: [], prefixCount: 0, rest: { packets: 0, bytes: 0 } };
}

Deno.test("levelOf() keeps estimates as part of the overflow, lowered where they say more than it had", () => {
  // 20 packets of 2,000 bytes overflowed.
  const overflow = overflowOf(
    estimate(12, 3, { sport: 1 }),
    estimate(9, 4, { sport: 2 }),
    estimate(1, 2, { sport: 3 }),
    estimate(5, 0, { sport: 4, iface: "eth9" }),
  );
  const window = flowWindow({ overflow });
  const level = levelOf(window, 10);
  assertBalanced(level);
  assertEquals(
    level.estimates.map(({ sport, packets, bytes, errorPackets, errorBytes }) => [
      sport,
      packets,
      bytes,
      errorPackets,
      errorBytes,
    ]),
    // The upper bound stays.
    [[1, 12n, 1_200n, 3n, 300n], [2, 8n, 800n, 5n, 500n]],
  );
  assertEquals(level.traffic, levelOf(flowWindow(), 10).traffic);
  assertEquals(levelOf(window, 1).estimates.length, 1);
  assertEquals(levelOf(flowWindow(), 10).estimates, []);
});

Deno.test("mergeWindows() adds estimates and their bounds, apart from the rows of the same flow", () => {
  const window = (...estimates: ReturnType<typeof estimate>[]) =>
    levelOf(flowWindow({ overflow: overflowOf(...estimates) }), 10);
  const parts = [
    window(estimate(10, 2), estimate(4, 1, { sport: 1 })),
    window(estimate(7, 3), estimate(2, 0, { sport: 2, tcpFlags: 0 })),
    window(),
  ];
  const merged = mergeWindows(1, parts, 2);
  assertBalanced(merged);
  const [row] = merged.rows;
  assertEquals([row.sport, row.packets, row.errorPackets], [40_000, 180n, undefined]);
  assertEquals(
    merged.estimates.map(({ sport, packets, errorPackets, errorBytes }) => [sport, packets, errorPackets, errorBytes]),
    [[40_000, 17n, 5n, 500n], [1, 4n, 1n, 100n]],
  );
  // What is cut is overflow as before, and no flow's.
  assertEquals(merged.floorPackets, parts.reduce((sum, part) => sum + part.floorPackets, 0n));
  assertEquals(mergeWindows(1, parts, 10).traffic, merged.traffic);
});

Deno.test("a flow had what its rows and estimates say, and no more than bounds and what no estimate names allow", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 10; round++) {
    const windows = made(random, 40, 30, { withoutRoom: 20 });
    const truth = new Map<string, bigint>();
    for (const { window, flows, withoutRoom } of windows) {
      const top = [...flows, ...withoutRoom];
      const interfaces = window.interfaces.map((it) => ({ ...it, flows: it.seen }));
      for (const row of levelOf({ ...window, top, interfaces }, top.length).rows) {
        truth.set(flowKey(row), (truth.get(flowKey(row)) ?? 0n) + row.packets);
      }
    }
    const minutes = [0, 20].map((from) =>
      mergeWindows(1, windows.slice(from, from + 20).map(({ window }) => levelOf(window, 25)), 40)
    );
    const hour = mergeWindows(2, minutes, 60);
    assertBalanced(hour);
    assert(hour.estimates.length > 0);
    const named = new Map<string, { least: bigint; error: bigint }>();
    for (const row of [...hour.rows, ...hour.estimates]) {
      const { least, error } = named.get(flowKey(row)) ?? { least: 0n, error: 0n };
      named.set(flowKey(row), { least: least + row.packets, error: error + (row.errorPackets ?? 0n) });
    }
    const unnamed = hour.estimates.reduce((left, { packets }) => left - packets, classesOf([hour]).overflow.packets);
    for (const [key, packets] of truth) {
      const { least, error } = named.get(key) ?? { least: 0n, error: 0n };
      assert(least <= packets, `${least} > ${packets}, seed ${SEED}`);
      const most = least + error + hour.floorPackets + unnamed;
      assert(packets <= most, `${packets} > ${most}, seed ${SEED}`);
    }
  }
});

Deno.test("levelOf() refuses rows that its interfaces do not account for", () => {
  assertThrows(() => levelOf(flowWindow({ top: [flowRow({ iface: "eth9" })] }), 10), RangeError, "eth9");
  assertThrows(() => levelOf(flowWindow({ top: [flowRow({ packets: 71 })] }), 10), RangeError, "more than");
  assertThrows(() => levelOf(flowWindow({ top: [flowRow({ src: "nowhere" })] }), 10), RangeError, "no address");
});

Deno.test("alignedStart() is the start of the UTC second, minute, hour and day", () => {
  const unixNs = BigInt(Date.parse("2026-03-29T01:59:59Z")) * 1_000_000n + 999_999_999n;
  const starts = LEVELS.map((_, level) => new Date(Number(alignedStart(level, unixNs) / 1_000_000n)).toISOString());
  assertEquals(starts, [
    "2026-03-29T01:59:59.000Z",
    "2026-03-29T01:59:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "2026-03-29T00:00:00.000Z",
  ]);
  assertEquals(alignedStart(1, 60n * NS_PER_S), 60n * NS_PER_S);
  assertEquals(alignedStart(1, -1n), -60n * NS_PER_S);
});

Deno.test("mergeWindows() takes gaps and steps of the clock as they are", () => {
  const at = (startS: bigint, lengthS: bigint) =>
    levelOf(flowWindow({ startNs: 0n, endNs: lengthS * NS_PER_S, endUnixNs: (startS + lengthS) * NS_PER_S }), 10);
  const gap = mergeWindows(1, [at(0n, 2n), at(50n, 1n)], 10);
  assertEquals([gap.startNs, gap.endNs, gap.coveredNs], [0n, 51n * NS_PER_S, 3n * NS_PER_S]);
  const back = mergeWindows(1, [at(30n, 5n), at(20n, 15n)], 10);
  assertEquals([back.startNs, back.endNs, back.coveredNs], [20n * NS_PER_S, 35n * NS_PER_S, 20n * NS_PER_S]);
});

Deno.test("mergeWindows() stays exact beyond 2^53, and refuses to merge nothing", () => {
  const packets = Number.MAX_SAFE_INTEGER;
  const traffic = { packets, bytes: packets };
  const window = levelOf(
    flowWindow({
      interfaces: [interfaceTraffic({ seen: traffic, flows: traffic })],
      top: [flowRow(traffic)],
      flows: 1,
      matched: { ...traffic, flows: 1 },
    }),
    1,
  );
  const merged = mergeWindows(1, [window, window, window], 1);
  assertEquals(merged.rows[0].packets, 3n * BigInt(packets));
  assertEquals(merged.traffic[0].classes.seen.bytes, 3n * BigInt(packets));
  assertThrows(() => mergeWindows(1, [], 1), RangeError);
});

Deno.test("flowKey() tells flows apart by everything that identifies them", () => {
  const [base] = levelOf(flowWindow(), 1).rows;
  const others = [
    { iface: "eth1" },
    { direction: "egress" as const },
    { sport: 1 },
    { dport: 1 },
    { proto: 17 },
    { src: Uint8Array.of(1, 2, 3, 4) },
    { family: 6 as const, src: new Uint8Array(16), dst: new Uint8Array(16) },
    { pid: 1 },
    { comm: "1" },
    { container: "1" },
    { comm: "" },
  ];
  const keys = [base, ...others.map((other) => ({ ...base, ...other }))].map(flowKey);
  assertEquals(new Set(keys).size, keys.length);
});
