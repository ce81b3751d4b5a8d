/**
 * A guest of aarch64 on a machine of another architecture: what qemu is told, and a Debian root that is made without
 * running any of its programs. debootstrap would have to run each package's scripts; what they do and a guest for tests
 * needs is done here instead, which is little.
 */

/** The machine, in the form of `ARCHITECTURES` of kernels.ts. */
export const AARCH64 = {
  name: "aarch64",
  debian: "arm64",
  kernelPackage: "linux-image-cloud-arm64",
  qemu: {
    program: "qemu-system-aarch64",
    // Of the processors that have 4 KiB pages and atomics the cheapest to emulate: `max` signs pointers, bit by bit.
    args: ["-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "neoverse-n1"],
  },
  // One is what the time allows where the processor is emulated.
  kernels: ["6.1"],
  console: "ttyAMA0",
  // Made by `make ARCH=arm64`.
  guest: {
    program: "ebpfmon-arm64",
    libraries: "build/arm64/lib",
    deno: "build/arm64/bin/deno",
    compiler: ["clang", "--target=aarch64-linux-gnu"],
  },
} as const;

/** What installs qemu for it. */
export const QEMU_PACKAGE = "qemu-system-arm";

/** What debootstrap puts into every Debian, as far as tests in a guest use it. */
const ESSENTIAL = [
  ...["base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "findutils", "grep", "gzip", "hostname"],
  ...["libc-bin", "mawk", "mount", "sed", "tar", "util-linux"],
];

/** Comes along as something's dependency and is of no use where nothing is installed or configured. */
const LEFT_OUT = /^(adduser|apt|cdebconf|debconf|dpkg|initramfs-.*|klibc-.*|linux-.*|perl.*|libperl.*|usrmerge)$/;

/** Links that scripts of packages make. */
const LINKS: Record<string, string> = {
  "bin": "usr/bin",
  "sbin": "usr/sbin",
  "lib": "usr/lib",
  "usr/bin/awk": "mawk",
  "usr/bin/sh": "dash",
};

/** Files that scripts of packages copy. */
const COPIES: Record<string, string> = {
  "etc/passwd": "usr/share/base-passwd/passwd.master",
  "etc/group": "usr/share/base-passwd/group.master",
  "etc/nsswitch.conf": "usr/share/libc-bin/nsswitch.conf",
};

/** Users that scripts of packages make: tcpdump becomes one before it captures. */
const USERS: Record<string, number> = { tcpdump: 900 };

const FOLDERS = ["dev", "proc", "sys", "run", "tmp", "root", "etc", "var/tmp", "usr/bin", "usr/sbin", "usr/lib"];

const UNPACK = decodeURIComponent(new URL("../../tools/unpack_packages", import.meta.url).pathname);

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
  throw new Error(`Cannot run ${program} ${args.join(" ")}: ${said}`);
}

/**
 * Fills `root` with a Debian of another architecture.
 *
 * @param packages what it shall hold beside what every Debian has
 * @param cache a folder for what is fetched
 */
export async function unpackRoot(
  root: string,
  { architecture, packages, cache }: { architecture: string; packages: readonly string[]; cache: string },
): Promise<void> {
  await run(UNPACK, architecture, cache, ...ESSENTIAL, ...packages);
  for (const folder of FOLDERS) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  for (const path of ["bin", "sbin", "lib"]) await Deno.symlink(LINKS[path], `${root}/${path}`);
  for (const { name } of await Array.fromAsync(Deno.readDir(cache))) {
    if (name.startsWith(".") || LEFT_OUT.test(name)) continue;
    // /bin and its like are links here, and folders in packages that are older than those links.
    const pack = `tar -c -C "$0" --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale .`;
    await run(
      "bash",
      "-c",
      `set -o pipefail; ${pack} | tar -x -C "$1" --keep-directory-symlink`,
      `${cache}/${name}`,
      root,
    );
  }
  for (const [path, target] of Object.entries(LINKS)) {
    await Deno.symlink(target, `${root}/${path}`).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
  for (const [path, from] of Object.entries(COPIES)) await Deno.copyFile(`${root}/${from}`, `${root}/${path}`);
  for (const [name, id] of Object.entries(USERS)) {
    const append = { append: true };
    await Deno.writeTextFile(`${root}/etc/passwd`, `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin\n`, append);
    await Deno.writeTextFile(`${root}/etc/group`, `${name}:x:${id}:\n`, append);
  }
  // Empty: systemd takes a new one at each boot.
  await Deno.writeTextFile(`${root}/etc/machine-id`, "");
}
