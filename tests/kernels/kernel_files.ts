/** A Debian kernel, fetched and made ready for qemu: its image, an image of its modules, and an initial ramdisk. */
import { exists, makeOnce, output } from "./command.ts";
import { DebianSuite } from "./debian.ts";
import type { Architecture, Kernel } from "./kernels.ts";

export interface KernelFiles {
  /** As `uname -r` says it. */
  release: string;
  kernel: string;
  initrd: string;
  /** ext4, for /usr/lib/modules. */
  modules: string;
}

/** What the initial ramdisk has to load before the guest's disks and its port for results are there. */
const EARLY_MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "crc32c_generic", "ext4"];

const KERNEL_PACKAGE = /^linux-(image|binary|modules)-\d/;

/** The packages that hold a suite's newest kernel: newer ones keep image and modules in packages of their own. */
async function kernelPackages(suite: DebianSuite, name: string): Promise<string[]> {
  const found: string[] = [];
  for (const dependency of await suite.dependencies(name)) {
    if (KERNEL_PACKAGE.test(dependency)) found.push(dependency, ...await kernelPackages(suite, dependency));
  }
  return [...new Set(found)];
}

async function findFile(folder: string, pattern: RegExp): Promise<string | null> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (!isDirectory && pattern.test(name)) return path;
    const below = isDirectory ? await findFile(path, pattern) : null;
    if (below !== null) return below;
  }
  return null;
}

async function firstThatExists(paths: string[]): Promise<string> {
  for (const path of paths) if (await exists(path)) return path;
  throw new Error(`Cannot find any of ${paths.join(", ")}`);
}

/** Paths of a module and of those that it needs, in the order in which they are loaded; none where it is built in. */
async function moduleFiles(base: string, release: string, name: string): Promise<string[]> {
  const args = ["--dirname", base, "--set-version", release, "--show-depends", name];
  // A name that this kernel does not have is none that it needs: some modules became parts of others.
  const text = await output("modprobe", args).catch(() => "");
  return Array.from(text.matchAll(/^insmod (\S+)/gm), ([, path]) => path);
}

async function uncompressed(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const programs: [string, string][] = [[".xz", "xz"], [".zst", "zstd"]];
  const [, program] = programs.find(([suffix]) => path.endsWith(suffix)) ?? [];
  if (program === undefined) return await Deno.readFile(path);
  const { stdout, success } = await new Deno.Command(program, { args: ["-qdc", path], stdout: "piped" }).output();
  if (!success) throw new Error(`Cannot unpack ${path}: ${program} failed`);
  return stdout;
}

/** A static busybox, the modules, and initrd_init. */
async function makeInitrd(
  path: string,
  { base, release, busybox }: { base: string; release: string; busybox: string },
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ebpfmon-initrd-" });
  try {
    for (const name of ["bin", "dev", "proc", "sys", "root", "modules"]) await Deno.mkdir(`${folder}/${name}`);
    await Deno.copyFile(busybox, `${folder}/bin/busybox`);
    await Deno.copyFile(new URL("initrd_init", import.meta.url), `${folder}/init`);
    for (const name of ["init", "bin/busybox"]) await Deno.chmod(`${folder}/${name}`, 0o755);
    const modules = new Set<string>();
    for (const name of EARLY_MODULES) (await moduleFiles(base, release, name)).forEach((file) => modules.add(file));
    let order = 0;
    for (const file of modules) {
      const name = file.slice(file.lastIndexOf("/") + 1).replace(/\.ko.*/, ".ko");
      await Deno.writeFile(`${folder}/modules/${String(order++).padStart(2, "0")}-${name}`, await uncompressed(file));
    }
    await output("sh", ["-c", `cd "$0" && find . | cpio --quiet -o -H newc | gzip -1 >"$1"`, folder, path]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** An ext4 image that holds `folder`. Without a journal, so that it can be mounted from a disk that is read-only. */
export async function makeImage(folder: string, image: string, sizeMegabytes: number): Promise<void> {
  await output("truncate", ["-s", `${sizeMegabytes}M`, image]);
  await output("mkfs.ext4", ["-q", "-F", "-O", "^has_journal", "-m", "0", "-d", folder, image]);
}

export async function sizeMegabytes(folder: string): Promise<number> {
  return parseInt(await output("du", ["-sm", "--apparent-size", folder]));
}

/** Fetches what is not below `cache` yet. @throws when it cannot be fetched */
export async function kernelFiles(cache: string, kernel: Kernel, architecture: Architecture): Promise<KernelFiles> {
  const folder = `${cache}/${kernel.suite}`;
  await makeOnce(folder, async (unfinished) => {
    await Deno.mkdir(unfinished, { recursive: true });
    const packages = `${unfinished}/packages`;
    const suite = await DebianSuite.open(`${cache}/apt/${kernel.suite}`, kernel.suite, architecture.debian);
    for (const name of await kernelPackages(suite, architecture.kernelPackage)) await suite.unpack(name, packages);
    await suite.unpack("busybox-static", packages);
    const modules = await firstThatExists([`${packages}/usr/lib/modules`, `${packages}/lib/modules`]);
    const [{ name: release }] = await Array.fromAsync(Deno.readDir(modules));
    const image = await findFile(packages, /^vmlinuz/);
    if (image === null) throw new Error(`Cannot find vmlinuz in the packages of ${release}`);
    await Deno.rename(image, `${unfinished}/vmlinuz`);
    // depmod and modprobe want the modules below lib/modules.
    const base = `${unfinished}/base`;
    await Deno.mkdir(`${base}/lib/modules`, { recursive: true });
    await Deno.rename(`${modules}/${release}`, `${base}/lib/modules/${release}`);
    await output("depmod", ["--basedir", base, release]);
    const busybox = await firstThatExists([`${packages}/bin/busybox`, `${packages}/usr/bin/busybox`]);
    await makeInitrd(`${await Deno.realPath(unfinished)}/initrd`, { base, release, busybox });
    const size = await sizeMegabytes(base);
    await makeImage(`${base}/lib/modules`, `${unfinished}/modules.img`, Math.ceil(size * 1.3) + 32);
    await Deno.writeTextFile(`${unfinished}/release`, release);
    for (const name of [packages, base]) await Deno.remove(name, { recursive: true });
  });
  return {
    release: await Deno.readTextFile(`${folder}/release`),
    kernel: `${folder}/vmlinuz`,
    initrd: `${folder}/initrd`,
    modules: `${folder}/modules.img`,
  };
}
