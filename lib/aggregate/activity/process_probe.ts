/**
 * The process programs in the kernel: loading, attaching, and the two sides of their map.
 */
import type { ProcessCounters } from "./process_reducer.ts";
import type { MapBatch } from "../../wire/records.ts";
import { LibbpfLinks, programInfo } from "../../ffi/bpf_link.ts";
import { BpfMap, type MapSpec, MapType } from "../../ffi/bpf_map.ts";
import { BpfObject } from "../../ffi/bpf_object.ts";
import { type Side, SIDES } from "../../ffi/side.ts";
import { ActivePointer } from "../../ffi/double_buffer_pointer.ts";
import { InnerSlot, RcuFence } from "../../ffi/double_buffer_slot.ts";
import { readField, writeField } from "../../wire/layout.ts";
import {
  PROCESS_BSS,
  PROCESS_COUNTERS,
  PROCESS_HASH_BSS,
  PROCESS_HASH_RODATA,
  PROCESS_KEY,
  PROCESS_PROGRAM,
  PROCESS_RAW_BSS,
  PROCESS_RAW_RODATA,
  PROCESS_RODATA,
  PROCESS_VALUE,
} from "../../wire/layouts.gen.ts";
import { type Mapping, monotonicNs, readKernelFile } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { loadVariants } from "../../ffi/program_variants.ts";
import { type Machine, syscallNumber, type SyscallTable } from "../../wire/syscalls.ts";
import { runRaw } from "../../ffi/test_run.ts";

/** Programs that count, in the order of attaching that misses the fewest entries; every object has them. */
export const PROCESS_PROGRAMS = ["syscall_return", "syscall_enter"] as const;

/** Compiled objects of bpf/, each of which counts the same in another way. */
export type ProcessObject = "process" | "process_hash" | "process_raw";

/** The ways of counting, in the order in which they are tried. */
export const PROCESS_WAYS = ["task storage", "hash", "raw", "raw without kernel memory"] as const;
export type ProcessWay = typeof PROCESS_WAYS[number];

interface Way {
  object: ProcessObject;
  /** For people. */
  title: string;
  /** What is less than with task storage, a sentence each. */
  limits: readonly string[];
  /** Whether a thread's call is kept in a hash, which has to be cleaned when the thread ends. */
  hash: boolean;
  bss: typeof PROCESS_BSS | typeof PROCESS_HASH_BSS | typeof PROCESS_RAW_BSS;
  rodata: typeof PROCESS_RODATA | typeof PROCESS_HASH_RODATA | typeof PROCESS_RAW_RODATA;
}

const RAW_LIMITS = [
  "the start of a process is not known, so two processes that had one pid in a window are one row",
  "a process whose first thread makes no call in a window has the name of another of its threads",
] as const;

const WAYS: Record<ProcessWay, Way> = {
  "task storage": {
    object: "process",
    title: "BTF tracepoints, task storage",
    limits: [],
    hash: false,
    bss: PROCESS_BSS,
    rodata: PROCESS_RODATA,
  },
  hash: {
    object: "process_hash",
    title: "BTF tracepoints, a hash by thread",
    limits: [],
    hash: true,
    bss: PROCESS_HASH_BSS,
    rodata: PROCESS_HASH_RODATA,
  },
  raw: {
    object: "process_raw",
    title: "raw tracepoints, without kernel BTF",
    limits: RAW_LIMITS,
    hash: true,
    bss: PROCESS_RAW_BSS,
    rodata: PROCESS_RAW_RODATA,
  },
  "raw without kernel memory": {
    object: "process_raw",
    title: "raw tracepoints, without kernel BTF and kernel memory",
    limits: [...RAW_LIMITS, "calls of 32-bit programs have the names of the 64-bit calls of the same number"],
    hash: true,
    bss: PROCESS_RAW_BSS,
    rodata: PROCESS_RAW_RODATA,
  },
};

/**
 * Upper bound of the threads whose calls a hash keeps at once: 96 bytes each, 6 MiB. Below it the kernel's own limit of
 * threads holds, which grows with memory (about 7,000 on 1 GiB).
 */
const THREADS_MAX_LIMIT = 65_536;

/** Entries a drain moves a system call: 1,024 of them on 64 CPUs take 15 MB. */
const DRAIN_BATCH_MAX = 1_024;

/** What is rarer says nothing about a window. */
const SAMPLING_MAX = 65_536;

export interface ProcessProbeOptions {
  /** Entries of a side: a process and a kind of call each. */
  entriesMax: number;
  /** Count one of so many calls, as that many; 1 counts all. The error that this makes: `samplingError`. */
  sampling: number;
  /** Threads whose calls a hash keeps at once; calls of more are overflow. Default: the kernel's limit, at most 65,536. */
  threadsMax?: number;
  /** Ways to try. Default: all. */
  ways?: readonly ProcessWay[];
}

/** Numbers that no table here has: AArch32's; x32 has its own for exec only. */
const AARCH32 = { exit: 1, exit_group: 248, execve: 11, execveat: 387 } as const;
const X32 = { exit: 60, exit_group: 231, execve: 520, execveat: 545 } as const;
const NO_NUMBER = 0xffff_ffff;

/** The numbers of two calls in each table, in the order of `enum syscall_abi`. */
function numbersByAbi(machine: Machine, names: ["exit", "exit_group"] | ["execve", "execveat"]): number[] {
  const ofTable = (table: SyscallTable) => names.map((name) => syscallNumber(table, name) ?? NO_NUMBER);
  const compat = machine === "x86_64" ? ofTable("i386") : names.map((name) => AARCH32[name]);
  const x32 = machine === "x86_64" ? names.map((name) => X32[name]) : [NO_NUMBER, NO_NUMBER];
  return [...ofTable(machine), ...compat, ...x32];
}

/** enum bpf_prog_type and enum bpf_func_id */
const RAW_TRACEPOINT = 17;
const GET_CURRENT_TASK_BTF = 158;

/**
 * Where a task says that its system call came through the 32-bit table: in its thread_info, which is its first member.
 * Without BTF nothing says where the members are. On x86 `status` moved behind a new member in Linux 5.11, the release
 * that brought the helper which is asked for here. The code segment in the registers says less: a 64-bit program can
 * make 32-bit calls.
 */
function compatWord(libbpf: Libbpf, machine: Machine): { offset: number; bit: number } {
  if (machine === "aarch64") return { offset: 0, bit: 1 << 22 }; // flags, TIF_32BIT
  const later = libbpf.symbols.libbpf_probe_bpf_helper(RAW_TRACEPOINT, GET_CURRENT_TASK_BTF, null) === 1;
  return { offset: later ? 16 : 8, bit: 2 }; // status, TS_COMPAT
}

function kernelThreadsMax(): number {
  const limit = Number(readKernelFile("/proc/sys/kernel/threads-max"));
  return limit > 0 ? Math.min(limit, THREADS_MAX_LIMIT) : THREADS_MAX_LIMIT;
}

function loadProcess(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  options: ProcessProbeOptions & { machine: Machine; cpus: number; way: ProcessWay },
): BpfObject {
  using stack = new DisposableStack();
  const { sampling, machine, cpus, way } = options;
  const { object: name, hash, rodata: layout } = WAYS[way];
  const object = stack.use(BpfObject.open(libbpf, name, elf));
  const rodata = object.initialValue(".rodata");
  writeField(rodata, layout, "cpus", cpus);
  writeField(rodata, layout, "sampling", sampling);
  writeField(rodata, layout, "sampling_threshold", sampling > 1 ? Math.round(2 ** 32 / sampling) : 0);
  writeField(rodata, layout, "never_return", numbersByAbi(machine, ["exit", "exit_group"]));
  writeField(rodata, layout, "execs", numbersByAbi(machine, ["execve", "execveat"]));
  if (name === "process_raw") {
    writeField(rodata, PROCESS_RAW_RODATA, "machine_has_x32", machine === "x86_64");
    if (way === "raw") {
      const { offset, bit } = compatWord(libbpf, machine);
      writeField(rodata, PROCESS_RAW_RODATA, "compat_offset", offset);
      writeField(rodata, PROCESS_RAW_RODATA, "compat_bit", bit);
    }
  }
  object.setMaxEntries("process_counters", SIDES.length * PROCESS_PROGRAM.PROCESS_PROGRAMS * cpus);
  if (hash) object.setMaxEntries("calls", options.threadsMax ?? kernelThreadsMax());
  // The shape of the inner maps, whose size may differ from one to the next.
  using template = BpfMap.create(libbpf, activitySpec(0, 1));
  object.setInnerMap("activity", template);
  object.load();
  stack.move();
  return object;
}

function activitySpec(side: Side, entriesMax: number): MapSpec {
  return {
    name: `activity_side${side}`,
    type: MapType.percpuHash,
    keyBytes: PROCESS_KEY.size,
    valueBytes: PROCESS_VALUE.size,
    entriesMax,
  };
}

/**
 * System calls by process and kind, in windows.
 *
 * @example
 * ```ts
 * const objects = (name: ProcessObject) => Deno.readFileSync(`build/bpf/${name}.bpf.o`);
 * using probe = new ProcessProbe(libbpf, objects, { entriesMax: 8_192, sampling: 1 });
 * probe.attach();
 * // at the end of a window
 * const { side, atNs } = probe.swap();
 * probe.drain(side, (batch) => reducer.addBatch(batch));
 * reducer.addCounters(probe.takeCounters(side));
 * const window = reducer.finish();
 * ```
 */
export class ProcessProbe implements Disposable {
  /** CPUs a map's value holds. */
  readonly cpus: number;
  /** How calls are counted on this kernel, for people. */
  readonly way: string;
  /** What that way cannot do, a sentence each; empty for the best one. */
  readonly limits: readonly string[];
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  /** Where threads' calls are kept; null with task storage. */
  readonly #calls: BpfMap | null;
  readonly #activity: InnerSlot[] = [];
  readonly #counters: Mapping;
  readonly #window: ActivePointer;
  readonly #links: LibbpfLinks;

  /**
   * Loads the programs and makes the maps, in the first way that this kernel takes; attaches to nothing yet. The calling
   * process is left out of the counts.
   *
   * @param objects reads a compiled object of bpf/; what it throws is thrown
   * @throws {RangeError} for a sampling that is no whole number from 1 to 65,536
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} when this kernel takes none of the ways
   */
  constructor(
    libbpf: Libbpf,
    objects: (name: ProcessObject) => Uint8Array<ArrayBuffer>,
    options: ProcessProbeOptions,
  ) {
    const { sampling, entriesMax } = options;
    if (!Number.isInteger(sampling) || sampling < 1 || sampling > SAMPLING_MAX) {
      throw new RangeError(`Cannot count one in ${sampling} calls: it takes a whole number from 1 to ${SAMPLING_MAX}`);
    }
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    const cpus = this.cpus = libbpf.symbols.libbpf_num_possible_cpus();
    const machine = Deno.build.arch as Machine;
    const ways = options.ways ?? PROCESS_WAYS;
    // All are read at first: a file that is missing is not a way that the kernel refuses.
    const elfs = new Map(ways.map((way) => [way, objects(WAYS[way].object)]));
    const { loaded, programs: [chosen] } = loadVariants(
      [{ job: "process activity", variants: ways.map((way) => [way]) }],
      ([way]) => loadProcess(libbpf, elfs.get(way)!, { ...options, machine, cpus, way }),
    );
    const { title, limits, hash, bss } = WAYS[chosen];
    this.#object = stack.use(loaded);
    this.way = title;
    this.limits = limits;
    this.#calls = hash ? this.#object.map("calls") : null;
    this.#links = new LibbpfLinks(libbpf, this.#object);
    stack.defer(() => this.#activity.forEach((slot) => slot[Symbol.dispose]()));
    for (const side of SIDES) {
      using made = new DisposableStack();
      const map = made.use(BpfMap.create(libbpf, activitySpec(side, entriesMax)));
      this.#activity.push(InnerSlot.put(this.#object.map("activity"), side, map));
      made.move();
    }
    this.#counters = stack.use(this.#object.map("process_counters").map({ writable: true }));
    const globals = stack.use(this.#object.map(".bss").map({ writable: true })).buffer;
    runRaw(libbpf, this.#object.programFd("identify"), 0n);
    const pointer = { buffer: globals, offset: bss.fields["window.generation"].offset };
    this.#window = new ActivePointer(pointer, stack.use(new RcuFence(libbpf)));
    this.#owned = stack.move();
  }

  /** Starts counting. @throws {SystemError} */
  attach(): void {
    if (this.#calls === null) return this.#links.attach(PROCESS_PROGRAMS);
    // Of threads that ended while nothing was attached, entries are left.
    this.#calls.drain(() => {}, DRAIN_BATCH_MAX);
    this.#links.attach(["thread_end", ...PROCESS_PROGRAMS]);
  }

  /**
   * Numbers of the processes whose threads have an entry in the hash of calls, one for each thread; null where there is
   * no hash. Exact only while no thread begins or ends.
   */
  heldCalls(): number[] | null {
    if (this.#calls === null) return null;
    const pids: number[] = [];
    const { valueBytes } = this.#calls.spec;
    const pidAt = valueBytes - PROCESS_KEY.size + PROCESS_KEY.fields.pid.offset; // struct call ends with its key
    this.#calls.read(({ count, values }) => {
      const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
      for (let i = 0; i < count; i++) pids.push(view.getUint32(i * valueBytes + pidAt, true));
    }, DRAIN_BATCH_MAX);
    return pids;
  }

  /** Stops counting; a call that has not returned by now is not counted. */
  detach(): void {
    this.#links.detach();
  }

  /** Entries that a side can hold. */
  capacityOf(side: Side): number {
    return this.#activity[side].map.spec.entriesMax;
  }

  /**
   * Gives the side that is not counted on, which must be drained, a larger map, made on another thread: in use from the
   * next swap on. The other side follows when it has become the spare.
   *
   * @param entriesMax fewer than it has now change nothing
   * @throws {SystemError} the map is as it was
   */
  async growSpare(entriesMax: number): Promise<void> {
    if (entriesMax <= this.capacityOf(this.#window.passive)) return;
    const map = await BpfMap.createAsync(this.#libbpf, activitySpec(this.#window.passive, entriesMax));
    let loose = map;
    try {
      // While it was made the sides may have changed: whichever is drained and not counted on takes it.
      if (!this.#owned.disposed) loose = this.#activity[this.#window.passive].replace(map);
    } finally {
      loose[Symbol.dispose]();
    }
  }

  /**
   * Ends a window: programs count on the other side from `atNs` on. When this returns nothing writes to `side` any
   * more; it must be drained and its counters taken before the next swap.
   */
  swap(): { side: Side; atNs: bigint } {
    const side = this.#window.flip();
    const atNs = monotonicNs();
    this.#window.quiesce();
    return { side, atNs };
  }

  /** Empties the map of a quiet side. The batches are lent. */
  drain(side: Side, take: (batch: MapBatch) => void): void {
    const { map } = this.#activity[side];
    map.drain(take, Math.min(DRAIN_BATCH_MAX, map.spec.entriesMax));
  }

  /** The counters of a quiet side, summed; they start from zero again. */
  takeCounters(side: Side): ProcessCounters {
    const blocks = PROCESS_PROGRAM.PROCESS_PROGRAMS * this.cpus;
    const byteOffset = side * blocks * PROCESS_COUNTERS.size;
    const view = new DataView(this.#counters.buffer, byteOffset, blocks * PROCESS_COUNTERS.size);
    const sum = (field: keyof typeof PROCESS_COUNTERS.fields) => {
      let total = 0n;
      for (let i = 0; i < blocks; i++) total += readField(view, PROCESS_COUNTERS, field, i * PROCESS_COUNTERS.size);
      return total;
    };
    const counters: ProcessCounters = {
      seen: { calls: Number(sum("seen")), errors: Number(sum("seen_errors")), totalNs: sum("seen_ns") },
      overflow: { calls: Number(sum("overflow")), errors: Number(sum("overflow_errors")), totalNs: sum("overflow_ns") },
      unentered: Number(sum("unentered")),
      passedOver: Number(sum("passed_over")),
    };
    new Uint8Array(this.#counters.buffer, byteOffset, blocks * PROCESS_COUNTERS.size).fill(0);
    return counters;
  }

  /**
   * Runs that the kernel left out since the programs were loaded, because one had been interrupted on that CPU: calls
   * that nobody counted. Kernels that do not interrupt tracepoints have none.
   */
  get missedRuns(): bigint {
    return PROCESS_PROGRAMS.reduce(
      (sum, name) => sum + programInfo(this.#libbpf, this.#object.programFd(name)).missedRuns,
      0n,
    );
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
