import { assertEquals, assertThrows } from "../tests/assert.ts";
import { markdownTable, withPart } from "./marked_part.ts";

const MARKER = { name: "x", maker: "tools/x.ts" };

Deno.test("withPart() replaces what stands between its markers, and needs them", () => {
  const text = "before\n<!-- x: made by tools/x.ts -->\nold\n<!-- end of x -->\nafter\n";
  const made = withPart(text, MARKER, "new");
  assertEquals(made, "before\n<!-- x: made by tools/x.ts -->\n\nnew\n\n<!-- end of x -->\nafter\n");
  assertEquals(withPart(made, MARKER, "new"), made);
  assertThrows(() => withPart("no markers", MARKER, "new"), Error, 'Cannot find the place of "x"');
});

Deno.test("markdownTable() escapes vertical bars", () => {
  assertEquals(markdownTable(["a"], [["b|c"]]), "| a |\n| --- |\n| b\\|c |");
});
