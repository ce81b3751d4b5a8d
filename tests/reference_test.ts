/** docs/reference.md against the program: its commands and flags, and its metrics. */
import { helpOfProgram, REFERENCE_FILE, withReference } from "../tools/reference.ts";
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { modulesBelow } from "./support/imports.ts";

Deno.test("docs/reference.md has the commands, flags and metrics of the program", async () => {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  assertEquals(text, await withReference(text, helpOfProgram), 'run "make reference"');
});

Deno.test("docs/reference.md leaves out no metric whose name stands in the code", async () => {
  const text = await Deno.readTextFile(REFERENCE_FILE);
  const names = new Set<string>();
  for (const path of await modulesBelow("lib")) {
    const code = await Deno.readTextFile(path);
    for (const [, name] of code.matchAll(/\.(?:counter|gauge|histograms?)\(\s*"(ebpfmon_\w+)"/g)) names.add(name);
  }
  assertGreater(names.size, 80);
  for (const name of names) {
    assert(text.includes(`\`${name}\``), `${name} is in no page of tests/support/full_snapshots.ts`);
  }
});
