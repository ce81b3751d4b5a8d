/** Which module imports which, read from the text of the modules: imports of types alone count as others do. */

/** A comment, or a text in quotes, which may look like a comment or hold the path of a module. */
const COMMENT_OR_TEXT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g;
/** What stands before the path of a module: `from`, `import`, `import(`, `import.meta.resolve(` or `new URL(`. */
const BEFORE_PATH = /(?:\bfrom|\bimport|\bimport\s*\(|\bresolve\s*\(|\bnew\s+URL\s*\()\s*$/;
const RELATIVE_MODULE = /^\.{1,2}\/.*\.[mc]?[jt]sx?$/;
const MODULE = /\.[mc]?[jt]sx?$/;

/** Every module below a folder of the project, by its path, as in `lib/net/address.ts`. */
export async function modulesBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await modulesBelow(path));
    else if (MODULE.test(name)) found.push(path);
  }
  return found.sort();
}

/**
 * The modules of the project that a module imports, by their paths: statically, dynamically, or as a worker's module.
 * Only a path that is written out is seen.
 *
 * @param text of the module
 */
export function importsOf(path: string, text: string): string[] {
  const base = new URL(path, "file:///");
  const found: string[] = [];
  let code = "";
  let end = 0;
  for (const { 0: token, index } of text.matchAll(COMMENT_OR_TEXT)) {
    code += text.slice(end, index);
    end = index + token.length;
    if (token.startsWith("/")) continue;
    const content = token.slice(1, -1);
    if (RELATIVE_MODULE.test(content) && BEFORE_PATH.test(code)) found.push(new URL(content, base).pathname.slice(1));
    // A text is no code, whatever it says.
    code += '""';
  }
  return found;
}

/** The folder of a module below `lib/`: `aggregate/flows` of `lib/aggregate/flows/flow_watch.ts`. */
export function folderOf(path: string): string {
  return path.slice("lib/".length, Math.max("lib/".length, path.lastIndexOf("/")));
}

/**
 * Modules that import each other in circles, by Tarjan's algorithm for strongly connected components ("Depth-first search
 * and linear graph algorithms", 1972).
 *
 * @param graph what each module imports
 */
export function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (module: string) => {
    order.set(module, order.size);
    lowest.set(module, order.get(module)!);
    open.push(module);
    for (const next of graph.get(module) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) lowest.set(module, Math.min(lowest.get(module)!, lowest.get(next)!));
    }
    if (lowest.get(module) !== order.get(module)) return;
    const component = open.splice(open.indexOf(module));
    if (component.length > 1) found.push(component.sort());
  };
  for (const module of graph.keys()) if (!order.has(module)) visit(module);
  return found;
}

/**
 * The layers that ARCHITECTURE.md has in its table, the lowest first; each is the list of its folders below `lib/`.
 *
 * @throws {Error} where there is no such table
 */
export function parseLayers(text: string): string[][] {
  const table = /<!-- layers -->([\s\S]*?)<!-- end of layers -->/.exec(text)?.[1];
  if (table === undefined) throw new Error("Cannot read the layers: there is no such table");
  return table.split("\n").filter((line) => line.startsWith("| `")).map((line) =>
    [...line.split("|")[1].matchAll(/`lib\/([^`]+?)\/?`/g)].map(([, folder]) => folder)
  );
}
