/**
 * Bundles main.ts and the module of every worker into build/app: what is packed needs no node_modules, no import map
 * and no network. A worker is one module; what main.ts imports when a command needs it is in modules of its own, so
 * that the others start without it. esbuild, because `deno bundle` panics where JSR cannot be reached.
 */
import * as esbuild from "esbuild";
import { WORKER_FOLDERS } from "../lib/runtime/worker_url.ts";
import { denoSpecifiers, type ImportMap } from "./deno_specifiers.ts";

const OUTPUT_DIR = "build/app";

/** Modules of the workers, by the names that they have in the packed program. */
const WORKER_ENTRIES = Object.fromEntries(
  Object.entries(WORKER_FOLDERS).map(([name, folder]) => [`${name}_worker`, `lib/${folder}/worker.ts`]),
);

/**
 * Deno fetches what a literal `import("jsr:…")` names when the program starts, asked for or not, and says so on
 * stderr. It cannot see through this expression, and fetches when the line is reached.
 */
function hideDynamicImports(code: string): string {
  return code.replaceAll(/\bimport\(("jsr:[^"]+")\)/g, "import([$1][0])");
}

const { imports } = JSON.parse(await Deno.readTextFile("deno.json")) as { imports: ImportMap };

async function bundle(options: esbuild.BuildOptions): Promise<esbuild.OutputFile[]> {
  const { outputFiles } = await esbuild.build({
    outdir: OUTPUT_DIR,
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    target: "esnext",
    mainFields: ["module", "main"],
    conditions: ["deno", "node", "import", "default"],
    keepNames: true, // error classes and pipeline stages are shown by name
    define: { EBPFMON_BUNDLED: "true" },
    // CommonJS packages call require() for Node's modules, most of which nobody asks for at the start.
    banner: { js: "const require = (name) => process.getBuiltinModule(name);" },
    plugins: [denoSpecifiers(imports)],
    logLevel: "warning",
    ...options,
  });
  return outputFiles!;
}

const files = await Promise.all([
  bundle({ entryPoints: { main: "main.ts" }, splitting: true, chunkNames: "main-[hash]" }),
  // For tests of a program that has none.
  ...Deno.args.includes("--no-workers") ? [] : [bundle({ entryPoints: WORKER_ENTRIES })],
]).then((outputs) => outputs.flat()).finally(() => esbuild.stop());

await Deno.mkdir(OUTPUT_DIR, { recursive: true });
const names = new Set(files.map(({ path }) => path.slice(path.lastIndexOf("/") + 1)));
for await (const { name } of Deno.readDir(OUTPUT_DIR)) {
  if (name.endsWith(".js") && !names.has(name)) await Deno.remove(`${OUTPUT_DIR}/${name}`);
}
for (const file of files) await Deno.writeTextFile(file.path, hideDynamicImports(file.text));
