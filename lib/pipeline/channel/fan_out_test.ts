import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "../../../tests/assert.ts";
import { assignBuckets, bucketOf, BUCKETS, FanOut, HOLD, moveBuckets } from "./fan_out.ts";

function tableOf(outputs: number): Uint8Array<ArrayBuffer> {
  const table = new Uint8Array(BUCKETS);
  assignBuckets(table, Array.from({ length: outputs }, (_, output) => output));
  return table;
}

function sizes(table: Uint8Array, outputs: number): number[] {
  return Array.from({ length: outputs }, (_, output) => table.filter((to) => to === output).length);
}

Deno.test("bucketOf() spreads neighbouring pids evenly", () => {
  for (const step of [1, 2, 16, 1_000]) {
    const counts = new Uint32Array(BUCKETS);
    for (let i = 0; i < 256 * 100; i++) counts[bucketOf(1_000 + i * step)]++;
    assertGreater(Math.min(...counts), 50, `step ${step}`);
    assertLess(Math.max(...counts), 200, `step ${step}`);
  }
  assert([0, 1, 2 ** 22, 2 ** 32 - 1].every((pid) => bucketOf(pid) >= 0 && bucketOf(pid) < BUCKETS));
});

Deno.test("assignBuckets() gives every output as many as the next one", () => {
  assertEquals(sizes(tableOf(2), 2), [128, 128]);
  assertEquals(sizes(tableOf(3), 3), [86, 85, 85]);
  const table = tableOf(4);
  assignBuckets(table, [1, 3]);
  assertEquals(sizes(table, 4), [0, 128, 0, 128]);
  assertThrows(() => assignBuckets(table, []), RangeError);
});

Deno.test("moveBuckets() moves those of one output and leaves the others alone", () => {
  const before = tableOf(3);
  const table = before.slice();
  moveBuckets(table, 1, [0, 2]);
  before.forEach((output, bucket) => {
    if (output === 1) assert(table[bucket] === 0 || table[bucket] === 2);
    else assertEquals(table[bucket], output);
  });
  const [first, second, third] = sizes(table, 3);
  assertEquals([first + third, second], [BUCKETS, 0]);
  assertLess(Math.abs(first - third), 3);
  assertThrows(() => moveBuckets(table, 0, []), RangeError);
});

Deno.test("FanOut sends a process to one output, and holds it while its bucket is moved", () => {
  const table = tableOf(3);
  const fanOut = new FanOut("hash", table);
  for (let pid = 1; pid < 2_000; pid++) {
    const output = fanOut.outputOf(pid);
    fanOut.beginBatch();
    assertEquals(fanOut.outputOf(pid), output);
  }
  const moved = fanOut.outputOf(77);
  moveBuckets(table, moved, [HOLD]);
  for (let pid = 1; pid < 2_000; pid++) {
    assertEquals(fanOut.outputOf(pid) === HOLD, bucketOf(pid) % 3 === moved);
  }
  moveBuckets(table, HOLD, [(moved + 1) % 3]);
  assertEquals(fanOut.outputOf(77), (moved + 1) % 3);
});

Deno.test("FanOut takes turns by batch where order does not matter", () => {
  const fanOut = new FanOut("round_robin", tableOf(2));
  const turns = Array.from({ length: 6 }, () => {
    fanOut.beginBatch();
    const output = fanOut.outputOf(1);
    for (let pid = 1; pid < 100; pid++) assertEquals(fanOut.outputOf(pid), output, "all of a batch");
    return output;
  });
  assertEquals(turns, [1, 0, 1, 0, 1, 0]);
});
