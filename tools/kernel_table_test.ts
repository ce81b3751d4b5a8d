import { assertEquals } from "../tests/assert.ts";
import { EXPECTED, type Expected } from "../tests/kernels/expected.ts";
import { commandTable, featureTable, TABLES } from "./kernel_table.ts";
import { withPart } from "./marked_part.ts";

const SAMPLE: Expected = {
  distributions: { "5.10": "Debian 11", "6.12": "Debian 13" },
  features: {
    privileges: { "5.10": "held", "6.12": "held" },
    "flows out": { "5.10": "clsact filter", "6.12": "TCX" },
    owners: { "5.10": false, "6.12": "BTF tracepoints" },
  },
  commands: { monitor: { "5.10": "partly", "6.12": "works" } },
  exit: {},
  refused: {},
};

Deno.test("commandTable() has a row a kernel and a column a command", () => {
  assertEquals(commandTable(SAMPLE).split("\n"), [
    "| Linux | for instance in | `monitor` |",
    "| --- | --- | --- |",
    "| 5.10 | Debian 11 | partly |",
    "| 6.12 | Debian 13 | works |",
  ]);
});

Deno.test("featureTable() says how each feature is done on each kernel, and what is missing", () => {
  assertEquals(featureTable(SAMPLE).split("\n"), [
    "| feature | 5.10 | 6.12 |",
    "| --- | --- | --- |",
    "| flows out | clsact filter | TCX |",
    "| owners | missing | BTF tracepoints |",
  ]);
});

for (const { file, marker, make } of TABLES) {
  Deno.test(`${file} has the table "${marker.name}" that tests/kernels/expected.json makes`, async () => {
    const text = await Deno.readTextFile(file);
    assertEquals(text, withPart(text, marker, make(EXPECTED)), 'run "make kernel-tables"');
  });
}
