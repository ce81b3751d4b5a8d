import { assertEquals } from "../../../tests/assert.ts";
import { TickClock } from "./tick_clock.ts";

const MS = 1_000_000n;

Deno.test("TickClock finds the tick's length from samples that are read late by less than a tick", () => {
  for (const [hz, tickNs] of [[100n, 10n * MS], [250n, 4n * MS], [300n, 3_333_333n], [1000n, MS]] as const) {
    const clock = new TickClock({ monotonicNs: 5_000n * MS + tickNs - 1n, jiffies: 4_294_892_296n });
    clock.addSample({ monotonicNs: 6_000n * MS, jiffies: 4_294_892_296n + hz });
    assertEquals(clock.tickNs, tickNs);
  }
});

Deno.test("TickClock.toNs() counts ticks back from the last sample", () => {
  const clock = new TickClock({ monotonicNs: 0n, jiffies: 1000n });
  clock.addSample({ monotonicNs: 1_000n * MS, jiffies: 1250n });
  assertEquals(clock.toNs(1250n), 1_000n * MS);
  assertEquals(clock.toNs(1249n), 996n * MS);
  assertEquals(clock.toNs(1251n), 1_004n * MS);
});

Deno.test("TickClock keeps a plausible tick while too few have passed to measure one", () => {
  const clock = new TickClock({ monotonicNs: 0n, jiffies: 1000n });
  clock.addSample({ monotonicNs: 9n * MS, jiffies: 1001n });
  assertEquals(clock.tickNs, 4n * MS);
});
