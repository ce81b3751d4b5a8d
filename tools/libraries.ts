/**
 * Copies libbpf and the libraries that it needs, with their licences, to where the bundle reads them at run time. glibc
 * is left out: Deno needs the host's own anyway. As a program: `libraries.ts DIR PACKAGES_DIR` copies those of packages
 * of another architecture, as tools/unpack_packages leaves them.
 */
const LIBBPF = "libbpf.so.1";
const GLIBC = /^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread)\b/;

/** Where libraries come from. */
export interface LibrarySource {
  /** The file that the loader would open for a name such as `libelf.so.1`; undefined where there is none. */
  find(name: string): string | undefined;
  /** The Debian package that a file is from; null where none is known. */
  packageOf(path: string): Promise<{ name: string; copyright: string } | null>;
  /** What to do when a library is missing. */
  remedy: string;
}

async function output(command: string, ...args: string[]): Promise<string> {
  // Debian keeps ldconfig where only root's PATH looks.
  const env = { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin`, LC_ALL: "C" };
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout);
}

/** This machine's own libraries. */
export async function systemLibraries(): Promise<LibrarySource> {
  const machine = Deno.build.arch === "x86_64" ? "x86-64" : "AArch64";
  const paths = new Map<string, string>();
  // The loader takes the first of a name.
  for (const [, name, kind, path] of (await output("ldconfig", "-p")).matchAll(/^\s*(\S+) \((.*)\) => (\S+)$/gm)) {
    if (kind.includes(machine) && !paths.has(name)) paths.set(name, path);
  }
  return {
    find: (name) => paths.get(name),
    async packageOf(path) {
      try {
        const name = (await output("dpkg", "-S", await Deno.realPath(path))).split(":")[0];
        return { name, copyright: `/usr/share/doc/${name}/copyright` };
      } catch {
        return null;
      }
    },
    remedy: "install the package libbpf1",
  };
}

/** Libraries of packages that are unpacked below `dir`, each in a folder of its own name. */
export async function packagedLibraries(dir: string): Promise<LibrarySource> {
  const paths = new Map<string, string>();
  const packages = await Array.fromAsync(Deno.readDir(dir));
  for (const { name } of packages.sort((a, b) => a.name < b.name ? -1 : 1)) {
    for (const folder of ["lib", "usr/lib"]) {
      for (const path of await listTriplets(`${dir}/${name}/${folder}`)) paths.set(path.split("/").at(-1)!, path);
    }
  }
  return {
    find: (name) => paths.get(name),
    packageOf(path) {
      const name = path.slice(dir.length + 1).split("/")[0];
      return Promise.resolve({ name, copyright: `${dir}/${name}/usr/share/doc/${name}/copyright` });
    },
    remedy: `remove ${dir} and build again`,
  };
}

/** The files in the folders that Debian names after an architecture, such as usr/lib/aarch64-linux-gnu. */
async function listTriplets(folder: string): Promise<string[]> {
  const files: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  for (const { name, isDirectory } of entries) {
    if (!isDirectory || !name.endsWith("-linux-gnu")) continue;
    for await (const file of Deno.readDir(`${folder}/${name}`)) {
      if (!file.isDirectory) files.push(`${folder}/${name}/${file.name}`);
    }
  }
  return files;
}

/** What the file names as needed, as far as it is not glibc's. */
async function neededBy(path: string): Promise<string[]> {
  const found = (await output("llvm-readelf", "-d", path)).matchAll(/\(NEEDED\).*\[(\S+)\]/g);
  return Array.from(found, ([, name]) => name).filter((name) => !GLIBC.test(name));
}

/** libbpf and all that it needs, name to path, in the order in which they have to be opened. */
async function closure(source: LibrarySource): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const add = async (name: string) => {
    if (found.has(name)) return;
    const path = source.find(name);
    if (path === undefined) throw new Error(`Cannot find ${name}: ${source.remedy}`);
    for (const needed of await neededBy(path)) await add(needed);
    found.set(name, path);
  };
  await add(LIBBPF);
  return found;
}

/** Fills `dir` anew with the libraries, their licences and libraries.json. @throws {Error} where one is missing */
export async function copyLibraries(source: LibrarySource, dir: string): Promise<void> {
  await Deno.remove(dir, { recursive: true }).catch(() => {});
  await Deno.mkdir(dir, { recursive: true });
  const found = await closure(source);
  for (const [name, path] of found) {
    await Deno.copyFile(path, `${dir}/${name}`);
    const owner = await source.packageOf(path);
    const text = owner && await Deno.readTextFile(owner.copyright).catch(() => null);
    if (owner && text !== null) await Deno.writeTextFile(`${dir}/${owner.name}.copyright`, text);
  }
  const version = /libbpf\.so\.(\S+)$/.exec(await Deno.realPath(found.get(LIBBPF)!))?.[1] ?? "unknown";
  const list = { libbpf: version, order: [...found.keys()] };
  await Deno.writeTextFile(`${dir}/libraries.json`, JSON.stringify(list) + "\n");
}

if (import.meta.main) {
  const [dir, packagesDir] = Deno.args;
  await copyLibraries(await packagedLibraries(packagesDir), dir);
}
