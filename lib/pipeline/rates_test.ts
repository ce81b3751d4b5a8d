import { assertAlmostEquals, assertEquals, assertLess } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { Rates } from "./rates.ts";

const SECOND = 1e9;

Deno.test("Rates gives the same over all windows while the rate is steady", () => {
  let nowNs = 5 * SECOND;
  const rates = new Rates(() => nowNs);
  assertEquals(rates.rates(), { s1: 0, s10: 0, s60: 0 });
  for (let i = 0; i < 1_000; i++) {
    nowNs += SECOND / 10;
    rates.tick(50);
  }
  assertEquals(rates.rates(), { s1: 500, s10: 500, s60: 500 });
});

Deno.test("Rates divides by the time since the start while a window is longer", () => {
  let nowNs = 0;
  const rates = new Rates(() => nowNs);
  nowNs = 4 * SECOND;
  rates.tick(400);
  assertEquals(rates.rates(), { s1: 100, s10: 100, s60: 100 });
});

Deno.test("Rates spreads a late tick over the gap before it, and sinks while none comes", () => {
  let nowNs = 0;
  const rates = new Rates(() => nowNs);
  nowNs = 100 * SECOND;
  rates.tick(0);
  nowNs = 120 * SECOND;
  rates.tick(2_000); // 100 a second for 20 seconds
  assertEquals(rates.rates(), { s1: 100, s10: 100, s60: 2_000 / 60 });
  nowNs = 125 * SECOND;
  assertEquals(rates.rates(), { s1: 0, s10: 50, s60: 2_000 / 60 });
  nowNs = 1_000 * SECOND;
  assertEquals(rates.rates(), { s1: 0, s10: 0, s60: 0 });
});

Deno.test("Rates follows ticks at random times, closer than it keeps and farther than it looks", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  let nowNs = 0;
  const rates = new Rates(() => nowNs);
  const ticks: { fromNs: number; toNs: number; count: number }[] = [];
  for (let i = 0; i < 3_000; i++) {
    const fromNs = nowNs;
    nowNs += 1 + random.below(random.pick([0.01, 0.3, 2]) * SECOND);
    const count = random.below(1_000);
    rates.tick(count);
    ticks.push({ fromNs, toNs: nowNs, count });
  }
  /** Each tick's events, spread over its time, as far as that is within the window. */
  const expected = (seconds: number) => {
    const startNs = nowNs - seconds * SECOND;
    const counted = ticks.reduce((sum, { fromNs, toNs, count }) => {
      const inside = Math.max(0, toNs - Math.max(fromNs, startNs)) / (toNs - fromNs);
      return sum + count * inside;
    }, 0);
    return counted / seconds;
  };
  const { s1, s10, s60 } = rates.rates();
  // Ticks that became one are spread over 100 ms together: that is the error at the window's beginning.
  for (const [seconds, got] of [[1, s1], [10, s10], [60, s60]]) {
    const perTenth = Math.max(...ticks.map(({ fromNs, toNs, count }) => count / Math.max(1, (toNs - fromNs) / 1e8)));
    assertAlmostEquals(got, expected(seconds), 20 * perTenth / seconds, `TEST_SEED=${seed}`);
  }
  assertLess(Math.abs(s60 - expected(60)) / expected(60), 0.1, `TEST_SEED=${seed}`);
});
