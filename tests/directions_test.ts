/** Imports go down the layers of ARCHITECTURE.md, no module imports itself by way of others, and only lib/ffi calls C. */
import { assertEquals, assertGreater } from "./assert.ts";
import { circles, folderOf, importsOf, modulesBelow, parseLayers } from "./support/imports.ts";

/** Circles that there may be, each with its reason. */
const ALLOWED_CIRCLES: readonly { modules: string[]; reason: string }[] = [];

async function importGraph(): Promise<Map<string, string[]>> {
  const graph = new Map<string, string[]>();
  for (const path of await modulesBelow("lib")) graph.set(path, importsOf(path, await Deno.readTextFile(path)));
  return graph;
}

Deno.test("importsOf() sees imports of every form, and none in a comment", () => {
  const text = `
    /** As in import { c } from "./c.ts". */
    // import "./d.ts";
    import { a } from "./a.ts";
    import type { B } from "../b.ts";
    export * from "./e.ts";
    import "../../f.ts";
    const g = await import("./g.ts");
    import { h } from "npm:h";
    const start = "/*"; import { i } from './i.mts'; const end = "*/";
    export * as j from "./j.ts";
    const k = await import(\`./k.ts\`);
    new Worker(new URL("./l.ts", import.meta.url), { type: "module" });
    const text = 'import { m } from "./m.ts"';
  `;
  const found = ["a.ts", "../b.ts", "e.ts", "../../f.ts", "g.ts", "i.mts", "j.ts", "k.ts", "l.ts"]
    .map((name) => new URL(name, "file:///lib/x/y/").pathname.slice(1));
  assertEquals(importsOf("lib/x/y/z.ts", text), found);
});

Deno.test("circles() finds each circle once, and no module that is in none", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["a", "d"]],
    ["d", ["e"]],
    ["e", []],
    ["f", ["g", "e"]],
    ["g", ["f"]],
  ]);
  assertEquals(circles(graph), [["a", "b", "c"], ["f", "g"]]);
});

Deno.test("every import between folders goes down the layers of ARCHITECTURE.md, those of types included", async () => {
  const layers = parseLayers(await Deno.readTextFile("ARCHITECTURE.md"));
  const rank = new Map(layers.flatMap((folders, i) => folders.map((folder) => [folder, i])));
  const wrong: string[] = [];
  let checked = 0;
  const seen = new Set<string>();
  for (const [path, targets] of await importGraph()) {
    const from = folderOf(path);
    seen.add(from);
    if (!rank.has(from)) wrong.push(`${path}: ${from} is in no layer`);
    for (const target of targets) {
      if (!target.startsWith("lib/")) {
        // Tests use what is in tests/; a product has nothing outside of lib/.
        if (!path.endsWith("_test.ts")) wrong.push(`${path} imports ${target}`);
        continue;
      }
      const to = folderOf(target);
      if (from === to) continue;
      checked++;
      if (!(rank.get(to)! < rank.get(from)!)) wrong.push(`${path} imports ${target}`);
    }
  }
  assertEquals(wrong, []);
  assertEquals([...rank.keys()].filter((folder) => !seen.has(folder)), [], "folders that there are not");
  assertGreater(checked, 1_000);
});

Deno.test("no modules import each other in a circle", async () => {
  const allowed = ALLOWED_CIRCLES.map(({ modules }) => modules.join());
  assertEquals(circles(await importGraph()).filter((modules) => !allowed.includes(modules.join())), []);
});

Deno.test("only lib/ffi loads libraries and uses pointers", async () => {
  const wrong: string[] = [];
  let found = 0;
  for (const path of ["main.ts", ...await modulesBelow("lib")]) {
    if (path.endsWith("_test.ts") || !/\bDeno\.(dlopen|Unsafe)/.test(await Deno.readTextFile(path))) continue;
    found++;
    if (!path.startsWith("lib/ffi/")) wrong.push(path);
  }
  assertEquals(wrong, []);
  assertGreater(found, 0);
});
