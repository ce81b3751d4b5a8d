import { assert, assertEquals, assertLessOrEqual } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { LATENCY_MAX_NS, LATENCY_SECONDS_BOUNDS, LatencyHistogram } from "./latency_histogram.ts";

Deno.test("LatencyHistogram gives every value back to 1 %, up to its largest", () => {
  for (let bits = 0; bits < 40; bits++) {
    for (const value of [2 ** bits, 2 ** bits + 1, 1.5 * 2 ** bits, 2 ** (bits + 1) - 1]) {
      const histogram = new LatencyHistogram();
      histogram.record(Math.floor(value));
      // Another one above it, so that the largest does not stand in for it.
      histogram.record(LATENCY_MAX_NS);
      const got = histogram.percentileNs(0.5);
      assertLessOrEqual(Math.abs(got - Math.floor(value)), 0.01 * value, `${value} became ${got}`);
    }
  }
});

Deno.test("LatencyHistogram keeps percentiles within 1 % of the exact ones", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const histogram = new LatencyHistogram();
  const values = Array.from({ length: 20_000 }, () => random.below(2 ** (1 + random.below(31))));
  for (const value of values) histogram.record(value);
  values.sort((a, b) => a - b);
  const summary = histogram.summary();
  const cases: [number, number][] = [
    [0.5, summary.p50Ns],
    [0.9, summary.p90Ns],
    [0.99, summary.p99Ns],
    [0.999, summary.p999Ns],
  ];
  for (const [share, got] of cases) {
    const exact = values[Math.ceil(share * values.length) - 1];
    assertLessOrEqual(Math.abs(got - exact), 0.01 * exact, `TEST_SEED=${seed}, ${share}: ${got}, not ${exact}`);
  }
  assertEquals([summary.count, summary.maxNs], [values.length, values[values.length - 1]]);
  assertEquals(summary.meanNs, values.reduce((sum, value) => sum + value, 0) / values.length);
  assertEquals(histogram.percentileNs(1) <= summary.maxNs, true);
});

Deno.test("LatencyHistogram is 0 before the first value, and takes any value", () => {
  const histogram = new LatencyHistogram();
  assertEquals(histogram.summary(), { count: 0, p50Ns: 0, p90Ns: 0, p99Ns: 0, p999Ns: 0, maxNs: 0, meanNs: 0 });
  histogram.record(-5);
  assertEquals([histogram.count, histogram.percentileNs(1), histogram.meanNs], [1, 0, 0]);
  histogram.record(10 * LATENCY_MAX_NS);
  assertEquals([histogram.count, histogram.maxNs, histogram.percentileNs(1)], [
    2,
    10 * LATENCY_MAX_NS,
    10 * LATENCY_MAX_NS,
  ]);
});

Deno.test("LatencyHistogram.merge() adds what take() hands out, once", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const whole = new LatencyHistogram(), part = new LatencyHistogram(), merged = new LatencyHistogram();
  for (let i = 0; i < 5_000; i++) {
    const value = random.below(2 ** 31);
    const count = 1 + random.below(9);
    whole.record(value, count);
    part.record(value, count);
    if (random.below(1_000) === 0) merged.merge(structuredClone(part.take()));
  }
  merged.merge(part.take());
  merged.merge(part.take());
  assertEquals(merged.summary(), whole.summary(), `TEST_SEED=${seed}`);
  assertEquals(part.count, 0);
});

Deno.test("LatencyHistogram.toPrometheus() counts up to each bound, to a bucket's width", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const histogram = new LatencyHistogram();
  const values = Array.from({ length: 10_000 }, () => random.below(2 ** 31) * (1 + random.below(10)));
  for (const value of values) histogram.record(value);
  const { bounds, count, sum, cumulative } = histogram.toPrometheus();
  assertEquals([bounds, count], [LATENCY_SECONDS_BOUNDS, values.length]);
  assert(Math.abs(sum - values.reduce((all, value) => all + value / 1e9, 0)) < 1e-6 * sum);
  const atMost = (boundNs: number) => values.filter((value) => value <= boundNs).length;
  cumulative().forEach((got, i) => {
    const boundNs = bounds[i] * 1e9;
    assert(got <= atMost(boundNs) && got >= atMost(boundNs * (1 - 1 / 63)), `TEST_SEED=${seed}, ${bounds[i]}: ${got}`);
  });
});
