/**
 * Packs build/app into ./ebpfmon, in the way that build/packager names: `deno compile`, or the launcher with the Deno
 * binary and the application behind it. The format of the latter is described in tools/launcher.c. For another
 * architecture it is always the latter, into ./ebpfmon-ARCH: of the application only libbpf and its libraries differ.
 *
 * pack.ts DENO_VERSION [ARCH]
 */
import { createHash } from "node:crypto";
import { PERMISSIONS } from "./permissions.ts";

const APP_DIR = "build/app";
const OUTPUT = "ebpfmon";
const BUILD_INFO = "build_info.json";

/** What the self-extracting file gives to `deno run`. `--no-remote` is not among it, for `--libbpf-url`. */
const RUN_FLAGS = ["--quiet", "--no-prompt", "--no-config", "--no-lock", ...PERMISSIONS];

const MAGIC = "ebpfmon1";
const FILE_BYTES = 128;
const PATH_BYTES = 112;
const TRAILER_BYTES = 56;
const FOLDER_MODE = 0o040755;
const PRIVATE_FOLDER_MODE = 0o040700;
const FILE_MODE = 0o100644;
const PROGRAM_MODE = 0o100755;

export interface PayloadFile {
  path: string;
  mode: number;
  data: Uint8Array<ArrayBuffer>;
}

/** The twin of checksum() in tools/launcher.c. */
export function checksum(data: Uint8Array<ArrayBuffer>): number {
  const mix = (sum: number, word: number) => {
    const x = Math.imul(sum ^ word, 0x9e3779b1);
    return x << 13 | x >>> 19;
  };
  const lanes = new Int32Array(8);
  const padded = new Uint8Array(Math.ceil(data.length / 32) * 32);
  padded.set(data);
  const words = new Int32Array(padded.buffer);
  for (let at = 0; at < words.length; at++) lanes[at % 8] = mix(lanes[at % 8], words[at]);
  return lanes.reduce(mix, 0) >>> 0;
}

/** @returns what stands behind the launcher: table, contents, trailer */
export function packPayload(files: PayloadFile[], offset: number): Uint8Array<ArrayBuffer>[] {
  const table = new Uint8Array(files.length * FILE_BYTES);
  const tableView = new DataView(table.buffer);
  for (const [i, { path, mode, data }] of files.entries()) {
    const at = i * FILE_BYTES;
    const name = new TextEncoder().encode(path);
    if (name.length >= PATH_BYTES) throw new RangeError(`Cannot pack "${path}": the path is too long`);
    table.set(name, at);
    tableView.setBigUint64(at + PATH_BYTES, BigInt(data.length), true);
    tableView.setUint32(at + PATH_BYTES + 8, checksum(data), true);
    tableView.setUint32(at + PATH_BYTES + 12, mode, true);
  }
  const payload = [table, ...files.map(({ data }) => data)];
  const hash = createHash("sha256");
  payload.forEach((part) => hash.update(part));

  const trailer = new Uint8Array(TRAILER_BYTES);
  const trailerView = new DataView(trailer.buffer);
  trailer.set(hash.digest());
  trailerView.setBigUint64(32, BigInt(offset), true);
  trailerView.setBigUint64(40, BigInt(files.length), true);
  trailer.set(new TextEncoder().encode(MAGIC), 48);
  return [...payload, trailer];
}

/** Everything below `dir`, in an order that does not depend on the file system, a folder before what is in it. */
async function listFiles(dir: string, prefix = ""): Promise<PayloadFile[]> {
  const files: PayloadFile[] = [];
  const entries = await Array.fromAsync(Deno.readDir(dir));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = prefix + name;
    if (isDirectory) {
      files.push({ path, mode: FOLDER_MODE, data: new Uint8Array() });
      files.push(...await listFiles(`${dir}/${name}`, `${path}/`));
    } else {
      files.push({ path, mode: FILE_MODE, data: await Deno.readFile(`${dir}/${name}`) });
    }
  }
  return files;
}

/** What a self-extracting file is made of. */
interface SelfExtractingParts {
  launcher: string;
  deno: string;
  app: PayloadFile[];
}

async function packSelfExtracting(temporary: string, parts: SelfExtractingParts): Promise<void> {
  const launcher = await Deno.readFile(parts.launcher);
  // The table is read in place, so it is aligned.
  const padding = new Uint8Array(-launcher.length & 7);
  const files = [
    { path: "ebpfmon", mode: PROGRAM_MODE, data: await Deno.readFile(parts.deno) },
    { path: "flags", mode: FILE_MODE, data: new TextEncoder().encode(RUN_FLAGS.join("\n")) },
    // Deno's own caches. Only root or the user who unpacks may read or write them.
    { path: "deno_dir", mode: PRIVATE_FOLDER_MODE, data: new Uint8Array() },
    ...parts.app,
  ];
  using output = await Deno.open(temporary, { write: true, create: true, truncate: true });
  const payload = packPayload(files, launcher.length + padding.length);
  for (const part of [launcher, padding, ...payload]) await writeAll(output, part);
}

async function writeAll(file: Deno.FsFile, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length;) done += await file.write(data.subarray(done));
}

async function packCompiled(temporary: string): Promise<void> {
  // Deno overwrites only what it once compiled; a run that was cut off leaves something else.
  await Deno.remove(temporary).catch(() => {});
  // Deno sees what a module imports, not which workers it starts nor which files it reads.
  const include = (await listFiles(APP_DIR)).filter(({ mode }) => mode === FILE_MODE).map(({ path }) => path);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: compileArguments(temporary, APP_DIR, include),
  }).spawn().status;
  if (!success) throw new Error("Cannot pack: deno compile failed");
}

/** The arguments of the `deno compile` that makes `output` of the files in `dir`. */
export function compileArguments(output: string, dir: string, files: string[]): string[] {
  return [
    "compile",
    "--quiet",
    "--no-config",
    "--no-lock",
    "--no-prompt",
    ...PERMISSIONS,
    ...files.filter((path) => path !== "main.js").map((path) => `--include=${dir}/${path}`),
    `--output=${output}`,
    `${dir}/main.js`,
  ];
}

async function buildInfo(packaging: string, deno: string, libDir: string): Promise<string> {
  const { version } = JSON.parse(await Deno.readTextFile("deno.json"));
  const commit = (await Deno.readTextFile("build/commit")).trim();
  const { libbpf, order } = JSON.parse(await Deno.readTextFile(`${libDir}/libraries.json`));
  return JSON.stringify({ version, commit, packaging, deno, libbpf, libraries: order }) + "\n";
}

/** Writes `output` by a rename, because a program that is running cannot be written to. */
async function replaceProgram(output: string, pack: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `build/${output}.tmp`;
  await pack(temporary);
  await Deno.chmod(temporary, 0o755);
  await Deno.rename(temporary, output);
}

/** Packs for this machine. */
async function packNative(wanted: string): Promise<void> {
  if (Deno.version.deno !== wanted) {
    throw new Error(`Cannot pack: Deno is ${Deno.version.deno}, must be ${wanted}; run make clean`);
  }
  const packaging = (await Deno.readTextFile("build/packager")).trim();
  await Deno.writeTextFile(`${APP_DIR}/${BUILD_INFO}`, await buildInfo(packaging, wanted, `${APP_DIR}/lib`));
  await replaceProgram(OUTPUT, async (temporary) => {
    if (packaging === "deno compile") return await packCompiled(temporary);
    const parts = { launcher: "build/launcher", deno: Deno.execPath(), app: await listFiles(APP_DIR) };
    await packSelfExtracting(temporary, parts);
  });
}

/** The application with the libraries of another architecture in the place of this machine's. */
export async function foreignApp(appDir: string, libDir: string, info: string): Promise<PayloadFile[]> {
  const shared = (await listFiles(appDir)).filter(({ path }) => path !== BUILD_INFO && !/^lib(\/|$)/.test(path));
  return [
    ...shared,
    { path: BUILD_INFO, mode: FILE_MODE, data: new TextEncoder().encode(info) },
    { path: "lib", mode: FOLDER_MODE, data: new Uint8Array() },
    ...await listFiles(libDir, "lib/"),
  ];
}

/** Packs for another architecture, of what is in build/ARCH. */
async function packForeign(wanted: string, arch: string): Promise<void> {
  const dir = `build/${arch}`;
  const deno = await Deno.realPath(`${dir}/bin/deno`);
  // It cannot be run here to say its version.
  const { version } = JSON.parse(await Deno.readTextFile(deno.replace(/[^/]*$/, "package.json")));
  if (version !== wanted) throw new Error(`Cannot pack: Deno is ${version}, must be ${wanted}; run make clean`);
  const info = await buildInfo("self-extracting", wanted, `${dir}/lib`);
  const app = await foreignApp(APP_DIR, `${dir}/lib`, info);
  await replaceProgram(
    `${OUTPUT}-${arch}`,
    (temporary) => packSelfExtracting(temporary, { launcher: `${dir}/launcher`, deno, app }),
  );
}

if (import.meta.main) {
  const [wanted, arch] = Deno.args;
  await (arch === undefined ? packNative(wanted) : packForeign(wanted, arch));
}
