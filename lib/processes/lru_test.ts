import { assertEquals } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { Lru } from "./lru.ts";

Deno.test("Lru lets go of what has not been asked for the longest", () => {
  const lru = new Lru<string, number>(3);
  for (const [key, value] of [["a", 1], ["b", 2], ["c", 3]] as const) lru.set(key, value);
  assertEquals(lru.get("a"), 1);
  assertEquals(lru.peek("b"), 2); // keeps its place
  lru.set("d", 4);
  assertEquals([...lru.values()], [4, 1, 3]);
  assertEquals([lru.get("b"), lru.size, lru.evictions], [undefined, 3, 1]);
});

Deno.test("Lru.set() of a key that is there makes it the newest and lets nothing go", () => {
  const lru = new Lru<string, number>(2);
  lru.set("a", 1);
  lru.set("b", 2);
  lru.set("a", 3);
  assertEquals([...lru.values()], [3, 2]);
  assertEquals(lru.evictions, 0);
});

Deno.test("Lru does what a list does that is searched from its start", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  for (const entriesMax of [1, 2, 7]) {
    const lru = new Lru<number, number>(entriesMax);
    let list: [number, number][] = [];
    for (let step = 0; step < 3_000; step++) {
      const key = random.below(12);
      const known = list.find(([other]) => other === key);
      if (random.below(2) === 0) {
        assertEquals(lru.get(key), known?.[1], `seed ${seed}, step ${step}`);
        if (known !== undefined) list = [known, ...list.filter((entry) => entry !== known)];
      } else {
        lru.set(key, step);
        list = [[key, step] as [number, number], ...list.filter((entry) => entry !== known)].slice(0, entriesMax);
      }
      assertEquals([...lru.values()], list.map(([, value]) => value), `seed ${seed}, step ${step}`);
      assertEquals(lru.size, list.length);
    }
  }
});
