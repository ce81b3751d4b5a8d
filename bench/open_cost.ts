/**
 * Bench 5: nanoseconds that a watcher of file opens adds to an openat, and to an openat and its close: ebpfmon sees every
 * system call end. One file again and again, whose repeats ebpfmon holds back, then a thousand in turn.
 */
import { LibbpfLink } from "../lib/ffi/bpf_link.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import { BUILD_DIR, compileC, median, run } from "./support.ts";

const OBJECT = `${BUILD_DIR}/bpf/open_cost.bpf.o`;
const FILES = [1, 1000];
const RUNS_OF_100 = 1_000;
const ROUNDS = 3;
/** Until a watcher that says nothing can be taken to be attached. */
const START_MS = 2_000;

const COUNT_OPENS = "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }";
/** It needs tracefs, which is mounted where it alone sees it. */
const COUNT = `mount -t tracefs none /sys/kernel/tracing && exec bpftrace -e '${COUNT_OPENS}'`;

const EVENTS = ["./ebpfmon", "events", "--listen", "off", "--json"];

interface Watcher {
  name: string;
  /** The name of one in bench/bpf/open_cost.bpf.c. */
  program?: string;
  command?: string[];
}

const WATCHERS: Watcher[] = [
  { name: "nothing" },
  { name: "empty tracepoint", program: "syscall_exit" },
  { name: "bpftrace count", command: ["unshare", "--mount", "sh", "-c", COUNT] },
  { name: "ebpfmon events", command: EVENTS },
  { name: "ebpfmon, all are sent", command: [...EVENTS, "--no-repeat-suppression", "--rate-limit", "0"] },
];

const PEER = WATCHERS.findIndex(({ name }) => name.startsWith("bpftrace"));

/** Nanoseconds of an openat, and of it and its close. */
interface Times {
  open: number;
  both: number;
}

async function watch(libbpf: Libbpf, { program, command }: Watcher): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  if (program !== undefined) {
    const object = stack.use(BpfObject.open(libbpf, "open_cost", await Deno.readFile(OBJECT)));
    object.load();
    stack.use(new LibbpfLink(libbpf, object.programPointer(program), program));
  }
  if (command !== undefined) {
    const [name, ...args] = command;
    const child = new Deno.Command(name, { args, stdout: "null", stderr: "null" }).spawn();
    stack.defer(async () => {
      child.kill("SIGINT");
      const { code } = await child.status;
      if (code !== 0) throw new Error(`Cannot watch with ${name}: exit code ${code}`);
    });
    await new Promise((resolve) => setTimeout(resolve, START_MS));
  }
  return stack.move();
}

export async function benchOpenCost(): Promise<void> {
  console.log(
    "\n5. Time of a file's openat, and of openat and close; below, what watching adds (ns; ratio = to bpftrace)",
  );
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const opener = await compileC("open_cost");
  const folder = await Deno.makeTempDir({ prefix: "ebpfmon-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const times = WATCHERS.map(() => FILES.map(() => [] as Times[]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, watcher] of WATCHERS.entries()) {
      await using _watching = await watch(libbpf, watcher);
      for (const [k, files] of FILES.entries()) {
        const [open, both] = (await run(opener, folder, String(files), String(RUNS_OF_100))).split(" ").map(Number);
        times[i][k].push({ open, both });
      }
    }
  }
  /** What a watcher adds to what the same round took without any. */
  const added = (watcher: number, k: number, part: keyof Times) =>
    median(times[watcher][k].map((time, round) => time[part] - (watcher === 0 ? 0 : times[0][k][round][part])));
  for (const [i, { name }] of WATCHERS.entries()) {
    const columns = FILES.map((files, k) => {
      const ratio = (added(i, k, "open") / added(PEER, k, "open")).toFixed(2);
      const text = `${files === 1 ? "one file" : `${files} files`} ${added(i, k, "open")}, ${added(i, k, "both")}`;
      return i === 0 ? text : `${text}: ratio ${ratio}`;
    });
    console.log(`   ${name.padEnd(22)} ${columns.join("; ")}`);
  }
}

if (import.meta.main) await benchOpenCost();
