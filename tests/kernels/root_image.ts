/** The guests' root: a small Debian with systemd, and a unit that runs the tests and then switches the machine off. */
import { unpackRoot } from "./aarch64.ts";
import { exists, makeOnce, output } from "./command.ts";
import { mirrorOfMachine } from "./debian.ts";
import { makeImage } from "./kernel_files.ts";
import type { Architecture } from "./kernels.ts";

const SUITE = "bookworm";
const SIZE_MEGABYTES = 2_500;

/** What the tests in the guest call, beside what every Debian has. */
const PACKAGES = [
  "systemd-sysv",
  "kmod",
  "iproute2",
  "iputils-ping",
  "procps",
  "util-linux",
  "bpftool",
  "libcap2-bin",
  "tcpdump",
  "python3",
  "passwd",
];

/** Units that nothing here needs and that only take time when a unit asks for the whole of a system. */
const MASKED_UNITS = [
  "getty.target",
  "timers.target",
  "dev-hugepages.mount",
  "dev-mqueue.mount",
  "sys-fs-fuse-connections.mount",
  "sys-kernel-config.mount",
  "systemd-binfmt.service",
  "systemd-firstboot.service",
  "systemd-journal-flush.service",
  "systemd-logind.service",
  "systemd-modules-load.service",
  "systemd-pcrphase-sysinit.service",
  "systemd-pcrphase.service",
  "systemd-random-seed.service",
  "systemd-remount-fs.service",
  "systemd-sysctl.service",
  "systemd-sysusers.service",
  "systemd-tmpfiles-setup-dev.service",
  "systemd-tmpfiles-setup.service",
  "systemd-update-utmp.service",
  "systemd-user-sessions.service",
];

const TESTS_TARGET = "ebpfmon-tests.target";

/**
 * Nothing is started before the tests, which saves half a minute; the test of ebpfmon.service starts what that unit
 * depends on. When they end, however that is, the machine is switched off.
 */
const UNITS: Record<string, string> = {
  [TESTS_TARGET]: `[Unit]
DefaultDependencies=no
Requires=ebpfmon-tests.service
`,
  "ebpfmon-tests.service": `[Unit]
Description=The tests of ebpfmon on this kernel
DefaultDependencies=no
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
TimeoutStartSec=infinity
LimitNOFILE=65536
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
ExecStart=/data/run
`,
};

/** What is written into the root beside the packages, by path. */
const FILES: Record<string, string> = {
  "etc/hostname": "guest\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/fstab": "",
  "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
  ...Object.fromEntries(Object.entries(UNITS).map(([name, text]) => [`etc/systemd/system/${name}`, text])),
};

/** Left out of the image. */
const REMOVED = ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"];

/** Makes `path` anew unless it was made by this recipe. */
async function makeByRecipe(path: string, recipe: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  const known = await exists(`${path}.recipe`) ? await Deno.readTextFile(`${path}.recipe`) : "";
  if (known !== recipe) await Deno.remove(path).catch(() => {});
  await makeOnce(path, make);
  await Deno.writeTextFile(`${path}.recipe`, recipe);
}

async function withFolder(cache: string, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: cache, prefix: "root-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Makes the image below `cache` unless there is one of this recipe. @returns its path */
export async function rootImage(cache: string, architecture: Architecture): Promise<string> {
  // Packages take minutes and change rarely, so they are kept apart from our own files.
  const archive = `${cache}/debian.tar`;
  await makeByRecipe(archive, JSON.stringify({ SUITE, PACKAGES }), (unfinished) =>
    withFolder(cache, async (root) => {
      if (architecture.name !== Deno.build.arch) {
        const packages = { architecture: architecture.debian, packages: PACKAGES, cache: `${cache}/packages` };
        await unpackRoot(root, packages);
        await output("tar", ["-C", root, "-cf", unfinished, "."]);
        return;
      }
      const choice = ["--variant=minbase", `--arch=${architecture.debian}`, `--include=${PACKAGES.join(",")}`];
      await output("debootstrap", [...choice, SUITE, root, await mirrorOfMachine()]);
      await output("tar", ["-C", root, "--exclude=./dev/*", "-cf", unfinished, "."]);
    }));
  const image = `${cache}/root.img`;
  const recipe = JSON.stringify({ SUITE, PACKAGES, MASKED_UNITS, FILES, REMOVED, SIZE_MEGABYTES });
  await makeByRecipe(image, recipe, (unfinished) =>
    withFolder(cache, async (root) => {
      await output("tar", ["-C", root, "-xpf", archive]);
      for (const [path, text] of Object.entries(FILES)) await Deno.writeTextFile(`${root}/${path}`, text);
      for (const folder of ["data", "usr/lib/modules"]) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
      const units = `${root}/etc/systemd/system`;
      for (const unit of MASKED_UNITS) await Deno.symlink("/dev/null", `${units}/${unit}`);
      await Deno.symlink(TESTS_TARGET, `${units}/default.target`);
      for (const folder of REMOVED) await Deno.remove(`${root}/${folder}`, { recursive: true }).catch(() => {});
      await makeImage(root, unfinished, SIZE_MEGABYTES);
    }));
  return image;
}
