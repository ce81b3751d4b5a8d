import { assertEquals } from "../../tests/assert.ts";
import { KeyIndex } from "./double_buffer_keys.ts";

Deno.test("KeyIndex.add() tells the first of equal keys, however many there are", () => {
  const keys = Uint16Array.from({ length: 5_000 }, (_, i) => i * 7 % 4_001);
  const index = new KeyIndex(new Uint8Array(keys.buffer), { keyBytes: 2, keysMax: keys.length });
  const first = new Map<number, number>();
  keys.forEach((key, i) => {
    if (!first.has(key)) first.set(key, i);
    assertEquals(index.add(i), first.get(key));
  });
});

Deno.test("KeyIndex.add() compares whole keys", () => {
  const bytes = Uint8Array.of(1, 2, 3, 1, 2, 4, 0, 2, 3, 1, 2, 3);
  const index = new KeyIndex(bytes, { keyBytes: 3, keysMax: 4 });
  assertEquals([0, 1, 2, 3].map((i) => index.add(i)), [0, 1, 2, 0]);
});
