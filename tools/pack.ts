/**
 * Packs build/app into ./ebpfmon, in the way that build/packager names: `deno compile`, or the launcher with the Deno
 * binary and the application behind it. The format of the latter is described in tools/launcher.c.
 */
import { createHash } from "node:crypto";
import { PERMISSIONS } from "./permissions.ts";

const APP_DIR = "build/app";
const OUTPUT = "ebpfmon";

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

async function packSelfExtracting(temporary: string): Promise<void> {
  const launcher = await Deno.readFile("build/launcher");
  // The table is read in place, so it is aligned.
  const padding = new Uint8Array(-launcher.length & 7);
  const files = [
    { path: "ebpfmon", mode: PROGRAM_MODE, data: await Deno.readFile(Deno.execPath()) },
    { path: "flags", mode: FILE_MODE, data: new TextEncoder().encode(RUN_FLAGS.join("\n")) },
    // Deno's own caches. Only root or the user who unpacks may read or write them.
    { path: "deno_dir", mode: PRIVATE_FOLDER_MODE, data: new Uint8Array() },
    ...await listFiles(APP_DIR),
  ];
  const parts = [launcher, padding, ...packPayload(files, launcher.length + padding.length)];
  using output = await Deno.open(temporary, { write: true, create: true, truncate: true });
  for (const part of parts) await writeAll(output, part);
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

async function writeBuildInfo(packaging: string): Promise<void> {
  const { version } = JSON.parse(await Deno.readTextFile("deno.json"));
  const commit = (await Deno.readTextFile("build/commit")).trim();
  const { libbpf, order } = JSON.parse(await Deno.readTextFile(`${APP_DIR}/lib/libraries.json`));
  const info = { version, commit, packaging, deno: Deno.version.deno, libbpf, libraries: order };
  await Deno.writeTextFile(`${APP_DIR}/build_info.json`, JSON.stringify(info) + "\n");
}

if (import.meta.main) {
  const [wanted] = Deno.args;
  if (Deno.version.deno !== wanted) {
    throw new Error(`Cannot pack: Deno is ${Deno.version.deno}, must be ${wanted}; run make clean`);
  }
  const packaging = (await Deno.readTextFile("build/packager")).trim();
  const temporary = `build/${OUTPUT}.tmp`;
  await writeBuildInfo(packaging);
  await (packaging === "deno compile" ? packCompiled : packSelfExtracting)(temporary);
  await Deno.chmod(temporary, 0o755);
  // A rename, because a program that is running cannot be written to.
  await Deno.rename(temporary, OUTPUT);
}
