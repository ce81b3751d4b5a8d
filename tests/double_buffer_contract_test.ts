/** What holds for double-buffered structures over the kernel's maps, and for their fakes alike. */
import { assert, assertEquals, assertGreater, assertStrictEquals, assertThrows } from "./assert.ts";
import { fakeStructures, kernelStructures, ROOM, type Structures } from "./support/double_buffer_structures.ts";

function upTo(length: number): number[] {
  return Array.from({ length }, (_, i) => i + 1);
}

function sorted<V>(entries: [number, V][]): [number, V][] {
  return entries.toSorted(([a], [b]) => a - b);
}

const A = { left: [1, 2, 3], right: [4], table: [[1, 10n], [2, 20n]] as [number, bigint][] };
const B = { left: [7], right: [8, 9], table: [[3, 30n]] as [number, bigint][] };

function setAll({ left, right, table }: Structures, values: typeof A): void {
  using change = left.setAndDeferSwitchover(values.left);
  right.setAndDeferSwitchover(values.right);
  table.setAndDeferSwitchover(values.table);
  change.flip();
}

function valuesOf({ left, right, table }: Structures): typeof A {
  return { left: left.entries(), right: right.entries(), table: sorted(table.entries()) };
}

for (const [kind, make] of [["kernel maps", kernelStructures], ["fakes", fakeStructures]] as const) {
  const test = (fact: string, check: (structures: Structures) => void | Promise<void>) =>
    Deno.test(`${kind}: ${fact}`, async () => {
      using structures = make();
      await check(structures);
    });

  test("what was set is there, and nothing else", ({ left, table }) => {
    assertEquals([left.length, left.entries(), left.get(0)], [0, [], undefined]);
    left.set([10, 20, 30]);
    assertEquals([left.length, left.entries()], [3, [10, 20, 30]]);
    assertEquals([left.get(0), left.get(2), left.get(3), left.get(-1), left.get(0.5)], [
      10,
      30,
      undefined,
      undefined,
      undefined,
    ]);
    table.set([[1, 10n], [2, 20n]]);
    assertEquals([table.length, sorted(table.entries())], [2, [[1, 10n], [2, 20n]]]);
    assertEquals([table.get(1), table.get(3)], [10n, undefined]);
    table.set([]);
    assertEquals([table.length, table.entries(), table.get(1)], [0, [], undefined]);
  });

  test("any iterable will do", ({ left, table }) => {
    left.set(new Set([3, 1]).values());
    table.set(new Map([[5, 50n]]));
    assertEquals([left.entries(), table.entries()], [[3, 1], [[5, 50n]]]);
  });

  test("lists and tables shrink and grow again, over and over", ({ left, table, trie }) => {
    for (const length of [4, 1, 0, 3, 17, 2, 64, 5, 64, 0, 1]) {
      left.set(upTo(length));
      table.set(upTo(length).map((key): [number, bigint] => [key, BigInt(key * length)]));
      trie.set(upTo(length).map((n) => [{ bits: 32, address: n }, BigInt(n * length)]));
      assertEquals([left.length, left.entries()], [length, upTo(length)]);
      assertEquals(sorted(table.entries()), upTo(length).map((key): [number, bigint] => [key, BigInt(key * length)]));
      assertEquals([table.length, trie.length, trie.entries().length], [length, length, length]);
    }
  });

  test("more than there can be room for is refused, and changes nothing", (structures) => {
    setAll(structures, A);
    const tooMany = upTo(ROOM.entriesLimit + 1);
    const message = `Cannot put ${ROOM.entriesLimit + 1} entries into`;
    assertThrows(() => structures.left.set(tooMany), RangeError, message);
    assertThrows(() => structures.table.set(tooMany.map((key) => [key, 0n])), RangeError, message);
    assertEquals(valuesOf(structures), A);
    structures.left.set(tooMany.slice(1));
    assertEquals(structures.left.length, ROOM.entriesLimit);
  });

  test("a value that cannot be encoded is refused, and changes nothing", (structures) => {
    setAll(structures, A);
    assertThrows(() => structures.left.set([1, -1]), RangeError, "Cannot encode -1");
    assertThrows(() => structures.table.set([[1, 1n << 64n]]), RangeError, "Cannot encode");
    assertEquals(valuesOf(structures), A);
    setAll(structures, B);
    assertEquals(valuesOf(structures), B);
  });

  test("of two entries with one key the last counts", ({ table }) => {
    table.set([[1, 10n], [2, 20n], [1, 11n]]);
    assertEquals([table.length, sorted(table.entries())], [2, [[1, 11n], [2, 20n]]]);
  });

  test("a trie finds the longest prefix", ({ trie }) => {
    trie.set([[{ bits: 8, address: 0x0a000000 }, 8n], [{ bits: 20, address: 0x0a010000 }, 20n]]);
    const find = (address: number, bits = 32) => trie.get({ bits, address });
    assertEquals([find(0x0a010203), find(0x0a011003), find(0x0b000000)], [20n, 8n, undefined]);
    assertEquals([find(0x0a010203, 8), find(0x0a010203, 7)], [8n, undefined]);
  });

  test("nothing changes before the flip, and everything in it", (structures) => {
    setAll(structures, A);
    const { left, right, table, pointer } = structures;
    const generation = pointer.generation;
    const change = left.setAndDeferSwitchover(B.left);
    assertStrictEquals(right.setAndDeferSwitchover(B.right), change);
    assertStrictEquals(table.setAndDeferSwitchover(B.table), change);
    assertEquals([valuesOf(structures), change.state], [A, "open"]);
    assertEquals(change.flip(), generation + 1);
    assertEquals([valuesOf(structures), change.state], [B, "flipped"]);
    assertEquals(pointer.generation, generation + 1);
  });

  test("a structure that was not set keeps its values through the flip of others", (structures) => {
    setAll(structures, A);
    structures.right.set([5, 6]);
    assertEquals(valuesOf(structures), { ...A, right: [5, 6] });
    structures.right.set(upTo(40));
    structures.left.set(upTo(30));
    assertEquals(valuesOf(structures), { left: upTo(30), right: upTo(40), table: A.table });
  });

  test("a structure set twice in one change has the last values", (structures) => {
    const change = structures.left.setAndDeferSwitchover(upTo(20));
    structures.left.setAndDeferSwitchover([9]);
    change.flip();
    assertEquals(structures.left.entries(), [9]);
  });

  test("a switchover flips once, and not after it was abandoned", (structures) => {
    setAll(structures, A);
    const { left, pointer } = structures;
    const change = left.setAndDeferSwitchover([5]);
    const generation = change.flip();
    assertEquals(change.flip(), generation);
    change.abandon();
    assertEquals([pointer.generation, left.entries(), change.state], [generation, [5], "flipped"]);
    const second = left.setAndDeferSwitchover([6]);
    second.abandon();
    second.abandon();
    assertThrows(() => second.flip(), Error, "Cannot flip: the change was abandoned");
    assertEquals([pointer.generation, left.entries()], [generation, [5]]);
    {
      using _dropped = left.setAndDeferSwitchover([7]);
    }
    assertEquals(left.entries(), [5]);
    left.set([8]);
    assertEquals(left.entries(), [8]);
  });

  test("set() is refused while a change is open", (structures) => {
    using change = structures.left.setAndDeferSwitchover([1]);
    assertThrows(() => structures.right.set([2]), Error, "a change is open");
    assertThrows(() => structures.table.set([]), Error, "a change is open");
    assertThrows(() => structures.pointer.flip(), Error, "a change is open");
    change.flip();
    structures.right.set([2]);
    assertEquals([structures.left.entries(), structures.right.entries()], [[1], [2]]);
  });

  test("an old side is quiet after the wait only", async ({ left, pointer }) => {
    assert(pointer.isQuiet);
    const change = left.setAndDeferSwitchover([1]);
    change.flip();
    assert(!pointer.isQuiet);
    await change.quiesced();
    assert(pointer.isQuiet);
    left.set([2]);
    assert(!pointer.isQuiet);
    // It waits by itself.
    left.set([3]);
    pointer.quiesce();
    assert(pointer.isQuiet);
  });

  Deno.test(`${kind}: an error at any step leaves the old values, and the next try finds nothing in its way`, () => {
    const larger = { left: upTo(9), right: upTo(20), table: upTo(33).map((key): [number, bigint] => [key, 1n]) };
    let failures = 0;
    for (let step = 1;; step++) {
      using structures = make();
      setAll(structures, A);
      structures.failAt(step);
      // What cleans up behind the first error fails too.
      structures.failAt(step + 1);
      let failed = false;
      try {
        setAll(structures, larger);
      } catch {
        failed = true;
      }
      structures.heal();
      if (!failed) break;
      failures++;
      assertEquals([valuesOf(structures), structures.pointer.isChanging], [A, false], `after an error at step ${step}`);
      setAll(structures, larger);
      assertEquals(valuesOf(structures), larger);
      setAll(structures, B);
      assertEquals(valuesOf(structures), B);
    }
    assertGreater(failures, 8);
  });
}
