/** The one file is enough: ./ebpfmon in a root with glibc, /proc and /sys, and nothing else. */
import { assert, assertEquals, assertMatch } from "./assert.ts";

/** What the Deno binary is linked with: glibc's libraries and the compiler's runtime. */
async function linkedLibraries(): Promise<string[]> {
  const { stdout } = await new Deno.Command("ldd", { args: [Deno.execPath()] }).output();
  return Array.from(new TextDecoder().decode(stdout).matchAll(/(\/\S+)/g), ([, path]) => path);
}

async function makeRoot(): Promise<string> {
  const root = await Deno.makeTempDir({ prefix: "ebpfmon-root-" });
  for (const dir of ["proc", "sys", "tmp", "dev", "var/cache"]) await Deno.mkdir(`${root}/${dir}`, { recursive: true });
  for (const path of await linkedLibraries()) {
    await Deno.mkdir(root + path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(path, root + path);
  }
  await Deno.copyFile("ebpfmon", `${root}/ebpfmon`);
  return root;
}

/** Runs ./ebpfmon in `root`, in mount and network namespaces of its own. */
async function inRoot(root: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const script = `ip link set lo up && mount -t proc proc ${root}/proc && mount -t sysfs sysfs ${root}/sys && ` +
    `mknod ${root}/dev/null c 1 3 2>/dev/null; mknod ${root}/dev/urandom c 1 9 2>/dev/null; ` +
    `exec chroot ${root} /ebpfmon "$@"`;
  const command = ["--mount", "--net", "sh", "-c", script, "sh", ...args];
  const { code, stdout, stderr } = await new Deno.Command("unshare", { args: command, stdin: "null" }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

Deno.test("./ebpfmon counts flows where there is no libbpf, with the copy that it carries", async () => {
  const root = await makeRoot();
  try {
    const doctor = await inRoot(root, "doctor");
    assertEquals(doctor.code, 0, doctor.stdout + doctor.stderr);
    assertMatch(doctor.stdout, /works\s+libbpf\s+version \S+, embedded/);
    assertMatch(doctor.stdout, /works\s+flows in\s+XDP/);

    const monitor = await inRoot(root, "monitor", "lo", "--json", "--listen", "off", "--duration", "0.5");
    assertEquals(monitor.code, 0, monitor.stderr);
    const summary = JSON.parse(monitor.stdout.trimEnd().split("\n").at(-1)!);
    assertEquals(summary.type, "summary");
    assert(summary.balanced);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
