/** The process probe, its actor, and windows of it, for tests without a worker around them. */
import {
  DEFAULT_ARRANGEMENT,
  noCalls,
  processBalance,
  ProcessReducer,
  type ProcessReducerOptions,
} from "../../lib/aggregate/activity/process_reducer.ts";
import type { ProcessRow, ProcessWindow } from "../../lib/aggregate/activity/process_window.ts";
import {
  PROCESS_WAYS,
  type ProcessObject,
  ProcessProbe,
  type ProcessProbeOptions,
  type ProcessWay,
} from "../../lib/aggregate/activity/process_probe.ts";
import type { Machine } from "../../lib/wire/syscalls.ts";
import { assertEquals } from "../assert.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./bpf.ts";

const SUPPORT_DIR = decodeURIComponent(new URL(".", import.meta.url).pathname);

async function compile(source: string, program: string, flags: string[]): Promise<void> {
  const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-static", ...flags, `${SUPPORT_DIR}${source}`, "-o", program];
  const { success, stderr } = await new Deno.Command("clang", { args }).output();
  if (!success) throw new Error(`Cannot build ${source}: ${new TextDecoder().decode(stderr)}`);
}

/** tests/support/syscall_actor.c and one_call.c, compiled into a folder of their own. */
export class SyscallActor implements AsyncDisposable {
  readonly dir: string;
  /** Its name is this run's own. */
  readonly comm: string;
  readonly path: string;
  readonly oneCallPath: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.comm = `calls-${crypto.randomUUID().slice(0, 8)}`;
    this.path = `${dir}/${this.comm}`;
    this.oneCallPath = `${dir}/one_call`;
  }

  static async build(): Promise<SyscallActor> {
    const actor = new SyscallActor(await Deno.makeTempDir({ prefix: "ebpfmon-calls-" }));
    try {
      await compile("syscall_actor.c", actor.path, ["-pthread"]);
      await compile("one_call.c", actor.oneCallPath, ["-nostdlib"]);
    } catch (error) {
      await actor[Symbol.asyncDispose]();
      throw error;
    }
    return actor;
  }

  /** Runs an action to its end. @returns its pid and the numbers that it printed */
  async run(...args: string[]): Promise<{ pid: number; numbers: number[] }> {
    const child = new Deno.Command(this.path, { args, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
    const { stdout, code } = await child.output();
    assertEquals(code, 0);
    return { pid: child.pid, numbers: new TextDecoder().decode(stdout).trim().split(/\s+/).map(Number) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

function readObject(name: ProcessObject): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(`${ASSETS_DIR}/bpf/${name}.bpf.o`);
}

/** The ways of counting that this kernel takes, the best first. */
export function loadableWays(): ProcessWay[] {
  using libbpf = openSystemLibbpf();
  return PROCESS_WAYS.filter((way) => {
    try {
      new ProcessProbe(libbpf, readObject, { entriesMax: 16, sampling: 1, ways: [way] })[Symbol.dispose]();
      return true;
    } catch {
      return false;
    }
  });
}

/** An attached probe; each window that is taken must be balanced. */
export class ProcessWatch implements Disposable {
  readonly probe: ProcessProbe;
  readonly #reducer: ProcessReducer;
  readonly #owned: DisposableStack;

  constructor(
    options: Partial<ProcessProbeOptions> & Partial<ProcessReducerOptions> & { syscall?: string } = {},
  ) {
    using stack = new DisposableStack();
    const libbpf = stack.use(openSystemLibbpf());
    this.probe = stack.use(new ProcessProbe(libbpf, readObject, { entriesMax: 8_192, sampling: 1, ...options }));
    this.#reducer = new ProcessReducer({
      machine: Deno.build.arch as Machine,
      valuesPerEntry: this.probe.cpus,
      topMax: Infinity,
      arrangement: { ...DEFAULT_ARRANGEMENT, syscall: options.syscall ?? null },
      labelOf: (_by, process) => process.comm,
      ...options,
    });
    this.probe.attach();
    this.#owned = stack.move();
  }

  takeWindow(): ReturnType<ProcessReducer["finish"]> {
    const { side } = this.probe.swap();
    this.probe.drain(side, (batch) => this.#reducer.addBatch(batch));
    this.#reducer.addCounters(this.probe.takeCounters(side));
    const window = this.#reducer.finish();
    assertEquals(processBalance(window), noCalls());
    return window;
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/** Calls of one kind in a row. */
export function callsOf(row: ProcessRow | undefined, name: string, abi = "native"): { calls: number; errors: number } {
  const found = row?.syscalls.find((syscall) => syscall.name === name && syscall.abi === abi);
  return { calls: found?.calls ?? 0, errors: found?.errors ?? 0 };
}

export function rowsOf(window: Pick<ProcessWindow, "top">, pid: number): ProcessRow[] {
  return window.top.filter((row) => row.pid === pid);
}
