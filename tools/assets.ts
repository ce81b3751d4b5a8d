/**
 * Puts what the bundle reads at run time beside it in build/app: the BPF objects, and the system's libbpf with the
 * libraries that it needs and their licences. glibc is left out: Deno needs the host's own anyway.
 */
const APP_DIR = "build/app";
const OBJECTS_DIR = "build/bpf";
/** Never loaded: it is there for its BTF. */
const LAYOUT_OBJECT = "layout_check.bpf.o";
const GLIBC = /^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread)\b/;

async function output(command: string, ...args: string[]): Promise<string> {
  // Debian keeps ldconfig where only root's PATH looks.
  const env = { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin`, LC_ALL: "C" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout);
}

/** The libraries, other than glibc's, that the loader would open for this one, by name. */
async function dependencies(path: string): Promise<Map<string, string>> {
  const found = (await output("ldd", path)).matchAll(/^\s*(\S+) => (\/\S+)/gm);
  return new Map(Array.from(found, ([, name, path]) => [name, path] as const).filter(([name]) => !GLIBC.test(name)));
}

/** libbpf and what it needs, name to path, in the order in which they have to be opened. */
async function libraries(): Promise<Map<string, string>> {
  const machine = Deno.build.arch === "x86_64" ? "x86-64" : "AArch64";
  const cache = await output("ldconfig", "-p");
  const libbpf = cache.split("\n").find((line) => line.includes("libbpf.so.1 ") && line.includes(machine));
  if (!libbpf) throw new Error("Cannot find libbpf.so.1: install the package libbpf1");
  const path = libbpf.split(" => ")[1];
  const all = new Map([...await dependencies(path), ["libbpf.so.1", path]]);
  // A library needs more than any of those that it needs.
  const needs = new Map<string, number>();
  for (const [name, path] of all) needs.set(name, (await dependencies(path)).size);
  return new Map([...all].sort(([a], [b]) => needs.get(a)! - needs.get(b)! || (a < b ? -1 : 1)));
}

/** The Debian copyright file of the package that `path` is from; null where there is none. */
async function licence(path: string): Promise<{ packageName: string; text: string } | null> {
  try {
    const owner = await output("dpkg", "-S", await Deno.realPath(path));
    const packageName = owner.split(":")[0];
    return { packageName, text: await Deno.readTextFile(`/usr/share/doc/${packageName}/copyright`) };
  } catch {
    return null;
  }
}

await Deno.remove(`${APP_DIR}/bpf`, { recursive: true }).catch(() => {});
await Deno.remove(`${APP_DIR}/lib`, { recursive: true }).catch(() => {});
await Deno.mkdir(`${APP_DIR}/bpf`, { recursive: true });
await Deno.mkdir(`${APP_DIR}/lib`, { recursive: true });

for await (const { name } of Deno.readDir(OBJECTS_DIR)) {
  const packed = name.endsWith(".bpf.o") && name !== LAYOUT_OBJECT;
  if (packed) await Deno.copyFile(`${OBJECTS_DIR}/${name}`, `${APP_DIR}/bpf/${name}`);
}
const found = await libraries();
for (const [name, path] of found) {
  await Deno.copyFile(path, `${APP_DIR}/lib/${name}`);
  const text = await licence(path);
  if (text) await Deno.writeTextFile(`${APP_DIR}/lib/${text.packageName}.copyright`, text.text);
}
const version = /libbpf\.so\.(\S+)$/.exec(await Deno.realPath(found.get("libbpf.so.1")!))?.[1] ?? "unknown";
await Deno.writeTextFile(
  `${APP_DIR}/lib/libraries.json`,
  JSON.stringify({ libbpf: version, order: [...found.keys()] }) + "\n",
);
