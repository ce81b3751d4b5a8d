import { assertEquals } from "../../../tests/assert.ts";
import { MapGrowth, type MapLoad } from "./overflow_growth.ts";

const SECOND_NS = 1_000_000_000n;

function load(overrides: Partial<MapLoad>): MapLoad {
  return { entries: 0, entriesMax: 1_000, overflowed: false, durationNs: SECOND_NS, ...overrides };
}

Deno.test("MapGrowth doubles after an overflow, up to the limit", () => {
  const growth = new MapGrowth(1_000, 5_000);
  assertEquals(growth.wanted, 1_000);
  const wanted = [1_000, 2_000, 4_000, 5_000].map((entriesMax) =>
    growth.observe(load({ entriesMax, overflowed: true }))
  );
  assertEquals(wanted, [2_000, 4_000, 5_000, 5_000]);
});

Deno.test("MapGrowth does not double again because of a side that has not grown yet", () => {
  const growth = new MapGrowth(1_000, 100_000);
  assertEquals(growth.observe(load({ overflowed: true })), 2_000);
  assertEquals(growth.observe(load({ overflowed: true })), 2_000);
  assertEquals(growth.observe(load({ entriesMax: 2_000, overflowed: true })), 4_000);
});

Deno.test("MapGrowth never shrinks a map below what was asked for, whatever the limit", () => {
  const growth = new MapGrowth(1_000, 10);
  assertEquals(growth.observe(load({ overflowed: true })), 1_000);
  for (let second = 0; second < 300; second++) assertEquals(growth.observe(load({})), 1_000);
});

Deno.test("MapGrowth halves after a minute of little use, and a busy window starts the minute again", () => {
  const growth = new MapGrowth(1_000, 8_000);
  for (const entriesMax of [1_000, 2_000, 4_000]) growth.observe(load({ entriesMax, overflowed: true }));
  const idle = load({ entries: 999, entriesMax: 8_000 });
  for (let second = 0; second < 59; second++) assertEquals(growth.observe(idle), 8_000);
  assertEquals(growth.observe({ ...idle, entries: 1_000 }), 8_000);
  for (let second = 0; second < 59; second++) assertEquals(growth.observe(idle), 8_000);
  assertEquals(growth.observe(idle), 4_000);
  // 999 flows are too many for it to shrink again.
  for (let second = 0; second < 300; second++) assertEquals(growth.observe(idle), 4_000);
});

Deno.test("MapGrowth settles: what filled the map before it shrank finds room after it", () => {
  const growth = new MapGrowth(1_000, 1 << 20);
  for (let flows = 100; flows < 1_000_000; flows = Math.ceil(flows * 1.7)) {
    const sizes = new Set<number>();
    for (let second = 0; second < 600; second++) {
      const entriesMax = growth.wanted;
      const wanted = growth.observe(load({
        entries: Math.min(flows, entriesMax),
        entriesMax,
        overflowed: flows > entriesMax,
      }));
      if (second > 100) sizes.add(wanted);
    }
    assertEquals(sizes.size, 1);
  }
});

Deno.test("MapGrowth asks for no more than could be had, once it is told", () => {
  const growth = new MapGrowth(1_000, 100_000);
  growth.observe(load({ overflowed: true }));
  assertEquals(growth.observe(load({ entriesMax: 2_000, overflowed: true })), 4_000);
  growth.giveUp(2_000);
  assertEquals(growth.wanted, 2_000);
  assertEquals(growth.observe(load({ entriesMax: 2_000, overflowed: true })), 2_000);
});
