/**
 * The flow programs in the kernel, from their loading to their end: what counts, and the two sides that it counts on.
 */
import type { ProgramStats } from "../windows/flow_window.ts";
import type { ClockSample, CounterBlock, MapBatch } from "../../wire/records.ts";
import { DIRECTIONS } from "../../wire/traffic.ts";
import { programInfo } from "../../ffi/bpf_link.ts";
import { BpfMap } from "../../ffi/bpf_map.ts";
import type { BpfObject } from "../../ffi/bpf_object.ts";
import { type Side, SIDES } from "../../ffi/side.ts";
import { ActivePointer } from "../../ffi/double_buffer_pointer.ts";
import { RcuFence } from "../../ffi/double_buffer_slot.ts";
import { readField } from "../../wire/layout.ts";
import { FLOW_BSS, PACKET_COUNTERS } from "../../wire/layouts.gen.ts";
import { type Mapping, monotonicNs } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { FlowAttachments, type NamedInterface } from "./flow_attachments.ts";
import {
  createFlowMaps,
  disposeMaps,
  type DrainedMap,
  type FlowMaps,
  flowMapSpec,
  flowMapSpecs,
  FlowSide,
  type FlowsMax,
} from "./flow_maps.ts";
import {
  CLSACT_PROGRAMS,
  type FlowProbeOptions,
  type FlowProgram,
  type LoadedFlow,
  loadFlow,
  REPLAY_PROGRAM,
  TCX_PROGRAMS,
} from "./flow_programs.ts";
import { FrameReplay } from "./frame_replay.ts";
import { OverflowMaps } from "./overflow_maps.ts";
import { testRun } from "../../ffi/test_run.ts";

/** The shortest frame a test run takes. */
const ETHERNET_HEADER_BYTES = 14;

/**
 * The flow programs of one object and the maps that they count in.
 *
 * @example
 * ```ts
 * using probe = await FlowProbe.open(libbpf, elf, resolveInterfaces(["eth0"]), { flowsMax: 65_536, values: "atomic" });
 * probe.attachments.attach({ direction: "both", ingressMode: "auto", egressHook: "tcx", force: false });
 * await probe.prepareSpare();
 * const { side } = probe.swap();
 * probe.drain(side, (family, batch) => reducer.addBatch(family, batch));
 * ```
 */
export class FlowProbe implements Disposable {
  /** CPUs a counter block and a per-CPU value hold. */
  readonly cpus: number;
  /** Slot numbers of `attachments.interfaces`, in their order. */
  readonly slotOf: readonly number[];
  /** What is watched; nothing is attached until `attachments.attach` is called. */
  readonly attachments: FlowAttachments;
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #options: FlowProbeOptions;
  /** By side; the second one comes with `prepareSpare`. */
  readonly #sides: FlowSide[] = [];
  readonly #counters: Mapping;
  readonly #overflow: OverflowMaps;
  readonly #window: ActivePointer;
  readonly #globals: DataView<ArrayBuffer>;
  readonly #loaded: readonly FlowProgram[];
  readonly #slots: number;

  /** @param held a loaded object and the maps of side 0, both owned from here on */
  private constructor(
    libbpf: Libbpf,
    interfaces: NamedInterface[],
    options: FlowProbeOptions,
    held: { loaded: LoadedFlow; first: FlowMaps },
  ) {
    using stack = new DisposableStack();
    const { object, table, programs, cpus } = held.loaded;
    // Until the slots own them.
    using maps = new DisposableStack();
    maps.defer(() => disposeMaps(held.first));
    this.#object = stack.use(object);
    this.#libbpf = libbpf;
    this.attachments = stack.use(new FlowAttachments(libbpf, held.loaded, interfaces));
    this.cpus = cpus;
    this.slotOf = table.slotOf;
    this.#slots = table.slots;
    this.#loaded = programs;
    this.#options = options;
    this.#sides.push(stack.use(new FlowSide(object, 0, held.first)));
    maps.move();
    this.#counters = stack.use(object.map("packet_counters").map({ writable: true }));
    const globals = stack.use(object.map(".bss").map({ writable: true }));
    this.#globals = new DataView(globals.buffer);
    this.#overflow = stack.use(new OverflowMaps(object, this.#globals, cpus));
    const pointer = { buffer: globals.buffer, offset: FLOW_BSS.fields["window.generation"].offset };
    this.#window = new ActivePointer(pointer, stack.use(new RcuFence(libbpf)));
    this.#owned = stack.move();
  }

  /**
   * Loads the programs and makes the maps; attaches to nothing yet.
   *
   * @param elf the compiled bpf/flow.bpf.c
   * @throws {PrivilegeError}
   * @throws {UnsupportedError}
   */
  static create(
    libbpf: Libbpf,
    elf: Uint8Array<ArrayBuffer>,
    interfaces: NamedInterface[],
    options: FlowProbeOptions,
  ): FlowProbe {
    using stack = new DisposableStack();
    const loaded = loadFlow(libbpf, elf, interfaces, options);
    stack.use(loaded.object);
    const [v4, v6] = flowMapSpecs(options, 0).map((spec) => stack.use(BpfMap.create(libbpf, spec)));
    stack.move();
    return new FlowProbe(libbpf, interfaces, options, { loaded, first: { v4, v6 } });
  }

  /** The same with the maps made on other threads while this one loads the programs: the way to start fast. */
  static async open(
    libbpf: Libbpf,
    elf: Uint8Array<ArrayBuffer>,
    interfaces: NamedInterface[],
    options: FlowProbeOptions,
  ): Promise<FlowProbe> {
    const making = createFlowMaps(libbpf, options, 0);
    let loaded: LoadedFlow;
    try {
      loaded = loadFlow(libbpf, elf, interfaces, options);
    } catch (error) {
      await making.then(disposeMaps, () => {});
      throw error;
    }
    try {
      return new FlowProbe(libbpf, interfaces, options, { loaded, first: await making });
    } catch (error) {
      loaded.object[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Makes the maps of the second side. Counting needs only the first, so that this can wait until programs are
   * attached; `swap` needs it done.
   */
  async prepareSpare(): Promise<void> {
    const spare = await createFlowMaps(this.#libbpf, this.#options, 1);
    try {
      this.#sides[1] = this.#owned.use(new FlowSide(this.#object, 1, spare));
    } catch (error) {
      disposeMaps(spare);
      throw error;
    }
  }

  /**
   * Gives the side that is not counted on, which must be drained, maps of these sizes, made on other threads: in use
   * from the next swap on. The other side follows when it has become the spare.
   *
   * @throws {SystemError} the maps are as they were, or the IPv4 one has its new size
   */
  async resizeSpare(flowsMax: FlowsMax): Promise<void> {
    this.#requireSpare();
    const side = this.#spare;
    const now = this.flowsMaxOf(side);
    for (const family of ["v4", "v6"] as const) {
      if (flowsMax[family] === now[family]) continue;
      const options = { ...this.#options, flowsMax: flowsMax[family] };
      const fresh = await BpfMap.createAsync(this.#libbpf, flowMapSpec(family, options, side));
      let loose = fresh;
      try {
        // While it was made the sides may have changed: whichever is drained and not counted on takes it.
        if (!this.#owned.disposed) loose = this.#sides[this.#spare].replace(family, fresh);
      } finally {
        loose[Symbol.dispose]();
      }
    }
  }

  #requireSpare(): void {
    if (this.#sides.length < SIDES.length) throw new Error("Cannot use the spare maps: they are not prepared");
  }

  get #spare(): Side {
    return this.#window.passive;
  }

  /** Entries the maps of a side can hold. */
  flowsMaxOf(side: Side): FlowsMax {
    return this.#sides[side].flowsMax;
  }

  /** Entries both flow maps of a side can hold. */
  capacityOf(side: Side): number {
    const { v4, v6 } = this.flowsMaxOf(side);
    return v4 + v6;
  }

  /** Entries both flow maps can hold that packets are counted in now. */
  get capacity(): number {
    return this.capacityOf(this.#window.active);
  }

  /** The programs that this kernel takes. */
  get programs(): readonly FlowProgram[] {
    return this.#loaded;
  }

  programFd(program: FlowProgram): number {
    return this.#object.programFd(program);
  }

  /**
   * Ends a window: programs count on the other side from `atNs` on. When this returns nothing writes to `side` any
   * more; it must be drained and its counters taken before the next swap.
   *
   * @param flipOthers flips what is to change in the same instant; programs that use it are waited for too
   */
  swap(flipOthers: () => void = () => {}): { side: Side; atNs: bigint } {
    this.#requireSpare();
    const side = this.#window.flip();
    flipOthers();
    const atNs = monotonicNs();
    this.#window.quiesce();
    return { side, atNs };
  }

  /** Counts frames of a capture, one after another, until it is disposed of; for a probe that was created with `replays`. */
  frameReplay(): FrameReplay {
    const targetFd = Int32Array.of(this.programFd("ingress_tcx"));
    this.#object.map("replay_target").update(new Uint8Array(4), new Uint8Array(targetFd.buffer));
    const programFd = this.#object.programFd(REPLAY_PROGRAM);
    const frames = this.#object.map("captured_frames").map({ writable: true });
    return new FrameReplay(this.#libbpf, { programFd, globals: this.#globals, frames });
  }

  /** The kernel's exact clock and its tick counter, which flows carry, read together. */
  sampleClock(): ClockSample {
    testRun(this.#libbpf, this.programFd("sample_clock"), new Uint8Array(ETHERNET_HEADER_BYTES));
    return {
      monotonicNs: readField(this.#globals, FLOW_BSS, "clock_sample.monotonic_ns"),
      jiffies: readField(this.#globals, FLOW_BSS, "clock_sample.jiffies"),
    };
  }

  /** Empties the flow maps of a quiet side; `family` is 4 or 6. The batches are lent. */
  drain(side: Side, take: (family: 4 | 6, batch: MapBatch) => void): { v4: DrainedMap; v6: DrainedMap } {
    return {
      v4: this.#sides[side].drain("v4", this.#globals, (batch) => take(4, batch)),
      v6: this.#sides[side].drain("v6", this.#globals, (batch) => take(6, batch)),
    };
  }

  /** Empties what a quiet side has kept of flows without room. Needed only after a window that had some. */
  takeOverflow(side: Side, take: Parameters<OverflowMaps["take"]>[1]): void {
    this.#overflow.take(side, take);
  }

  /** Hands out the counters of a quiet side, then zeroes them. */
  takeCounters(side: Side, take: (block: CounterBlock) => void): void {
    const strideBytes = PACKET_COUNTERS.size;
    const blockBytes = this.cpus * strideBytes;
    for (const slot of this.slotOf) {
      for (const direction of [0, 1]) {
        const byteOffset = ((side * this.#slots + slot) * 2 + direction) * blockBytes;
        take({ slot, direction, bytes: this.#counters.buffer, byteOffset, cpus: this.cpus, strideBytes });
        new Uint8Array(this.#counters.buffer, byteOffset, blockBytes).fill(0);
      }
    }
  }

  /** Runs and run time of the programs that count; empty while the kernel's BPF statistics are off. */
  programStats(): ProgramStats[] {
    const stats = this.#loaded.filter((program) => program !== "sample_clock").map((program) => {
      const { runs, runNs } = programInfo(this.#libbpf, this.programFd(program));
      // The kernel counts a run for the program that was called first.
      const direction = DIRECTIONS.find((direction) => TCX_PROGRAMS[direction] === program);
      if (direction === undefined) return { program, runs, runNs };
      const caller = programInfo(this.#libbpf, this.#object.programFd(CLSACT_PROGRAMS[direction]));
      return { program, runs: runs + caller.runs, runNs: runNs + caller.runNs };
    });
    return stats.some(({ runs }) => runs > 0n) ? stats : [];
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
