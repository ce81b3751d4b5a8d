/** Documents name files that exist. */
import { assertEquals, assertGreater } from "./assert.ts";

const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/reference.md"];
const FOLDERS = ["bench", "bpf", "docs", "lib", "packaging", "tests", "tools"];

/** A path below one of FOLDERS, or the name of a source file; none with a placeholder or a wildcard. */
const PATH = new RegExp(`^(?:(?:${FOLDERS.join("|")})/[\\w./-]*|[\\w./-]+\\.(?:ts|c|h))$`);

async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    found.push(path, ...isDirectory ? await filesBelow(path) : []);
  }
  return found;
}

Deno.test("documents name files and folders that exist", async () => {
  const files = (await Promise.all(FOLDERS.map(filesBelow))).flat();
  const known = new Set([...FOLDERS, "main.ts", ...files]);
  const missing: string[] = [];
  let count = 0;
  for (const document of DOCUMENTS) {
    const text = await Deno.readTextFile(document);
    for (const [, code] of text.matchAll(/`([^`\n]+)`/g)) {
      if (!PATH.test(code)) continue;
      count++;
      const path = code.replace(/\/$/, "");
      if (!known.has(path) && !files.some((file) => file.endsWith(`/${path}`))) missing.push(`${document}: ${code}`);
    }
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      const path = new URL(target, `file:///${document}`).pathname.slice(1);
      if (await Deno.lstat(path).catch(() => null) === null) missing.push(`${document}: ${target}`);
    }
  }
  assertGreater(count, 40);
  assertEquals(missing, []);
});
