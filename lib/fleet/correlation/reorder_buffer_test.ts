import { assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { Random } from "../../../tests/support/random.ts";
import { toUs, unixNsOf } from "./record.ts";
import { ReorderBuffer } from "./reorder_buffer.ts";

Deno.test("ReorderBuffer gives records out by time, then agent, then sequence", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const hosts = ["b", "a"].map((agent) => new FakeHost(agent));
  const buffer = new ReorderBuffer();
  const names: string[] = [];
  for (let i = 0; i < 1_000; i++) {
    // Nanoseconds decide where microseconds are equal.
    const record = random.pick(hosts).event("file_open", random.below(50) / 1e8);
    buffer.add({ timeUs: toUs(unixNsOf(record)), record });
    names.push(nameOf(record));
  }
  const taken: string[] = [];
  while (buffer.size > 0) taken.push(nameOf(buffer.take()!.record as ReturnType<FakeHost["event"]>));
  assertEquals(taken, names.toSorted(), `TEST_SEED=${seed}`);
  assertEquals([buffer.take(), buffer.earliestUs], [undefined, Infinity]);
});

function nameOf({ unixNs, agent, sequence }: ReturnType<FakeHost["event"]>): string {
  return `${unixNs} ${agent} ${String(sequence).padStart(4, "0")}`;
}
