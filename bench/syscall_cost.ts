/**
 * Bench 8: nanoseconds that counting and timing system calls adds to a getppid and to an openat, against bpftrace doing
 * as much, a program that does nothing, and the tracers that know every call.
 */
import { LibbpfLink } from "../lib/ffi/bpf_link.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import {
  PROCESS_PROGRAMS,
  type ProcessObject,
  ProcessProbe,
  type ProcessWay,
} from "../lib/aggregate/activity/process_probe.ts";
import { DEFAULT_ARRANGEMENT, ProcessReducer } from "../lib/aggregate/activity/process_reducer.ts";
import type { Machine } from "../lib/wire/syscalls.ts";
import { BUILD_DIR, median, outputOf, programPath } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const EMPTY_OBJECT = `${BUILD_DIR}/bpf/syscall_cost.bpf.o`;
const WORKLOAD = "syscall_cost";
/** Tracers that stop the process at each call: fewer will do. */
const TRACED_RUNS_OF_100 = 20;
/** As in bench/cost.h. */
const CALLS_A_RUN = 100;
/** Until a watcher that says nothing can be taken to be attached. */
const START_MS = 2_000;
const ENTRIES_MAX = 8_192;

const HISTOGRAMS = "tracepoint:raw_syscalls:sys_enter { @s[tid] = nsecs } " +
  "tracepoint:raw_syscalls:sys_exit /@s[tid]/ { @d[comm] = hist(nsecs - @s[tid]); delete(@s[tid]) }";
/** They need tracefs, which is mounted where they alone see it. */
const WITH_TRACEFS = ["unshare", "--mount", "sh", "-c", 'mount -t tracefs none /sys/kernel/tracing && exec "$@"', "sh"];

interface Watching extends AsyncDisposable {
  /** Calls of the workload that it counted so far, by name; absent where it does not say or counts only some. */
  counted?(): Map<string, number>;
}

interface Watcher {
  name: string;
  /** Starts what watches every process. */
  start?: (libbpf: Libbpf) => Promise<Watching>;
  /** The command that runs the workload, where it watches nothing else. */
  around?: string[];
}

async function startEmpty(libbpf: Libbpf): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const object = stack.use(BpfObject.open(libbpf, "syscall_cost", await Deno.readFile(EMPTY_OBJECT)));
  object.load();
  for (const name of PROCESS_PROGRAMS) stack.use(new LibbpfLink(libbpf, object.programPointer(name), name));
  return stack.move();
}

async function startBpftrace(): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const [name, ...args] = [...WITH_TRACEFS, "bpftrace", "-e", HISTOGRAMS];
  const child = new Deno.Command(name, { args, stdout: "null", stderr: "null" }).spawn();
  stack.defer(async () => {
    child.kill("SIGINT");
    const { code } = await child.status;
    if (code !== 0) throw new Error(`Cannot watch with bpftrace: exit code ${code}`);
  });
  await new Promise((resolve) => setTimeout(resolve, START_MS));
  return stack.move();
}

/** Ends the window. @returns calls of the workload by name */
function countedBy(probe: ProcessProbe): Map<string, number> {
  const reducer = new ProcessReducer({
    machine: Deno.build.arch as Machine,
    valuesPerEntry: probe.cpus,
    topMax: 1_000,
    arrangement: { ...DEFAULT_ARRANGEMENT, comm: WORKLOAD },
    labelOf: () => "",
  });
  const { side } = probe.swap();
  probe.drain(side, (batch) => reducer.addBatch(batch));
  reducer.addCounters(probe.takeCounters(side));
  return new Map(reducer.finish().syscalls.map(({ name, calls }) => [name, calls]));
}

function startOurs(sampling: number, ways?: ProcessWay[]): (libbpf: Libbpf) => Promise<AsyncDisposable> {
  return async (libbpf) => {
    await using stack = new AsyncDisposableStack();
    const objects = (name: ProcessObject) => Deno.readFileSync(`build/bpf/${name}.bpf.o`);
    const probe = stack.use(new ProcessProbe(libbpf, objects, { entriesMax: ENTRIES_MAX, sampling, ways }));
    probe.attach();
    const running = stack.move();
    const dispose = { [Symbol.asyncDispose]: () => running.disposeAsync() };
    return sampling === 1 ? { ...dispose, counted: () => countedBy(probe) } : dispose;
  };
}

const BASELINE: Watcher = { name: "nothing" };
const PEER: Watcher = { name: "bpftrace histograms", start: startBpftrace };
const WATCHERS: Watcher[] = [
  BASELINE,
  { name: "empty programs", start: startEmpty },
  PEER,
  { name: "ebpfmon", start: startOurs(1) },
  { name: "ebpfmon, one in 64", start: startOurs(64) },
  { name: "ebpfmon, hash", start: startOurs(1, ["hash"]) },
  { name: "ebpfmon, raw", start: startOurs(1, ["raw without kernel memory"]) },
];

const TRACERS: Watcher[] = [
  { name: "strace -c", around: ["strace", "-c", "-f", "-o", "/dev/null"] },
  { name: "perf trace -s", around: [...WITH_TRACEFS, "perf", "trace", "-s", "-o", "/dev/null", "--"] },
];

/** Nanoseconds of a call. */
interface Times {
  getppid: number;
  openat: number;
}

async function measure(workload: string[], around: string[], runs: number): Promise<Times> {
  const [name, ...args] = [...around, ...workload, String(runs)];
  const [getppid, openat] = (await outputOf(name, ...args)).trim().split(" ").map(Number);
  return { getppid, openat };
}

export async function bench(run: BenchRun): Promise<void> {
  run.report(
    "\n8. Time of a getppid and an openat; below, what watching adds (ns; ratio = to bpftrace, in the same run)",
  );
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const runsOf100 = run.pick(1_000, 2);
  // Of the tools of others a check has no use: none says how many calls it counted.
  const watchers = run.pick(WATCHERS, WATCHERS.filter((watcher) => watcher !== PEER));
  const program = programPath(WORKLOAD);
  const file = await Deno.makeTempFile({ prefix: "ebpfmon-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(file));
  const workload = [program, file];
  const rounds: Map<Watcher, Times>[] = [];
  let opens: number | undefined;
  for (let round = 0; round < run.pick(5, 1); round++) {
    const times = new Map<Watcher, Times>();
    for (const watcher of watchers) {
      await using watching = await (watcher.start ?? (() => Promise.resolve(new AsyncDisposableStack())))(libbpf);
      times.set(watcher, await measure(workload, [], runsOf100));
      const counted = (watching as Watching).counted?.();
      if (counted === undefined) continue;
      const calls = runsOf100 * CALLS_A_RUN;
      run.equal(`the number of getppid that "${watcher.name}" counted`, counted.get("getppid") ?? 0, calls);
      // The start of the program opens libraries too, the same ones each time.
      opens ??= counted.get("openat")!;
      run.equal(`the number of openat that "${watcher.name}" counted`, counted.get("openat") ?? 0, opens);
    }
    rounds.push(times);
  }
  const added = (watcher: Watcher, call: keyof Times) =>
    median(rounds.map((times) => times.get(watcher)![call] - (watcher === BASELINE ? 0 : times.get(BASELINE)![call])));
  const ratio = (watcher: Watcher, call: keyof Times) =>
    median(rounds.map((times) => {
      const addedBy = (it: Watcher) => times.get(it)![call] - times.get(BASELINE)![call];
      return addedBy(watcher) / addedBy(PEER);
    }));
  for (const watcher of watchers) {
    const columns = (["getppid", "openat"] as const).map((call) => {
      const text = `${call} ${added(watcher, call).toFixed(0)}`;
      return watcher === BASELINE || !watchers.includes(PEER)
        ? text
        : `${text}: ratio ${ratio(watcher, call).toFixed(2)}`;
    });
    run.report(`   ${watcher.name.padEnd(22)} ${columns.join("; ")}`);
  }
  for (const { name, around } of run.pick(TRACERS, [])) {
    try {
      const { getppid, openat } = await measure(workload, around!, TRACED_RUNS_OF_100);
      const slower = (ns: number, call: keyof Times) => (ns / added(BASELINE, call)).toFixed(1);
      const [first, second] = [slower(getppid, "getppid"), slower(openat, "openat")];
      run.report(`   ${name.padEnd(22)} getppid takes ${first} times as long, openat ${second} times`);
    } catch (error) {
      // Not installed, or the kernel is locked down.
      run.report(`   ${name.padEnd(22)} not measured: ${(error as Error).message.split("\n")[0]}`);
    }
  }
}
