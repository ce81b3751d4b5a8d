import { assertEquals } from "../../tests/assert.ts";
import type { ActivityArrangement } from "../aggregate/activity/activity_options.ts";
import { DEFAULT_ARRANGEMENT } from "../aggregate/activity/process_reducer.ts";
import { TopKeys } from "./top_keys.ts";

function keysOf(): { keys: TopKeys; told: ActivityArrangement[]; type(text: string): boolean[] } {
  const told: ActivityArrangement[] = [];
  const keys = new TopKeys({ arrangement: DEFAULT_ARRANGEMENT, wide: false }, (arrangement) => told.push(arrangement));
  return { keys, told, type: (text) => Array.from(text, (key) => keys.press(key)) };
}

Deno.test("TopKeys sorts by c, t, e, b, i and o, and tells who arranges", () => {
  const { keys, told, type } = keysOf();
  assertEquals(type("tebioc"), [true, true, true, true, true, true]);
  assertEquals(told.map(({ order }) => order), ["time", "errors", "bytes", "in", "out", "calls"]);
  assertEquals(keys.arrangement, DEFAULT_ARRANGEMENT);
});

Deno.test("TopKeys goes through the groupings with g, and back to the first", () => {
  const { told, type } = keysOf();
  type("gggg");
  assertEquals(told.map(({ by }) => by), ["container", "user", "syscall", "process"]);
});

Deno.test("TopKeys leaves q and p to the screen, unless a filter is being typed", () => {
  const { keys, told, type } = keysOf();
  assertEquals(type("qpx"), [false, false, false]);
  assertEquals(type("/qp\n"), [true, true, true, true]);
  assertEquals(told.map(({ comm }) => comm), ["qp"]);
  assertEquals(type("q"), [false]);
  assertEquals(keys.typed, null);
});

Deno.test("TopKeys edits what was typed before, and Escape leaves it as it was", () => {
  const { keys, told, type } = keysOf();
  type("/nginy\x7fx\r");
  assertEquals(keys.arrangement.comm, "nginx");
  type("/");
  assertEquals(keys.typed, "nginx");
  type("\x15");
  assertEquals(keys.typed, "");
  type("other\x1b");
  assertEquals([keys.typed, keys.arrangement.comm], [null, "nginx"]);
  type("/\x15\r");
  assertEquals(told.map(({ comm }) => comm), ["nginx", ""]);
});

Deno.test("TopKeys takes no more than a command's name can have, and no control character", () => {
  const { keys, type } = keysOf();
  type("/0123456789abcdefgh\x01");
  assertEquals(keys.typed, "0123456789abcde");
});

Deno.test("TopKeys widens and narrows with w", () => {
  const { keys, told, type } = keysOf();
  type("w");
  assertEquals(keys.wide, true);
  type("w");
  assertEquals([keys.wide, told.length], [false, 0]);
});
