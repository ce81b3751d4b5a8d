/** Real processes make known system calls; what is counted is compared with what they know. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "./assert.ts";
import { percentile, samplingError } from "../lib/aggregate/activity/process_histogram.ts";
import { fileExists, readKernelFile } from "../lib/ffi/libc.ts";
import { delay } from "../lib/runtime/timers.ts";
import { until } from "./support/until.ts";
import { PROCESS_WAYS, type ProcessWay } from "../lib/aggregate/activity/process_probe.ts";
import { callsOf, loadableWays, ProcessWatch, rowsOf, SyscallActor } from "./support/processes.ts";

const LOADABLE = loadableWays();

/** A test for each way of counting; those that this kernel refuses are named as ignored. */
function testEachWay(name: string, fn: (way: ProcessWay) => void | Promise<void>): void {
  for (const way of PROCESS_WAYS) {
    Deno.test({
      name: `${way}: ${name}`,
      ignore: !LOADABLE.includes(way),
      fn: () => fn(way),
    });
  }
}

/** The same for the ways that keep calls in a hash. */
function testEachHashWay(name: string, fn: (way: ProcessWay) => Promise<void>): void {
  for (const way of PROCESS_WAYS.slice(1)) {
    Deno.test({ name: `${way}: ${name}`, ignore: !LOADABLE.includes(way), fn: () => fn(way) });
  }
}

function readKernelFileOrNull(path: string): string | null {
  try {
    return readKernelFile(path);
  } catch {
    return null;
  }
}

const SLEEPS = 5;
const SLEEP_NS = 1_000_000;

Deno.test("the first way that this kernel takes is used, and there is one on every kernel", () => {
  using watch = new ProcessWatch();
  using first = new ProcessWatch({ ways: [LOADABLE[0]] });
  assertEquals(watch.probe.way, first.probe.way);
  assert(LOADABLE.includes("raw without kernel memory"));
  // Every kernel with BTF from 5.10 on takes the hash.
  assertEquals(LOADABLE.includes("hash"), fileExists("/sys/kernel/btf/vmlinux"));
});

testEachWay("calls, errors and durations of a process are what it knows of itself", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const { pid, numbers: [askedNs, sleptNs] } = await actor.run("calls", "10000");
  const window = watch.takeWindow();
  const [row] = rowsOf(window, pid);
  assertEquals([row.comm, row.uid, row.gid], [actor.comm, 0, 0]);
  assertEquals(callsOf(row, "getppid"), { calls: 10_000, errors: 0 });
  assertEquals(callsOf(row, "close"), { calls: 10_000, errors: 10_000 });
  assertEquals(callsOf(row, "nanosleep"), { calls: SLEEPS, errors: 0 });
  assertEquals(callsOf(row, "execve"), { calls: 1, errors: 0 });
  assertEquals(callsOf(row, "exit_group"), { calls: 1, errors: 0 });

  const timeIn = (name: string) => Number(row.syscalls.find((syscall) => syscall.name === name)!.totalNs);
  assertGreater(timeIn("getppid"), 0);
  assertLess(timeIn("getppid"), askedNs);
  assertGreaterOrEqual(timeIn("nanosleep"), SLEEPS * SLEEP_NS);
  assertLess(timeIn("nanosleep"), sleptNs);
  assertEquals(timeIn("exit_group"), 0);
  assertEquals(row.calls, row.syscalls.reduce((sum, { calls }) => sum + calls, 0));
  assertEquals(row.histogram.reduce((sum, count) => sum + count, 0), row.calls - 1);
  assertGreaterOrEqual(row.maxNs!, BigInt(SLEEP_NS));
  const { estimateNs } = percentile(row.histogram, 0.5, row)!;
  assertLess(estimateNs, SLEEP_NS);
  assert(window.overflow.calls === 0);
});

testEachWay("the histogram of one kind of call has each call in the bucket of its duration", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way], syscall: "nanosleep" });
  const { pid, numbers: [, , longestNs] } = await actor.run("calls", "1");
  const [row] = rowsOf(watch.takeWindow(), pid);
  assertEquals(row.syscalls.length, 1);
  assertEquals(row.calls, SLEEPS);
  assertEquals(row.histogram.reduce((sum, count) => sum + count, 0), SLEEPS);
  assertGreaterOrEqual(row.minNs!, BigInt(SLEEP_NS));
  const { estimateNs, lowNs, highNs } = percentile(row.histogram, 0.99, row)!;
  assert(lowNs <= estimateNs && estimateNs <= highNs);
  assertLessOrEqual(highNs, longestNs);
});

testEachWay("bytes are those that reads and writes moved", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const { pid, numbers: [written, read] } = await actor.run("move", "1000");
  const [row] = rowsOf(watch.takeWindow(), pid);
  const moved = row.syscalls.filter(({ name }) => ["pwrite64", "readv"].includes(name));
  assertEquals(moved.reduce((sum, { bytesOut }) => sum + bytesOut, 0), written);
  assertEquals(moved.reduce((sum, { bytesIn }) => sum + bytesIn, 0), read);
  assertEquals(moved.map(({ calls }) => calls), [1_000, 1_000]);
});

testEachWay("user and group are told apart, and are those at the end", async (way) => {
  await using actor = await SyscallActor.build();
  await Deno.chmod(actor.dir, 0o755);
  using watch = new ProcessWatch({ ways: [way] });
  const child = new Deno.Command(actor.path, { args: ["calls", "1"], uid: 12_345, gid: 54_321, stdout: "null" })
    .spawn();
  await child.status;
  const [row] = rowsOf(watch.takeWindow(), child.pid);
  assertEquals([row.comm, row.uid, row.gid], [actor.comm, 12_345, 54_321]);
});

testEachWay("threads count for their process, under its name", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const { pid } = await actor.run("threads", "8", "20000");
  const rows = rowsOf(watch.takeWindow(), pid);
  assertEquals(rows.map(({ comm }) => comm), [actor.comm]);
  assertEquals(callsOf(rows[0], "getppid"), { calls: 160_000, errors: 0 });
  assertEquals(callsOf(rows[0], "exit"), { calls: 8, errors: 0 });
  assertEquals(callsOf(rows[0], "exit_group"), { calls: 1, errors: 0 });
});

testEachWay("an exec leaves the process one row, under its new name", async (way) => {
  await using actor = await SyscallActor.build();
  const renamed = `${actor.dir}/renamed`;
  await Deno.link(actor.path, renamed);
  using watch = new ProcessWatch({ ways: [way] });
  const { pid } = await actor.run("exec", "300", renamed, "calls", "700");
  const rows = rowsOf(watch.takeWindow(), pid);
  assertEquals(rows.map(({ comm }) => comm), ["renamed"]);
  assertEquals(callsOf(rows[0], "getppid"), { calls: 1_000, errors: 0 });
  assertEquals(callsOf(rows[0], "execve"), { calls: 2, errors: 0 });
});

testEachWay("each of 10,000 short processes is counted, over windows that end under them", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way], entriesMax: 65_536 });
  const forks = 10_000;
  let running = true;
  const done = actor.run("forks", `${forks}`, actor.oneCallPath).finally(() => running = false);
  const sums = { getppid: 0, execve: 0, exit_group: 0 };
  const children = new Set<string>();
  const waits = new Map<number, number>();
  let windows = 0;
  const addWindow = () => {
    const window = watch.takeWindow();
    assertEquals(window.overflow.calls, 0);
    windows++;
    for (const row of window.top) {
      waits.set(row.pid, (waits.get(row.pid) ?? 0) + callsOf(row, "wait4").calls);
      if (row.comm !== "one_call") continue;
      children.add(`${row.pid} ${row.startedNs}`);
      for (const name of ["getppid", "execve", "exit_group"] as const) sums[name] += callsOf(row, name).calls;
    }
  };
  while (running) {
    await delay(100);
    addWindow();
  }
  const { pid } = await done;
  addWindow();
  assertEquals(sums, { getppid: forks, execve: forks, exit_group: forks });
  assertEquals(children.size, forks);
  assertEquals(waits.get(pid), forks);
  assertGreater(windows, 3);
});

/** Objects in the kernel's general caches, where the start of a call is kept, by cache. */
function kernelObjects(): Map<string, number> {
  const lines = readKernelFile("/proc/slabinfo").split("\n").filter((line) => line.startsWith("kmalloc-"));
  return new Map(lines.map((line) => line.split(/\s+/)).map(([cache, active]) => [cache, Number(active)]));
}

/** How long it may take until the entries are those of the threads that there are. */
const LEFT_BEHIND_MS = 5_000;

Deno.test("nothing is kept of threads that have ended: task storage", async () => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ entriesMax: 1_024 });
  if (watch.probe.heldCalls() !== null) return; // the hash is counted below
  const forks = 10_000;
  // Whatever else goes on here may fill the same caches, but not each time.
  for (let tries = 0;; tries++) {
    const before = kernelObjects();
    await actor.run("forks", `${forks}`, actor.oneCallPath);
    await delay(1_000); // what ended last is freed after a grace period
    const grown = [...kernelObjects()].filter(([cache, objects]) => objects - (before.get(cache) ?? 0) > forks / 2);
    if (grown.length === 0) return;
    if (tries === 4) assertEquals(grown, []);
  }
});

/** A process of 64 threads that make calls without an end, and one that waits for them. */
class Busy implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(actor: SyscallActor) {
    this.#child = new Deno.Command(actor.path, { args: ["threads", "64", "1000000000"] }).spawn();
  }

  get pid(): number {
    return this.#child.pid;
  }

  async end(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

testEachHashWay("nothing is kept of threads that have ended, and one entry of each that lives", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const entriesOf = (pid: number) => watch.probe.heldCalls()!.filter((held) => held === pid).length;
  const threadsOf = (pid: number) => Number(/^Threads:\s+(\d+)$/m.exec(readKernelFile(`/proc/${pid}/status`))?.[1]);

  await actor.run("forks", "5000", actor.oneCallPath);
  await actor.run("threads", "64", "100");
  await actor.run("thread-exec", "100", actor.oneCallPath);
  // In the middle of their calls, and while they wait in one.
  await using sleepers = new Sleepers();
  await sleepers.until("S");
  for (const pid of sleepers.pids) assertEquals(entriesOf(pid), 1);
  await using busy = new Busy(actor);
  await until(
    () => threadsOf(busy.pid) === 65 && entriesOf(busy.pid) === 65,
    "an entry for each thread",
    LEFT_BEHIND_MS,
  );
  await Promise.all([busy.end(), sleepers.end()]);
  for (const pid of [busy.pid, ...sleepers.pids]) {
    await until(() => entriesOf(pid) === 0, "the end of the entries that ended threads left", LEFT_BEHIND_MS);
  }
  // Of none at all that has ended, whoever it was.
  const exists = (pid: number) => readKernelFileOrNull(`/proc/${pid}/stat`) !== null;
  await until(
    () => watch.probe.heldCalls()!.every(exists),
    "the end of the entries that ended threads left",
    LEFT_BEHIND_MS,
  );
});

testEachHashWay("a full hash of calls is overflow, and the window's equation holds", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way], threadsMax: 1 });
  await using sleepers = new Sleepers(); // one of them, or somebody else, has the one place
  await sleepers.until("S");
  watch.takeWindow();
  const { pid } = await actor.run("calls", "5000");
  const window = watch.takeWindow();
  assertEquals(rowsOf(window, pid), []);
  assertGreaterOrEqual(window.overflow.calls, 10_000);
  assertEquals(window.overflow.totalNs, 0n);
  assertGreaterOrEqual(window.unentered, 10_000);
});

testEachWay("an exec from another thread than the first is one call of the same process", async (way) => {
  await using actor = await SyscallActor.build();
  const renamed = `${actor.dir}/renamed`;
  await Deno.link(actor.path, renamed);
  using watch = new ProcessWatch({ ways: [way] });
  const { pid } = await actor.run("thread-exec", "300", renamed, "calls", "700");
  const rows = rowsOf(watch.takeWindow(), pid);
  assertEquals(rows.map(({ comm }) => comm), ["renamed"]);
  assertEquals(callsOf(rows[0], "getppid"), { calls: 1_000, errors: 0 });
  assertEquals(callsOf(rows[0], "execve"), { calls: 2, errors: 0 });
});

testEachWay("calls through other tables are counted apart, and those of no number together", async (way) => {
  if (Deno.build.arch !== "x86_64") return; // arm64 has no such tables
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const { pid } = await actor.run("tables", "500");
  const [row] = rowsOf(watch.takeWindow(), pid);
  // 64 is getppid in the 32-bit table and semget in the other, which it looks to be from where the task is not read.
  const [name, abi] = way === "raw without kernel memory" ? ["semget", "native"] : ["getppid", "compat"];
  assertEquals(callsOf(row, name, abi), { calls: 500, errors: 0 });
  // Most kernels are built without x32, but the call is made all the same.
  assertEquals(callsOf(row, "getppid", "x32").calls, 1_000);
  assertEquals(callsOf(row, "getppid"), { calls: 0, errors: 0 });
  assertEquals(callsOf(row, "no such syscall"), { calls: 1_500, errors: 1_500 });
});

testEachWay("two processes of one number are two rows where their starts are known", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  const { numbers: [pid] } = await actor.run("reuse", "100");
  const rows = rowsOf(watch.takeWindow(), pid);
  if (way.startsWith("raw")) {
    // Nothing tells them apart, and nothing of either is lost.
    assertEquals(rows.map((row) => [callsOf(row, "getppid").calls, row.startedNs]), [[300, 0n]]);
    return;
  }
  assertEquals(rows.map((row) => callsOf(row, "getppid").calls), [200, 100]);
  assertGreater(rows[0].startedNs, rows[1].startedNs);
});

testEachWay("what finds no room is overflow, and the window's equation holds", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way], entriesMax: 4 });
  await actor.run("calls", "5000");
  const window = watch.takeWindow();
  assertGreater(window.overflow.calls, 0);
  assertGreater(window.overflow.totalNs, 0n);
  assertGreaterOrEqual(window.overflow.errors + window.counted.errors, 5_000);
  assertLessOrEqual(window.entries, 4);
});

testEachWay("a map that was too small has room for all after it has grown", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way], entriesMax: 4 });
  await actor.run("calls", "100");
  assertGreater(watch.takeWindow().overflow.calls, 0);
  await watch.probe.growSpare(8_192);
  watch.takeWindow();
  const { pid } = await actor.run("calls", "5000");
  const window = watch.takeWindow();
  assertEquals(window.overflow.calls, 0);
  assertEquals(callsOf(rowsOf(window, pid)[0], "getppid").calls, 5_000);
});

testEachWay("windows under load add up, with no call twice and none lost", async (way) => {
  await using actor = await SyscallActor.build();
  using watch = new ProcessWatch({ ways: [way] });
  let running = true;
  const done = actor.run("threads", "4", "500000").finally(() => running = false);
  const found = new Map<number, number>();
  let windows = 0;
  while (running) {
    await delay(20);
    for (const row of watch.takeWindow().top) {
      found.set(row.pid, (found.get(row.pid) ?? 0) + callsOf(row, "getppid").calls);
    }
    windows++;
  }
  const { pid } = await done;
  for (const row of rowsOf(watch.takeWindow(), pid)) found.set(pid, found.get(pid)! + callsOf(row, "getppid").calls);
  assertEquals(found.get(pid), 2_000_000);
  assertGreater(windows, 5);
  assertEquals(watch.probe.missedRuns, 0n);
});

testEachWay("the monitor's own calls are not counted", (way) => {
  using watch = new ProcessWatch({ ways: [way] });
  for (let i = 0; i < 100; i++) Deno.statSync("/");
  assertEquals(rowsOf(watch.takeWindow(), Deno.pid), []);
});

testEachWay("sampling estimates counts without a bias, and says how many calls it left out", async (way) => {
  await using actor = await SyscallActor.build();
  const sampling = 16;
  using watch = new ProcessWatch({ ways: [way], sampling });
  const calls = 400_000;
  const { pid } = await actor.run("calls", `${calls}`);
  const window = watch.takeWindow();
  const [row] = rowsOf(window, pid);
  const { calls: estimate, errors } = callsOf(row, "getppid");
  assertEquals(errors, 0);
  assertEquals(estimate % sampling, 0);
  // Five standard errors: one run in two million is further off.
  assertLess(Math.abs(estimate - calls) / calls, 5 * samplingError(calls, sampling));
  const closes = callsOf(row, "close");
  assertEquals(closes.errors, closes.calls);
  assertGreaterOrEqual(window.seen.calls / sampling + window.passedOver, 2 * calls);
});

/** Processes that sleep in one call, which the watch has seen begin. */
class Sleepers implements AsyncDisposable {
  readonly #children = Array.from({ length: 64 }, () => new Deno.Command("sleep", { args: ["3600"] }).spawn());
  #ended: Promise<unknown> | null = null;

  get pids(): number[] {
    return this.#children.map(({ pid }) => pid);
  }

  kill(signal: Deno.Signal): void {
    for (const child of this.#children) child.kill(signal);
  }

  /** Waits until all of them sleep, which they do nowhere else, or are stopped. */
  async until(state: "S" | "T"): Promise<void> {
    for (const pid of this.pids) {
      while (!readKernelFile(`/proc/${pid}/stat`).startsWith(`${pid} (sleep) ${state}`)) await delay(5);
    }
  }

  end(): Promise<unknown> {
    this.#ended ??= (this.kill("SIGKILL"), Promise.all(this.#children.map(({ status }) => status)));
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

testEachWay("with sampling, no call ends one whose return was missed", async (way) => {
  using watch = new ProcessWatch({ ways: [way], sampling: 2 });
  await using sleepers = new Sleepers();
  await sleepers.until("S");
  // Their return from clock_nanosleep, half of which were sampled, is seen by nobody.
  watch.probe.detach();
  sleepers.kill("SIGSTOP");
  await sleepers.until("T");
  watch.probe.attach();
  // They go on in another call, restart_syscall, half of which are passed over: a quarter could be taken for the first.
  sleepers.kill("SIGCONT");
  await sleepers.until("S");
  await sleepers.end();
  const { pids } = sleepers;
  const rows = watch.takeWindow().top.filter(({ pid }) => pids.includes(pid));
  const sum = (name: string) => rows.reduce((sum, row) => sum + callsOf(row, name).calls, 0);
  assertGreater(sum("restart_syscall"), 0);
  assertEquals(sum("clock_nanosleep"), 0);
});

Deno.test("a sampling that is no whole number from 1 on is refused", () => {
  for (const sampling of [0, -1, 1.5, NaN, 65_537]) {
    assertThrows(() => new ProcessWatch({ sampling }), RangeError, `Cannot count one in ${sampling} calls`);
  }
});
