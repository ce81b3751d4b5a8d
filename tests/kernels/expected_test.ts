import { assertEquals } from "../assert.ts";
import { differences, EXPECTED, withColumn } from "./expected.ts";
import { ARCHITECTURES, chosenKernels } from "./kernels.ts";

const TABLE = { tcx: { "6.1": false, "6.12": true }, btf: { "6.1": true } };

Deno.test("differences() tells what is missing, what is new and what is otherwise", () => {
  assertEquals(differences(TABLE, "6.1", { tcx: false, btf: true }), []);
  assertEquals(differences(TABLE, "6.12", { tcx: false, jit: true }), [
    "tcx: expected true, got false",
    "jit: expected no such line, got true",
  ]);
  assertEquals(differences(TABLE, "6.1", { tcx: false }), ["btf: expected true, got no such line"]);
});

Deno.test("withColumn() replaces one kernel's column and drops rows that no kernel has", () => {
  assertEquals(withColumn(TABLE, "6.1", { jit: true }), { tcx: { "6.12": true }, jit: { "6.1": true } });
  assertEquals(TABLE.tcx, { "6.1": false, "6.12": true });
});

Deno.test("expected.json speaks only of kernels that are tested", () => {
  const names = Object.values(ARCHITECTURES).flatMap((it) => chosenKernels("", it)).map(({ name }) => name);
  for (const table of [EXPECTED.features, EXPECTED.commands, EXPECTED.exit, EXPECTED.refused]) {
    for (const [row, columns] of Object.entries(table)) {
      assertEquals(Object.keys(columns).filter((name) => !names.includes(name)), [], row);
    }
  }
});
