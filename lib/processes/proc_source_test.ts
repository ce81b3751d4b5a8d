import { assert, assertEquals, assertGreater, assertLessOrEqual, assertMatch } from "../../tests/assert.ts";
import { cgroupId } from "../ffi/cgroup.ts";
import { monotonicNs, readKernelFile } from "../ffi/libc.ts";
import { ProcSource } from "./proc_source.ts";

const TICK_NS = 1e7;
/** Read here, so that libc, which stays open, is not opened within a test. */
const MOUNTS = readKernelFile("/proc/self/mounts");

Deno.test("ProcSource.read() tells of this process what the runtime and /proc tell", () => {
  const source = new ProcSource();
  const facts = source.read(Deno.pid)!;
  assertEquals([facts.pid, facts.ppid, facts.exe], [Deno.pid, Deno.ppid, Deno.execPath()]);
  assertEquals(`${facts.name}\n`, readKernelFile("/proc/self/comm"));
  assertEquals(facts.cgroups, readKernelFile("/proc/self/cgroup"));
  assertGreater(facts.startNs, 0);
  assertLessOrEqual(facts.startNs, facts.readNs);
  assertLessOrEqual(facts.readNs, Number(monotonicNs()));
});

Deno.test("ProcSource.read() puts a start between the times before and after it, to a tick", async () => {
  const source = new ProcSource();
  const before = Number(monotonicNs());
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    const { startNs, ppid } = source.read(child.pid)!;
    assertLessOrEqual(before - 2 * TICK_NS, startNs);
    assertLessOrEqual(startNs, Number(monotonicNs()));
    assertEquals(ppid, Deno.pid);
  } finally {
    child.kill();
    await child.status;
  }
  assertEquals(source.read(child.pid), null);
});

Deno.test("ProcSource.list() has each process once, and no other entries of /proc", () => {
  const source = new ProcSource();
  const pids = source.list();
  assert(pids.includes(Deno.pid) && pids.includes(1));
  assertEquals(new Set(pids).size, pids.length);
  assert(pids.every(Number.isInteger));
});

Deno.test("ProcSource.cgroupPath() knows the root, and no cgroup that is not there", async () => {
  const mount = MOUNTS.split("\n").map((line) => line.split(" "))
    .find((fields) => fields[2] === "cgroup2")![1];
  const source = new ProcSource();
  assertEquals(source.cgroupPath(cgroupId(mount)), "/");
  const missing = 0xdead_beef_dead_beefn;
  while (source.cgroupPath(missing) === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(source.cgroupPath(missing), null);
});

Deno.test("ProcSource reads user names from a file, and none where there is none", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "root:x:0:0::/:\n");
    const source = new ProcSource({ passwdPath: path });
    assertEquals(source.passwdText(), "root:x:0:0::/:\n");
    assertMatch(String(source.passwdStamp()), /^\d+/);
  } finally {
    await Deno.remove(path);
  }
  const without = new ProcSource({ passwdPath: path });
  assertEquals([without.passwdStamp(), without.passwdText()], [null, ""]);
});
