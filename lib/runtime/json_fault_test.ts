import { assertEquals } from "../../tests/assert.ts";
import { jsonFault } from "./json_fault.ts";

Deno.test("jsonFault() finds none in JSON", () => {
  assertEquals(jsonFault('{"a": [1, null, "x"]}'), null);
});

Deno.test("jsonFault() says where the first mistake stands", () => {
  for (
    const [text, offset] of [
      ["", 0],
      ["[1, 2", 5],
      ["[1, x, y]", 4],
      ['{"a": 1,}', 8],
      ['{"a": tru}', 9],
      [`[${"1,".repeat(1000)}x]`, 2001],
    ] as const
  ) {
    assertEquals(jsonFault(text)?.offset, offset, text.slice(0, 20));
  }
});
