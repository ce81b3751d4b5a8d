import { assertEquals } from "../../../tests/assert.ts";
import { type Measurement, reduction } from "./reduction.ts";

const RUN: Measurement = {
  seconds: 4,
  rawEvents: 1_000n,
  summaries: 10n,
  rawRecordBytes: 64,
  summaryRecordBytes: 32,
  overflowPackets: 0n,
  seenPackets: 1_000n,
};

Deno.test("reduction() compares events and bandwidth", () => {
  assertEquals(reduction(RUN), {
    ratio: 100,
    rawBytesPerSecond: 16_000,
    summaryBytesPerSecond: 80,
    savedRatio: 0.995,
  });
});

Deno.test("reduction() admits that aggregation can cost bandwidth", () => {
  const { ratio, savedRatio } = reduction({ ...RUN, rawEvents: 10n, summaryRecordBytes: 128 });
  assertEquals({ ratio, savedRatio }, { ratio: 1, savedRatio: -1 });
});

Deno.test("reduction() of silence divides by nothing", () => {
  const silence = { ratio: null, rawBytesPerSecond: 0, summaryBytesPerSecond: 0, savedRatio: null };
  assertEquals(reduction({ ...RUN, rawEvents: 0n, summaries: 0n }), silence);
  assertEquals(reduction({ ...RUN, seconds: 0, rawEvents: 0n, summaries: 0n }), silence);
});
