/** Rings of their own for processes and cgroups, under a flood from others. */
import { assertEquals, assertGreater, assertThrows } from "./assert.ts";
import { SystemError } from "../lib/runtime/errors.ts";
import { cgroupId } from "../lib/ffi/cgroup.ts";
import { readKernelFile } from "../lib/ffi/libc.ts";
import { Actor, sumOf, Watch } from "./support/router.ts";

const OPENS = 2_000;
const FLOOD = 100_000;

/** The cgroup v2 folder that this process is in. */
function ownCgroup(): string {
  const mounts = readKernelFile("/proc/self/mountinfo");
  const root = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(mounts)![1];
  const path = /^0::(.*)$/m.exec(readKernelFile("/proc/self/cgroup"))![1];
  return path === "/" ? root : root + path;
}

Deno.test("an isolated process keeps its events, in a ring of its own, while others flood the debug ring", async () => {
  await using actor = await Actor.build();
  const isolated = actor.start("flood", "/isolated", `${OPENS}`);
  const other = actor.start("flood", "/other", `${FLOOD}`);
  using watch = new Watch({ sources: ["file_open"], isolate: [{ kind: "pid", pid: isolated.pid }] });
  await Promise.all([isolated.go(), other.go()]);
  // Nobody reads while both run: the debug ring overflows, the isolated one has room for all.
  await Promise.all([isolated.done, other.done]);
  watch.finish();
  assertEquals(watch.events.isolated.length, OPENS);
  assertEquals(new Set(watch.events.isolated.map(({ pid }) => pid)), new Set([isolated.pid]));
  assertEquals(watch.events.debug.some(({ pid }) => pid === isolated.pid), false);
  const { attempts, submitted, dropped, failures, sampledOut } = watch.probe.counters();
  assertEquals([attempts[3], submitted[3], dropped[3]], [BigInt(OPENS), BigInt(OPENS), 0n]);
  assertGreater(dropped[2] + sampledOut, 0n);
  assertEquals(sumOf(attempts), sumOf(submitted) + sumOf(dropped) + sumOf(failures));
  assertEquals(watch.probe.rings.state("isolated").consumed, OPENS);
});

Deno.test("critical events of an isolated process spill into the shared rings when its own is full", async () => {
  await using actor = await Actor.build();
  const isolated = actor.start("execs", "300");
  using watch = new Watch({
    sources: ["process_exec"],
    ringBytes: { critical: 128 << 10, normal: 4096, debug: 4096 },
    isolate: [{ kind: "cgroup", path: ownCgroup() }],
  });
  await isolated.go();
  await isolated.done;
  watch.finish();
  const { attempts, submitted, spilled, dropped } = watch.probe.counters();
  assertEquals(attempts[3], 300n);
  assertGreater(submitted[3], 0n);
  assertGreater(spilled[3], 0n);
  assertEquals(sumOf(submitted) + sumOf(dropped), 300n);
  assertEquals(BigInt(watch.of("process_exec").length), sumOf(submitted));
  assertEquals(BigInt(watch.events.critical.filter((event) => event.spilled).length), submitted[0]);
});

Deno.test("cgroupId() refuses a folder that is none, and one that is not there", () => {
  assertThrows(() => cgroupId("/nonexistent"), SystemError, "ENOENT");
});
