/**
 * Bench 5: nanoseconds that a watcher of file opens adds to an openat, and to an openat and its close: ebpfmon sees every
 * system call end. One file again and again, whose repeats ebpfmon holds back, then a thousand in turn.
 */
import { LibbpfLink } from "../lib/ffi/bpf_link.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import { BUILD_DIR, median, outputOf, programPath, textOf } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const OBJECT = `${BUILD_DIR}/bpf/open_cost.bpf.o`;
/** Until a watcher that says nothing can be taken to be attached. */
const START_MS = 2_000;
const OPENER = "open_cost";
/** As in bench/cost.h. */
const CALLS_A_RUN = 100;

const COUNT_OPENS = "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }";
/** It needs tracefs, which is mounted where it alone sees it. */
const COUNT = `mount -t tracefs none /sys/kernel/tracing && exec bpftrace -e '${COUNT_OPENS}'`;

const EBPFMON = "./ebpfmon";
const EVENTS = [EBPFMON, "events", "--listen", "off", "--json"];

interface Watcher {
  name: string;
  /** The name of one in bench/bpf/open_cost.bpf.c. */
  program?: string;
  command?: string[];
  /** Whether it says of each open whose it was and how often it came. */
  namesOpens?: boolean;
}

const BASELINE: Watcher = { name: "nothing" };
const PEER: Watcher = { name: "bpftrace count", command: ["unshare", "--mount", "sh", "-c", COUNT] };
const WATCHERS: Watcher[] = [
  BASELINE,
  { name: "empty tracepoint", program: "syscall_exit" },
  PEER,
  { name: "ebpfmon events", command: EVENTS, namesOpens: true },
  {
    name: "ebpfmon, all are sent",
    command: [...EVENTS, "--no-repeat-suppression", "--rate-limit", "0"],
    namesOpens: true,
  },
];

/** Nanoseconds of an openat, and of it and its close. */
interface Times {
  open: number;
  both: number;
}

/** A watcher under way. */
interface Watching extends AsyncDisposable {
  /** Ends it. @returns what it printed, in a check alone */
  end(): Promise<string>;
}

async function watch(run: BenchRun, libbpf: Libbpf, { program, command }: Watcher): Promise<Watching> {
  await using stack = new AsyncDisposableStack();
  let printed = Promise.resolve("");
  if (program !== undefined) {
    const object = stack.use(BpfObject.open(libbpf, "open_cost", await Deno.readFile(OBJECT)));
    object.load();
    stack.use(new LibbpfLink(libbpf, object.programPointer(program), program));
  }
  if (command !== undefined) {
    // Of other processes there may be more events than a ring holds.
    const [name, ...args] = run.isCheck && command[0] === EBPFMON ? [...command, "--comm", OPENER] : command;
    const stdout = run.pick("null", "piped");
    const child = new Deno.Command(name, { args, stdout, stderr: "null" }).spawn();
    const started = Promise.withResolvers<void>();
    if (run.isCheck) printed = textOf(child.stdout, started.resolve);
    stack.defer(async () => {
      child.kill("SIGINT");
      const { code } = await child.status;
      if (code !== 0) throw new Error(`Cannot watch with ${name}: exit code ${code}`);
    });
    if (run.isCheck) await started.promise;
    else await new Promise((resolve) => setTimeout(resolve, START_MS));
  }
  const running = stack.move();
  const end = async () => {
    await running.disposeAsync();
    return await printed;
  };
  return { end, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Opens of the files of this folder, each as often as a record says that it came. */
function opensIn(folder: string, printed: string): number {
  return printed.split("\n")
    .filter((line) => line.includes(`"path":"${folder}/`))
    .map((line) => JSON.parse(line))
    .reduce((sum, { repeats, weight }) => sum + repeats * weight, 0);
}

export async function bench(run: BenchRun): Promise<void> {
  run.report(
    "\n5. Time of a file's openat, and of openat and close; below, what watching adds (ns; ratio = to bpftrace)",
  );
  const fileCounts = run.pick([1, 1000], [1, 20]);
  const runsOf100 = run.pick(1_000, 1);
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const opener = programPath(OPENER);
  const folder = await Deno.makeTempDir({ prefix: "ebpfmon-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  // bpftrace may miss a signal at its start, and counts what a check has no use for.
  const watchers = run.pick(WATCHERS, WATCHERS.filter((watcher) => watcher !== PEER));
  const times = new Map(watchers.map((watcher) => [watcher, fileCounts.map(() => [] as Times[])]));
  for (let round = 0; round < run.pick(3, 1); round++) {
    for (const watcher of watchers) {
      await using watching = await watch(run, libbpf, watcher);
      for (const [k, files] of fileCounts.entries()) {
        const printed = await outputOf(opener, folder, String(files), String(runsOf100));
        const [open, both] = printed.split(" ").map(Number);
        times.get(watcher)![k].push({ open, both });
      }
      const printed = await watching.end();
      if (run.isCheck && watcher.namesOpens) {
        const made = fileCounts.reduce((sum, files) => sum + files + runsOf100 * CALLS_A_RUN, 0);
        run.equal(`the number of opens that "${watcher.name}" saw`, opensIn(folder, printed), made);
      }
    }
  }
  /** What a watcher adds to what the same round took without any. */
  const added = (watcher: Watcher, k: number, part: keyof Times) => {
    const without = watcher === BASELINE ? null : times.get(BASELINE)![k];
    return median(times.get(watcher)![k].map((time, round) => time[part] - (without?.[round][part] ?? 0)));
  };
  for (const watcher of watchers) {
    const columns = fileCounts.map((files, k) => {
      const [open, both] = [added(watcher, k, "open"), added(watcher, k, "both")];
      const text = `${files === 1 ? "one file" : `${files} files`} ${open}, ${both}`;
      if (watcher === BASELINE || !times.has(PEER)) return text;
      return `${text}: ratio ${(open / added(PEER, k, "open")).toFixed(2)}`;
    });
    run.report(`   ${watcher.name.padEnd(22)} ${columns.join("; ")}`);
  }
}
