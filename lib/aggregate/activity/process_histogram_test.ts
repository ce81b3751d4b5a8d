import { assertAlmostEquals, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { DURATION_BUCKETS, durationBounds, percentile, samplingError } from "./process_histogram.ts";

function histogramOf(counts: Record<number, number>): number[] {
  return Array.from({ length: DURATION_BUCKETS }, (_, bucket) => counts[bucket] ?? 0);
}

Deno.test("durationBounds() leaves no gap, from nothing to any duration", () => {
  assertEquals(durationBounds(0), { lowNs: 0, highNs: 128 });
  assertEquals(durationBounds(1), { lowNs: 128, highNs: 256 });
  for (let bucket = 1; bucket < DURATION_BUCKETS; bucket++) {
    assertEquals(durationBounds(bucket).lowNs, durationBounds(bucket - 1).highNs);
  }
  assertEquals(durationBounds(DURATION_BUCKETS - 1), { lowNs: 2 ** 37, highNs: Infinity });
});

Deno.test("percentile() stays within the bucket, and within what is known of the calls", () => {
  const known = { minNs: 100n, maxNs: 3_000n };
  const histogram = histogramOf({ 0: 50, 4: 50 });
  const median = percentile(histogram, 0.5, known)!;
  assertEquals([median.lowNs, median.highNs], [100, 128]);
  assertAlmostEquals(median.estimateNs, 128);
  const high = percentile(histogram, 0.75, known)!;
  assertEquals([high.lowNs, high.highNs], [1_024, 2_048]);
  assertAlmostEquals(high.estimateNs, 1_024 * Math.SQRT2);
  assertAlmostEquals(percentile(histogram, 0, known)!.estimateNs, 100);
  assertAlmostEquals(percentile(histogram, 1, known)!.estimateNs, 2_048);
});

Deno.test("percentile() of calls in the last bucket is bounded by the longest", () => {
  const longest = 400_000_000_000n;
  const { lowNs, highNs } = percentile(histogramOf({ 31: 2 }), 0.5, { minNs: 2n ** 37n, maxNs: longest })!;
  assertEquals([lowNs, highNs], [2 ** 37, Number(longest)]);
});

Deno.test("percentile() of one duration is that duration", () => {
  const known = { minNs: 700n, maxNs: 700n };
  assertEquals(percentile(histogramOf({ 3: 9 }), 0.99, known), { estimateNs: 700, lowNs: 700, highNs: 700 });
});

Deno.test("percentile() is null where nothing was timed, and refuses a share that is none", () => {
  assertEquals(percentile(histogramOf({}), 0.5, { minNs: null, maxNs: null }), null);
  assertThrows(() => percentile(histogramOf({ 0: 1 }), 50, { minNs: 1n, maxNs: 1n }), RangeError);
  assertThrows(() => percentile(histogramOf({ 0: 1 }), NaN, { minNs: 1n, maxNs: 1n }), RangeError);
});

Deno.test("samplingError() is nothing without sampling and shrinks with the root of the count", () => {
  assertEquals(samplingError(1_000, 1), 0);
  assertEquals(samplingError(0, 16), 0);
  assertAlmostEquals(samplingError(1_500, 16), 0.1);
  assertAlmostEquals(samplingError(150_000, 16), 0.01);
});
