import { assert, assertEquals, assertLessOrEqual } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { BoundedCounts } from "./bounded_counts.ts";

function add(counts: BoundedCounts<string>, key: string, records: number): void {
  const count = counts.countOf(key, key);
  count.records += records;
  count.estimated += 2 * records;
}

Deno.test("BoundedCounts is exact while the labels fit", () => {
  const counts = new BoundedCounts<string>(2);
  for (const key of ["a", "b", "c", "d", "b", "c", "b"]) add(counts, key, 1);
  const row = (label: string, records: number) => ({ label, records, estimated: 2 * records });
  const none = { records: 0, estimated: 0 };
  assertEquals(counts.top(4), { rows: [row("b", 3), row("c", 2), row("a", 1), row("d", 1)], other: none });
  assertEquals(counts.top(1), { rows: [row("b", 3)], other: { records: 4, estimated: 8 } });
  assertEquals(counts.folds, 0);
});

Deno.test("BoundedCounts folds the smallest when one label too many comes", () => {
  const counts = new BoundedCounts<string>(2);
  for (const [key, records] of [["a", 1], ["b", 5], ["c", 4], ["d", 3]] as const) add(counts, key, records);
  add(counts, "e", 9);
  assertEquals(counts.folds, 1);
  const { rows, other } = counts.top(10);
  assertEquals(rows.map(({ label }) => label), ["e", "b", "c"]);
  assertEquals(other, { records: 4, estimated: 8 });
  const taken = counts.take();
  assertEquals([taken.rows.toSorted((a, b) => b.records - a.records), taken.other], [rows, other]);
  assertEquals([counts.take(), counts.folds], [{ rows: [], other: { records: 0, estimated: 0 } }, 3]);
});

Deno.test("BoundedCounts stays bounded, its sum exact, its rows at most `other` below the truth", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const counts = new BoundedCounts<string>(50);
  const truth = new Map<string, number>();
  for (let i = 0; i < 50_000; i++) {
    // The lower numbers come more often.
    const key = `k${random.below(1 + random.below(2_000))}`;
    const records = 1 + random.below(3);
    add(counts, key, records);
    truth.set(key, (truth.get(key) ?? 0) + records);
    if (i % 1_000 === 0) assertLessOrEqual(counts.top(Infinity).rows.length, 100);
  }
  const { rows, other } = counts.top(10);
  const all = truth.values().reduce((sum, records) => sum + records, 0);
  assertEquals(rows.reduce((sum, { records }) => sum + records, other.records), all, `TEST_SEED=${seed}`);
  for (const { label, records } of rows) {
    const exact = truth.get(label)!;
    assert(records <= exact && exact <= records + other.records, `TEST_SEED=${seed}, ${label}: ${records} of ${exact}`);
  }
  assertEquals(counts.folds > 0, true);
});
