import { assertEquals, assertLess, assertThrows } from "../../../tests/assert.ts";
import { findSlots } from "./slots.ts";

/** slot_of() of bpf/flow.bpf.c, in arithmetic of its own: exact integers modulo 2^32. */
function slotInKernel(ifindex: number, { multiplier, shift }: { multiplier: number; shift: number }): number {
  return Number(BigInt.asUintN(32, BigInt(ifindex) * BigInt(multiplier)) >> BigInt(shift));
}

function check(ifindexes: number[]): void {
  const table = findSlots(ifindexes);
  assertEquals(table.slotOf, ifindexes.map((ifindex) => slotInKernel(ifindex, table)));
  assertEquals(new Set(table.slotOf).size, ifindexes.length);
  assertEquals(table.slots, 2 ** (32 - table.shift));
  for (const slot of table.slotOf) assertLess(slot, table.slots);
}

Deno.test("findSlots() gives one interface a slot as the program computes it, whatever its index", () => {
  for (const ifindex of [1, 2, 3, 1_000, 65_535, 2 ** 31 - 1]) check([ifindex]);
});

Deno.test("findSlots() keeps runs of indexes apart, and indexes far apart", () => {
  check(Array.from({ length: 64 }, (_, i) => i + 1));
  check(Array.from({ length: 64 }, (_, i) => 1 + i * 4_096));
  check(Array.from({ length: 31 }, (_, i) => 2 ** i));
});

Deno.test("findSlots() keeps many random sets of indexes apart in few slots", () => {
  let state = 1;
  const random = () => state = Math.imul(state, 48_271) >>> 1;
  for (let size = 1; size <= 64; size++) {
    const ifindexes = new Set<number>();
    while (ifindexes.size < size) ifindexes.add(random() % 100_000 + 1);
    check([...ifindexes]);
  }
});

Deno.test("findSlots() finds the same table each time", () => {
  assertEquals(findSlots([7, 19, 4]), findSlots([7, 19, 4]));
});

Deno.test("findSlots() says so when it finds no table", () => {
  assertThrows(() => findSlots(Array.from({ length: 5_000 }, (_, i) => i + 1)), RangeError, "5000");
});
