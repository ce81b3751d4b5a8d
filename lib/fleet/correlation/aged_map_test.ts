import { assertEquals } from "../../../tests/assert.ts";
import { AgedMap } from "./aged_map.ts";

Deno.test("AgedMap.takeOldest() takes by age, which set() keeps and renew() does not", () => {
  const map = new AgedMap<string, number>();
  assertEquals(map.takeOldest(), undefined);
  for (const [i, key] of ["a", "b", "c", "d"].entries()) map.set(key, i);
  map.set("a", 9);
  map.renew("b", 1);
  map.delete("c");
  assertEquals([map.takeOldest(), map.takeOldest()], [["a", 9], ["d", 3]]);
  map.set("e", 4);
  assertEquals([map.takeOldest(), map.takeOldest(), map.takeOldest(), map.size], [["b", 1], ["e", 4], undefined, 0]);
  map.set("f", 5);
  assertEquals(map.takeOldest(), ["f", 5]);
});

Deno.test("an AgedMap made of what another one saved takes in the same order", () => {
  const map = new AgedMap([1, 2, 3].reduce((saved, key) => saved.set(key, key), new Map<number, number>()));
  map.renew(1, 1);
  const copy = new AgedMap(new Map(map.saved));
  assertEquals([copy.takeOldest(), copy.takeOldest(), copy.takeOldest()], [[2, 2], [3, 3], [1, 1]]);
});
