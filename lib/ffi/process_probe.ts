/**
 * The process programs in the kernel: loading, attaching, and the two sides of their map.
 */
import type { ProcessCounters } from "../aggregate/process_reducer.ts";
import type { MapBatch } from "../records.ts";
import { LibbpfLinks, programInfo } from "./bpf_link.ts";
import { BpfMap, type MapSpec, MapType } from "./bpf_map.ts";
import { BpfObject } from "./bpf_object.ts";
import { type Side, SIDES } from "./double_buffer.ts";
import { ActivePointer } from "./double_buffer_pointer.ts";
import { InnerSlot, RcuFence } from "./double_buffer_slot.ts";
import { readField, writeField } from "./layout.ts";
import {
  PROCESS_BSS,
  PROCESS_COUNTERS,
  PROCESS_KEY,
  PROCESS_PROGRAM,
  PROCESS_RODATA,
  PROCESS_VALUE,
} from "./layouts.gen.ts";
import { type Mapping, monotonicNs } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import { type Machine, syscallNumber, type SyscallTable } from "./syscalls.ts";
import { runRaw } from "./test_run.ts";

/** Programs of bpf/process.bpf.c that are attached, in the order that misses the fewest entries. */
export const PROCESS_PROGRAMS = ["syscall_return", "syscall_enter"] as const;

/** Entries a drain moves a system call: 1,024 of them on 64 CPUs take 15 MB. */
const DRAIN_BATCH_MAX = 1_024;

/** What is rarer says nothing about a window. */
const SAMPLING_MAX = 65_536;

export interface ProcessProbeOptions {
  /** Entries of a side: a process and a kind of call each. */
  entriesMax: number;
  /** Count one of so many calls, as that many; 1 counts all. The error that this makes: `samplingError`. */
  sampling: number;
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

function loadProcess(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  options: ProcessProbeOptions & { machine: Machine; cpus: number },
): BpfObject {
  using stack = new DisposableStack();
  const { sampling, machine, cpus } = options;
  const object = stack.use(BpfObject.open(libbpf, "process", elf));
  const rodata = object.initialValue(".rodata");
  writeField(rodata, PROCESS_RODATA, "cpus", cpus);
  writeField(rodata, PROCESS_RODATA, "sampling", sampling);
  writeField(rodata, PROCESS_RODATA, "sampling_threshold", sampling > 1 ? Math.round(2 ** 32 / sampling) : 0);
  writeField(rodata, PROCESS_RODATA, "never_return", numbersByAbi(machine, ["exit", "exit_group"]));
  writeField(rodata, PROCESS_RODATA, "execs", numbersByAbi(machine, ["execve", "execveat"]));
  object.setMaxEntries("process_counters", SIDES.length * PROCESS_PROGRAM.PROCESS_PROGRAMS * cpus);
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
 * using probe = new ProcessProbe(libbpf, elf, { entriesMax: 8_192, sampling: 1 });
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
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #activity: InnerSlot[] = [];
  readonly #counters: Mapping;
  readonly #window: ActivePointer;
  readonly #links: LibbpfLinks;

  /**
   * Loads the programs and makes the maps; attaches to nothing yet. The calling process is left out of the counts.
   *
   * @param elf the compiled bpf/process.bpf.c
   * @throws {RangeError} for a sampling that is no whole number from 1 to 65,536
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} without BTF tracepoints and task storage in them (Linux 5.12)
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, options: ProcessProbeOptions) {
    const { sampling, entriesMax } = options;
    if (!Number.isInteger(sampling) || sampling < 1 || sampling > SAMPLING_MAX) {
      throw new RangeError(`Cannot count one in ${sampling} calls: it takes a whole number from 1 to ${SAMPLING_MAX}`);
    }
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.cpus = libbpf.symbols.libbpf_num_possible_cpus();
    const machine = Deno.build.arch as Machine;
    this.#object = stack.use(loadProcess(libbpf, elf, { ...options, machine, cpus: this.cpus }));
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
    const pointer = { buffer: globals, offset: PROCESS_BSS.fields["window.generation"].offset };
    this.#window = new ActivePointer(pointer, stack.use(new RcuFence(libbpf)));
    this.#owned = stack.move();
  }

  /** Starts counting. @throws {SystemError} */
  attach(): void {
    this.#links.attach(PROCESS_PROGRAMS);
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
