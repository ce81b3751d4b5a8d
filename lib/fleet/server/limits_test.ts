import { assertEquals } from "../../../tests/assert.ts";
import { LIMIT_DEFAULTS, Tally, TokenBucket, windowBytes } from "./limits.ts";

Deno.test("TokenBucket lets a burst through, then as much as it refills", () => {
  const bucket = new TokenBucket(1000, 500, 0);
  assertEquals(bucket.take(500, 0), 0);
  assertEquals(bucket.take(100, 0), 100);
  assertEquals(bucket.take(100, 100), 100);
  assertEquals(bucket.take(100, 10_000), 0);
  assertEquals(bucket.take(400, 10_000), 0);
  assertEquals(bucket.take(1, 10_000), 1);
});

Deno.test("TokenBucket without a rate never waits", () => {
  assertEquals(new TokenBucket(0, 0, 0).take(1e9, 0), 0);
});

Deno.test("windowBytes() shares a total, within bounds", () => {
  const limits = { ...LIMIT_DEFAULTS, windowBytesTotal: 1_000_000, windowBytesMax: 400_000 };
  assertEquals(windowBytes(limits, 0), 400_000);
  assertEquals(windowBytes(limits, 4), 250_000);
  assertEquals(windowBytes(limits, 1000), 65_536);
});

Deno.test("Tally forgets what is gone", () => {
  const tally = new Tally();
  assertEquals([tally.add("a"), tally.add("a"), tally.add("b")], [1, 2, 1]);
  tally.remove("a");
  tally.remove("a");
  assertEquals(tally.add("a"), 1);
});
