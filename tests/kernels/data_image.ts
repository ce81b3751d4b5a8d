/** What a guest gets to see: the built program, what installs it, the tests as one bundle, and what they run. */
import * as esbuild from "esbuild";
import { denoSpecifiers } from "../../tools/deno_specifiers.ts";
import { output } from "./command.ts";
import { makeImage, sizeMegabytes } from "./kernel_files.ts";
import type { Architecture } from "./kernels.ts";

/** What `make install` reads. */
const SOURCE = ["packaging", "tools/install_packages"];

/** The compiled programs, for tests that load them without ebpfmon. */
const BUILT = ["build/bpf", "build/bpf-newest"];

/** Run by the subject without-btf. */
const SCRIPTS = ["events_check.py", "top_check.py"];

/** Programs whose deeds the tests watch: static, so that no loader opens files and every Debian runs them. */
const ACTORS = { router_actor: [], syscall_actor: ["-pthread"], one_call: ["-nostdlib"] };

/** As systemd starts it. Results go to a port of the guest, everything else to the console. */
const RUN = `#!/bin/bash
mount -t tmpfs none /tmp
mount -t tracefs none /sys/kernel/tracing
export HOME=/root DENO_DIR=/tmp/deno NO_COLOR=1 EBPFMON=/usr/local/bin/ebpfmon EBPFMON_TEST_WAIT_MS=90000
ip link set lo up
words=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^ebpfmon.tests=//p')
IFS=: read -r -a arguments <<<"$words"
exec /data/deno run --quiet --no-config --no-lock --no-prompt --allow-all /data/guest.js /dev/vport0p1 "\${arguments[@]}" >/dev/console 2>&1
`;

async function bundle(path: string): Promise<void> {
  const { imports } = JSON.parse(await Deno.readTextFile("deno.json"));
  try {
    await esbuild.build({
      entryPoints: ["tests/kernels/guest/main.ts"],
      outfile: path,
      bundle: true,
      format: "esm",
      platform: "neutral",
      target: "esnext",
      conditions: ["deno", "node", "import", "default"],
      mainFields: ["module", "main"],
      plugins: [denoSpecifiers(imports)],
      logLevel: "warning",
    });
  } finally {
    await esbuild.stop();
  }
}

/** Makes `image`; `folder` is where its files are put together. */
export async function makeDataImage(folder: string, image: string, architecture: Architecture): Promise<void> {
  const { program: ebpfmon, libraries, deno, compiler } = architecture.guest;
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${folder}/source`, { recursive: true });
  await output("cp", ["-a", "--parents", ...SOURCE, `${folder}/source`]);
  await output("cp", ["-a", "--parents", ...BUILT, folder]);
  // Under the names that they have where they are built for the machine itself.
  await Deno.copyFile(ebpfmon, `${folder}/source/ebpfmon`);
  await Deno.mkdir(`${folder}/source/build`);
  const packager = architecture.name === Deno.build.arch
    ? await Deno.readTextFile("build/packager")
    : "self-extracting\n";
  await Deno.writeTextFile(`${folder}/source/build/packager`, packager);
  await Deno.mkdir(`${folder}/build/app`, { recursive: true });
  await output("cp", ["-a", libraries, `${folder}/build/app/lib`]);
  await Deno.copyFile(deno, `${folder}/deno`);
  const [program, ...flags] = compiler;
  for (const [name, more] of Object.entries(ACTORS)) {
    await output(program, [...flags, "-O2", "-static", ...more, `tests/support/${name}.c`, "-o", `${folder}/${name}`]);
  }
  await bundle(`${folder}/guest.js`);
  await Deno.mkdir(`${folder}/scripts`);
  for (const name of SCRIPTS) await Deno.copyFile(`tests/kernels/guest/${name}`, `${folder}/scripts/${name}`);
  await Deno.writeTextFile(`${folder}/run`, RUN);
  for (const name of ["run", "deno"]) await Deno.chmod(`${folder}/${name}`, 0o755);
  await makeImage(folder, image, Math.ceil(await sizeMegabytes(folder) * 1.1) + 64);
}
