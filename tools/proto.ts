/**
 * Generates TypeScript from the protobuf definitions, and the descriptors that the server's reflection hands out.
 * Needs protoc; ts-proto is an npm package, which protoc runs as a plugin.
 *
 *     deno run --allow-read --allow-write --allow-env --allow-run tools/proto.ts [FOLDER]
 *
 * @module
 */

/** Where imports are looked for: a file's name begins behind one of these. */
const ROOTS = ["lib/fleet/proto"];
const SOURCES = ["ebpfmon.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"];

const OPTIONS = [
  "annotateFilesWithVersion=false",
  "esModuleInterop=true",
  "fileSuffix=.gen",
  "forceLong=bigint",
  "importSuffix=.ts",
  "outputJsonMethods=false",
  "outputPartialMethods=false",
  "outputServices=none",
  // What a newer peer says is kept and passed on.
  "unknownFields=true",
];

const HEADER = "// Generated from SOURCE by tools/proto.ts (`make proto`). Do not edit.\n// deno-lint-ignore-file\n";

const outputDir = Deno.args[0] ?? "lib/fleet/proto";

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (!success) throw new Error(`Cannot run ${command}: ${new TextDecoder().decode(stderr).trim()}`);
}

const workDir = await Deno.makeTempDir({ prefix: "ebpfmon-proto-" });
try {
  const plugin = `${workDir}/protoc-gen-ts_proto`;
  // The package's main module is the plugin.
  const script = decodeURIComponent(new URL(import.meta.resolve("ts-proto")).pathname);
  await Deno.writeTextFile(
    plugin,
    `#!/bin/sh\nexec "${Deno.execPath()}" run --quiet --no-config --unstable-detect-cjs --allow-read --allow-env --allow-sys --allow-ffi "${script}"\n`,
    { mode: 0o700 },
  );
  const includes = ROOTS.map((root) => `-I${root}`);
  await run("protoc", [
    ...includes,
    `--plugin=protoc-gen-ts_proto=${plugin}`,
    `--ts_proto_out=${workDir}`,
    `--ts_proto_opt=${OPTIONS.join(",")}`,
    ...SOURCES,
  ]);
  await run("protoc", [...includes, "--include_imports", `--descriptor_set_out=${workDir}/descriptors`, ...SOURCES]);

  const written: string[] = [];
  for (const source of SOURCES) {
    const name = source.replace(/\.proto$/, ".gen.ts");
    const code = await Deno.readTextFile(`${workDir}/${name}`);
    await Deno.mkdir(`${outputDir}/${name}`.replace(/\/[^/]+$/, ""), { recursive: true });
    await Deno.writeTextFile(`${outputDir}/${name}`, HEADER.replace("SOURCE", source) + code);
    written.push(`${outputDir}/${name}`);
  }

  const descriptors = await Deno.readFile(`${workDir}/descriptors`);
  const lines = descriptors.toBase64().match(/.{1,100}/g) ?? [];
  const path = `${outputDir}/descriptors.gen.ts`;
  await Deno.writeTextFile(
    path,
    HEADER.replace("SOURCE", "the .proto files") +
      "\n/** A google.protobuf.FileDescriptorSet of every service that the server offers. */\n" +
      `export const DESCRIPTOR_SET = Uint8Array.fromBase64(\n${lines.map((line) => `"${line}"`).join(" +\n")},\n);\n`,
  );
  written.push(path);
  await run(Deno.execPath(), ["fmt", "--quiet", "--line-width=120", ...written]);
} finally {
  await Deno.remove(workDir, { recursive: true });
}
