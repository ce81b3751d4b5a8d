import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { integer, oneOf, text, YamlReader, type YamlReaderOptions } from "./yaml_reader.ts";

const KEYS = ["name", "colours", "count"] as const;

function read(source: string, options?: YamlReaderOptions) {
  const reader = new YamlReader(source, "f", options);
  const { name, colours, count } = reader.entries(reader.root(), "a map", KEYS);
  return {
    name: name && reader.scalar("name", name, text(5)),
    count: count && reader.scalar("count", count, integer(-1, 9)),
    colours: colours &&
      reader.list("colours", colours, { itemsMax: 2, itemsName: "colours" })
        .map((item) => reader.scalar("colours", item, oneOf(["red", "green", "blue"]))),
  };
}

const mistake = (source: string, options?: YamlReaderOptions) =>
  assertThrows(() => read(source, options), SyntaxError).message;

Deno.test("YamlReader reads maps, lists and scalars, of JSON too", () => {
  const expected = { name: "ann", count: -1, colours: ["red", "blue"] };
  assertEquals(read("name: ann\ncount: -1\ncolours: [red, blue]"), expected);
  const json = '{\n\t"name": "ann",\n\t"count": -1, "colours": ["red", "blue"]\n}';
  assertEquals(read(json), expected);
  assertEquals(read(json, { format: "json" }), expected);
  assertEquals(read("{ }"), { name: undefined, count: undefined, colours: undefined });
});

Deno.test("YamlReader says where a mistake stands, and what is near", () => {
  assertEquals(mistake("name: a\ncolour: [red]"), 'f:2:1: unknown key "colour", did you mean colours?');
  assertEquals(mistake("name: tedious"), 'f:1:7: name takes text of 1 to 5 characters, got "tedious"');
  assertEquals(mistake("\ncount: 10"), "f:2:8: count takes a whole number from -1 to 9, got 10");
  assertEquals(mistake("count:"), "f:1:7: count takes a whole number from -1 to 9, got nothing");
  assertEquals(
    mistake("colours:\n  - red\n  - gren"),
    'f:3:5: colours takes red, green or blue, got "gren", did you mean green?',
  );
  assertEquals(mistake("colours: red"), 'f:1:10: colours takes a list, got "red"');
  assertEquals(mistake("colours: []"), "f:1:10: colours takes at least one item");
  assertEquals(mistake("colours: [red, red, blue]"), "f:1:21: colours takes at most 2 colours, got 3");
  assertEquals(mistake("[name]"), "f:1:1: expected a map, got a list");
});

Deno.test("YamlReader takes nothing but JSON where it is told to", () => {
  assertEquals(mistake("{ name: ann }", { format: "json" }).slice(0, 16), "f:1:3: not JSON:");
  assertEquals(mistake('{\n  "name": "ann",\n  "count": x\n}', { format: "json" }).slice(0, 17), "f:3:12: not JSON:");
});
