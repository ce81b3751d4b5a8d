import { assertEquals } from "../../../tests/assert.ts";
import { SeenSequences } from "./seen_sequences.ts";

Deno.test("SeenSequences.add() tells the first time from the others, by agent, in any order", () => {
  const seen = new SeenSequences(100);
  const sequences = [0, 31, 32, 1_023, 1_024, 5, 2 ** 52, 2 ** 52 + 1, 31, 5, 2 ** 52];
  assertEquals(sequences.map((sequence) => seen.add({ agent: "a", sequence }, 1)), [
    ...new Array(8).fill(true),
    ...new Array(3).fill(false),
  ]);
  assertEquals(seen.add({ agent: "b", sequence: 31 }, 1), true);
});

Deno.test("SeenSequences forgets blocks that are old, and counts those it had to forget", () => {
  const seen = new SeenSequences(2);
  seen.add({ agent: "a", sequence: 1 }, 10);
  seen.add({ agent: "a", sequence: 2 }, 20);
  seen.forgetBefore(() => 20);
  assertEquals(seen.add({ agent: "a", sequence: 1 }, 10), false);
  seen.forgetBefore(() => 21);
  assertEquals([seen.add({ agent: "a", sequence: 1 }, 10), seen.forgotten], [true, 0]);
  seen.add({ agent: "b", sequence: 1 }, 1);
  seen.add({ agent: "c", sequence: 1 }, 1);
  assertEquals([seen.forgotten, seen.add({ agent: "b", sequence: 1 }, 1), seen.add({ agent: "a", sequence: 1 }, 10)], [
    1,
    false,
    true,
  ]);
});

Deno.test("SeenSequences.forgetBefore() asks for each host by itself, and add() tells the parts of the work apart", () => {
  const seen = new SeenSequences(100);
  for (const agent of ["ahead", "behind"]) seen.add({ agent, sequence: 1, part: "host" }, 10);
  seen.forgetBefore((agent) => agent === "ahead" ? 11 : 9);
  const again = ["ahead", "behind"].map((agent) => seen.add({ agent, sequence: 1, part: "host" }, 10));
  assertEquals([...again, seen.add({ agent: "behind", sequence: 1, part: "connection" }, 10)], [true, false, true]);
});
