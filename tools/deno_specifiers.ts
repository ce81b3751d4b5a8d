/** How esbuild finds what Deno finds: for each of our bundles. */
import { builtinModules } from "node:module";
import type * as esbuild from "esbuild";

const RESOLVED = Symbol("resolved");

export type ImportMap = Record<string, string>;

/** `NAME/PATH`, as Node would write it, for `npm:NAME@VERSION/PATH`; null for anything else. */
function npmPath(specifier: string): string | null {
  const match = /^npm:\/?((?:@[^/]+\/)?[^@/]+)(?:@[^/]+)?(\/.*)?$/.exec(specifier);
  return match && match[1] + (match[2] ?? "");
}

/** Resolves what Deno resolves and esbuild does not: the import map, `npm:`, `jsr:` and Node's modules. */
export function denoSpecifiers(imports: ImportMap): esbuild.Plugin {
  return {
    name: "deno-specifiers",
    setup(build) {
      build.onResolve({ filter: /^[^.]/ }, (args) => {
        // What we hand to build.resolve() below comes back here; its name may well be a key of the import map.
        if (args.kind === "entry-point" || args.pluginData === RESOLVED) return;
        const inPackage = args.importer.includes("/node_modules/");
        const specifier = inPackage ? args.path : mapped(args.path, imports);
        if (/^(node|jsr):/.test(specifier)) return { path: specifier, external: true };
        if (inPackage && builtinModules.includes(specifier)) return { path: `node:${specifier}`, external: true };
        const path = npmPath(specifier);
        if (path) return build.resolve(path, { kind: args.kind, resolveDir: Deno.cwd(), pluginData: RESOLVED });
      });
    },
  };
}

function mapped(specifier: string, imports: ImportMap): string {
  if (specifier in imports) return imports[specifier];
  const prefix = Object.keys(imports)
    .filter((key) => key.endsWith("/") && specifier.startsWith(key))
    .sort((a, b) => b.length - a.length)[0];
  return prefix ? imports[prefix] + specifier.slice(prefix.length) : specifier;
}
