/**
 * The flow programs in the kernel: loading, attaching, and the two sides of their maps.
 */
import { SystemError, UnsupportedError } from "../../runtime/errors.ts";
import type { AttachedInterface, FlowOptions, IngressMode } from "./flow_options.ts";
import { type Direction, DIRECTIONS } from "../../wire/traffic.ts";
import type { ProgramStats } from "../windows/flow_window.ts";
import type { ClockSample, CounterBlock, MapBatch } from "../../wire/records.ts";
import {
  attachedXdp,
  attachTcx,
  attachXdp,
  type BpfLink,
  detachXdp,
  probeTcx,
  programInfo,
} from "../../ffi/bpf_link.ts";
import { ClsactFilter, FilterOwner, type OwnFilter, sweepFilters } from "../../ffi/clsact.ts";
import { BpfMap, type MapSpec, MapType } from "../../ffi/bpf_map.ts";
import { BpfObject } from "../../ffi/bpf_object.ts";
import { type Side, SIDES } from "../../ffi/side.ts";
import { ActivePointer } from "../../ffi/double_buffer_pointer.ts";
import { InnerSlot, RcuFence } from "../../ffi/double_buffer_slot.ts";
import { readField, writeField } from "../../wire/layout.ts";
import {
  FLOW4_KEY,
  FLOW6_KEY,
  FLOW_BSS,
  FLOW_RODATA,
  FLOW_VALUE,
  PACKET_COUNTERS,
  REPLAY_SHAPE,
} from "../../wire/layouts.gen.ts";
import { ifindexOf, interfaceNameOf, type Mapping, monotonicNs } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { interfaceNames, mtuBytes } from "../../ffi/netdev.ts";
import { FrameReplay } from "./frame_replay.ts";
import { fullFlagOffset, OverflowMaps } from "./overflow_maps.ts";
import { testRun } from "../../ffi/test_run.ts";
import { findSlots, type SlotTable } from "./slots.ts";

/** Programs of bpf/flow.bpf.c. */
export const FLOW_PROGRAMS = ["ingress_xdp", "ingress_xdp_frags", "ingress_tcx", "egress_tcx", "sample_clock"] as const;
export type FlowProgram = typeof FLOW_PROGRAMS[number];

const BPF_PROG_TYPE_XDP = 6;
const HELPER_XDP_GET_BUFF_LEN = 188; // Linux 5.18

/** Above this a driver may want a program that can handle frames in several buffers: a page less its headroom. */
const SINGLE_BUFFER_MTU = 3_000;

/** Entries a drain moves a system call: 16,384 IPv6 flows take 1.3 MB. */
const DRAIN_BATCH_MAX = 16_384;

/** What clsact filters run: each calls the program beside it. */
const CLSACT_PROGRAMS = { ingress: "ingress_clsact", egress: "egress_clsact" } as const;
const TCX_PROGRAMS = { ingress: "ingress_tcx", egress: "egress_tcx" } as const satisfies Record<Direction, FlowProgram>;

/** Hands the frames of a capture to `ingress_tcx`; loaded where there are any. */
const REPLAY_PROGRAM = "replay_tcx";

/** The shortest frame a test run takes. */
const ETHERNET_HEADER_BYTES = 14;

export interface FlowProbeOptions extends Pick<FlowOptions, "flowsMax" | "prefixesMax" | "values" | "order"> {
  /** Whether frames are those of a capture, with its times and lengths (`frameReplay`): then nothing is attached. */
  replays?: boolean;
}
export type AttachOptions = Pick<FlowOptions, "direction" | "ingressMode" | "egressHook" | "force">;

interface Hook {
  direction: Direction;
  link: BpfLink | ClsactFilter;
  /** It was found detached, which was told. */
  lost: boolean;
  /** Filters of others that were in front when it was last looked at. */
  inFront: string;
}

interface Attachment {
  iface: AttachedInterface;
  hooks: Hook[];
  gone: boolean;
}

/** An interface that is not watched any more. */
export interface GoneInterface {
  name: string;
  /** The interface is still there: somebody detached what watched it. */
  exists: boolean;
}

/** What happened to what is attached. */
export interface AttachmentChanges {
  gone: GoneInterface[];
  /** Interfaces that are watched in one direction only from here on, and filters of others that came in front. */
  notices: { alert: string; message: string }[];
}

function describeOwn({ iface, direction }: OwnFilter): string {
  return `${iface} ${direction}`;
}

/** The interfaces by name, each with its index. @throws {SystemError} for one that does not exist */
export function resolveInterfaces(names: string[]): { name: string; ifindex: number }[] {
  return [...new Set(names)].map((name) => {
    const ifindex = name.includes("\0") ? 0 : ifindexOf(name);
    if (ifindex === 0) {
      throw new Error(
        `Cannot find interface ${JSON.stringify(name)}: there are ${interfaceNames().join(", ")}`,
      );
    }
    return { name, ifindex };
  });
}

/** Entries of the maps of a side. */
export interface FlowsMax {
  v4: number;
  v6: number;
}

/** What a map held when its side was drained. */
export interface DrainedMap {
  entries: number;
  entriesMax: number;
  /** Whether a flow found no room in it. */
  overflowed: boolean;
}

interface FlowMaps {
  v4: BpfMap;
  v6: BpfMap;
}

/** The maps of a side, where programs find them. */
interface FlowSlots {
  v4: InnerSlot;
  v6: InnerSlot;
}

function flowMapSpec(family: keyof FlowsMax, options: FlowProbeOptions, side: Side): MapSpec {
  return {
    type: options.values === "percpu" ? MapType.percpuHash : MapType.hash,
    name: family === "v4" ? `flows4_side${side}` : `flows6_side${side}`,
    keyBytes: (family === "v4" ? FLOW4_KEY : FLOW6_KEY).size,
    valueBytes: FLOW_VALUE.size,
    entriesMax: options.flowsMax,
  };
}

function flowMapSpecs(options: FlowProbeOptions, side: Side): [v4: MapSpec, v6: MapSpec] {
  return [flowMapSpec("v4", options, side), flowMapSpec("v6", options, side)];
}

function disposeMaps({ v4, v6 }: FlowMaps): void {
  v4[Symbol.dispose]();
  v6[Symbol.dispose]();
}

function disposeSlots({ v4, v6 }: FlowSlots): void {
  v4[Symbol.dispose]();
  v6[Symbol.dispose]();
}

/** The object in the kernel, its maps of maps still empty. */
interface LoadedFlow {
  object: BpfObject;
  table: SlotTable;
  programs: readonly FlowProgram[];
  cpus: number;
}

function loadFlow(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  interfaces: { name: string; ifindex: number }[],
  options: FlowProbeOptions,
): LoadedFlow {
  using stack = new DisposableStack();
  const cpus = libbpf.symbols.libbpf_num_possible_cpus();
  const table = findSlots(interfaces.map((iface) => iface.ifindex));
  const hasFrags = libbpf.symbols.libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, HELPER_XDP_GET_BUFF_LEN, null) === 1;
  const programs = FLOW_PROGRAMS.filter((name) => name !== "ingress_xdp_frags" || hasFrags);

  const object = stack.use(BpfObject.open(libbpf, "flow", elf));
  const rodata = object.initialValue(".rodata");
  writeField(rodata, FLOW_RODATA, "cpus", cpus);
  writeField(rodata, FLOW_RODATA, "slots", table.slots);
  writeField(rodata, FLOW_RODATA, "slot_multiplier", table.multiplier);
  writeField(rodata, FLOW_RODATA, "slot_shift", table.shift);
  writeField(rodata, FLOW_RODATA, "per_cpu_values", options.values === "percpu");
  writeField(rodata, FLOW_RODATA, "replays", options.replays === true);
  for (const name of FLOW_PROGRAMS) object.setAutoload(name, programs.includes(name));
  const replays = options.replays === true;
  object.setAutoload(REPLAY_PROGRAM, replays);
  if (replays) object.setMaxEntries("captured_frames", REPLAY_SHAPE.REPLAY_FRAMES);
  object.setMaxEntries("packet_counters", SIDES.length * table.slots * 2 * cpus);
  OverflowMaps.configure(object, rodata, {
    cpus,
    prefixesMax: options.prefixesMax,
    byBytes: options.order === "bytes",
  });
  // The shape of the inner maps, whose size may differ from one to the next.
  using templates = new DisposableStack();
  const [v4, v6] = flowMapSpecs({ ...options, flowsMax: 1 }, 0).map((spec) =>
    templates.use(BpfMap.create(libbpf, spec))
  );
  object.setInnerMap("flows4", v4);
  object.setInnerMap("flows6", v6);
  object.load();
  stack.move();
  return { object, table, programs, cpus };
}

async function createFlowMaps(libbpf: Libbpf, options: FlowProbeOptions, side: Side): Promise<FlowMaps> {
  const made = await Promise.allSettled(flowMapSpecs(options, side).map((spec) => BpfMap.createAsync(libbpf, spec)));
  const failed = made.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    for (const result of made) if (result.status === "fulfilled") result.value[Symbol.dispose]();
    throw failed.reason;
  }
  const [v4, v6] = made.map((result) => (result as PromiseFulfilledResult<BpfMap>).value);
  return { v4, v6 };
}

export class FlowProbe implements Disposable {
  /** CPUs a counter block and a per-CPU value hold. */
  readonly cpus: number;
  /** Slot numbers of `interfaces`, in their order. */
  readonly slotOf: readonly number[];
  readonly interfaces: readonly { name: string; ifindex: number }[];
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #options: FlowProbeOptions;
  /** By side; the second one comes with `prepareSpare`. */
  readonly #flows: FlowSlots[] = [];
  readonly #counters: Mapping;
  readonly #overflow: OverflowMaps;
  readonly #window: ActivePointer;
  readonly #globals: DataView<ArrayBuffer>;
  readonly #loaded: readonly FlowProgram[];
  readonly #slots: number;
  #attachments: Attachment[] = [];
  /** Where there are clsact filters. */
  #filterOwner: FilterOwner | null = null;

  /** @param held a loaded object and the maps of side 0, both owned from here on */
  private constructor(
    libbpf: Libbpf,
    interfaces: { name: string; ifindex: number }[],
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
    this.interfaces = interfaces;
    this.cpus = cpus;
    this.slotOf = table.slotOf;
    this.#slots = table.slots;
    this.#loaded = programs;
    this.#options = options;
    stack.defer(() => this.#flows.forEach(disposeSlots));
    this.#putSide(0, held.first);
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
    interfaces: { name: string; ifindex: number }[],
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
    interfaces: { name: string; ifindex: number }[],
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

  /** @throws {SystemError} the maps are then still the caller's */
  #putSide(side: Side, { v4, v6 }: FlowMaps): void {
    this.#flows[side] = {
      v4: InnerSlot.put(this.#object.map("flows4"), side, v4),
      v6: InnerSlot.put(this.#object.map("flows6"), side, v6),
    };
  }

  /**
   * Makes the maps of the second side. Counting needs only the first, so that this can wait until programs are
   * attached; `swap` needs it done.
   */
  async prepareSpare(): Promise<void> {
    const spare = await createFlowMaps(this.#libbpf, this.#options, 1);
    try {
      this.#putSide(1, spare);
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
        if (!this.#owned.disposed) loose = this.#flows[this.#spare][family].replace(fresh);
      } finally {
        loose[Symbol.dispose]();
      }
    }
  }

  #requireSpare(): void {
    if (this.#flows.length < SIDES.length) throw new Error("Cannot use the spare maps: they are not prepared");
  }

  get #spare(): Side {
    return this.#window.passive;
  }

  /** Entries the maps of a side can hold. */
  flowsMaxOf(side: Side): FlowsMax {
    const { v4, v6 } = this.#flows[side];
    return { v4: v4.map.spec.entriesMax, v6: v6.map.spec.entriesMax };
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
   * Attaches to every interface, or to none when one of them fails.
   *
   * @returns what was attached where, and what had to be done without
   * @throws {UnsupportedError} when somebody else's program holds the place
   */
  attach(options: AttachOptions): { interfaces: AttachedInterface[]; notices: string[] } {
    const notices: string[] = [];
    this.#sweep(notices);
    for (const { name, ifindex } of this.interfaces) {
      const attachment: Attachment = { iface: { name, ifindex, mode: null, egress: null }, hooks: [], gone: false };
      this.#attachments.push(attachment);
      if (options.direction !== "egress") this.#attachIngress(attachment, options);
      if (options.direction !== "ingress") this.#attachEgress(attachment, options, notices);
    }
    notices.push(...this.#newInFront().map(({ message }) => message));
    return { interfaces: this.#attachments.map((attachment) => attachment.iface), notices };
  }

  /** Removes what instances that were killed have left, on whichever interface. */
  #sweep(notices: string[]): void {
    try {
      const { removed } = sweepFilters();
      if (removed.length === 0) return;
      notices.push(`removed filters that an instance which has ended had left: ${removed.map(describeOwn).join(", ")}`);
    } catch (error) {
      // Counting does not depend on it.
      notices.push(`filters of instances that have ended may be left: ${(error as Error).message}`);
    }
  }

  /** The tc hook that this kernel has. */
  get #tcHook(): "tcx" | "clsact" {
    return probeTcx(this.#libbpf, this.programFd("egress_tcx")) ? "tcx" : "clsact";
  }

  #attachClsact(direction: Direction, { name, ifindex }: AttachedInterface): ClsactFilter {
    const key = new Uint8Array(Uint32Array.of(DIRECTIONS.indexOf(direction)).buffer);
    const target = new Uint8Array(Int32Array.of(this.programFd(TCX_PROGRAMS[direction])).buffer);
    this.#object.map("clsact_targets").update(key, target);
    const owner = this.#filterOwner ??= new FilterOwner();
    const programFd = this.#object.programFd(CLSACT_PROGRAMS[direction]);
    return ClsactFilter.attach({ ifindex, direction }, { owner, programFd, iface: name });
  }

  #attachIngress(attachment: Attachment, options: AttachOptions): void {
    const { name, ifindex } = attachment.iface;
    const asked: IngressMode[] = options.ingressMode === "auto" ? ["native", "generic", "tcx"] : [options.ingressMode];
    const modes = asked.map((mode) => mode === "tcx" ? this.#tcHook : mode);
    if (modes[0] === "native" || modes[0] === "generic") this.#clearXdp(name, ifindex, options.force);
    let errno = 0;
    for (const mode of modes) {
      for (const program of this.#ingressPrograms(mode, name)) {
        const link = this.#ingressLink(mode, program, attachment.iface);
        if (typeof link !== "number") {
          attachment.hooks.push({ direction: "ingress", link, lost: false, inFront: "" });
          attachment.iface.mode = mode;
          return;
        }
        errno = link;
      }
    }
    throw new SystemError(`attach to ${name} for ingress (${modes.join(", ")})`, errno, {
      hint: "try another --mode",
    });
  }

  /** @returns the link, or the positive errno @throws {UnsupportedError} @throws {SystemError} */
  #ingressLink(mode: IngressMode, program: FlowProgram, iface: AttachedInterface): BpfLink | ClsactFilter | number {
    switch (mode) {
      case "clsact":
        return this.#attachClsact("ingress", iface);
      case "tcx":
        return attachTcx(this.#libbpf, this.programFd(program), iface.ifindex, "ingress");
      case "native":
      case "generic":
        return attachXdp(this.#libbpf, this.programFd(program), iface.ifindex, mode);
      default:
        return mode satisfies never;
    }
  }

  #ingressPrograms(mode: IngressMode, iface: string): FlowProgram[] {
    if (mode === "tcx" || mode === "clsact") return ["ingress_tcx"];
    if (mode === "generic" || mtuBytes(iface) <= SINGLE_BUFFER_MTU) return ["ingress_xdp"];
    return this.#loaded.includes("ingress_xdp_frags") ? ["ingress_xdp", "ingress_xdp_frags"] : ["ingress_xdp"];
  }

  #clearXdp(name: string, ifindex: number, force: boolean): void {
    const other = attachedXdp(this.#libbpf, ifindex);
    if (other === null) return;
    if (force) {
      detachXdp(this.#libbpf, ifindex, other.id);
      return;
    }
    const remedy = "--mode tcx watches beside it, --force replaces it";
    throw new UnsupportedError(
      `Cannot attach to ${name}: XDP program ${other.id}${other.name && ` ("${other.name}")`} is on it; ${remedy}`,
    );
  }

  /** Does without where ingress is watched and the kernel or the interface has no hook for egress. */
  #attachEgress(attachment: Attachment, options: AttachOptions, notices: string[]): void {
    const { iface } = attachment;
    const hook = options.egressHook === "clsact" ? "clsact" : this.#tcHook;
    let link: BpfLink | ClsactFilter | number;
    try {
      link = hook === "tcx"
        ? attachTcx(this.#libbpf, this.programFd("egress_tcx"), iface.ifindex, "egress")
        : this.#attachClsact("egress", iface);
    } catch (error) {
      if (options.direction === "egress" || !(error instanceof UnsupportedError)) throw error;
      notices.push(`watching ingress only of ${iface.name}: ${error.message}`);
      return;
    }
    if (typeof link === "number") throw new SystemError(`attach to ${iface.name} for egress (${hook})`, link);
    attachment.hooks.push({ direction: "egress", link, lost: false, inFront: "" });
    iface.egress = hook;
  }

  /** What has changed since the last call. */
  takeChanges(): AttachmentChanges {
    const changes: AttachmentChanges = { gone: [], notices: [] };
    for (const attachment of this.#attachments.filter((it) => !it.gone)) {
      const { iface: { name, ifindex }, hooks } = attachment;
      const lost = hooks.filter((hook) => !hook.lost && !hook.link.attached);
      if (lost.length === 0) continue;
      for (const hook of lost) hook.lost = true;
      const exists = interfaceNameOf(ifindex) !== null;
      attachment.gone = !exists || hooks.every((hook) => hook.lost);
      if (attachment.gone) changes.gone.push({ name, exists });
      else {
        for (const { direction } of lost) {
          const message =
            `${direction} of ${name} is not counted any more, since another program detached what watched it; start ebpfmon again to watch it`;
          changes.notices.push({ alert: "hook_lost", message });
        }
      }
    }
    changes.notices.push(...this.#newInFront());
    return changes;
  }

  /** Filters of others in front of ours, where there are others than at the last look. */
  #newInFront(): AttachmentChanges["notices"] {
    const notices: AttachmentChanges["notices"] = [];
    for (const { iface, hooks, gone } of this.#attachments) {
      for (const hook of hooks) {
        if (gone || hook.lost || !(hook.link instanceof ClsactFilter)) continue;
        const inFront = hook.link.inFront().join(", ");
        if (inFront !== "" && inFront !== hook.inFront) {
          const message =
            `${iface.name} ${hook.direction}: these filters of others come first, and a packet that one of them ends is not counted: ${inFront}`;
          notices.push({ alert: "filter_in_front", message });
        }
        hook.inFront = inFront;
      }
    }
    return notices;
  }

  /** Interfaces still watched. */
  get watched(): number {
    return this.#attachments.filter((attachment) => !attachment.gone).length;
  }

  /** Stops counting. */
  detach(): void {
    // Filters before their owner, which vouches for them; one that cannot be removed keeps none of the others.
    using stack = new DisposableStack();
    stack.use(this.#filterOwner);
    for (const { link } of this.#attachments.flatMap((attachment) => attachment.hooks)) stack.use(link);
  }

  /**
   * Ends a window: programs count on the other side from `atNs` on. When this returns nothing writes to `side` any
   * more; it must be drained and its counters taken before the next swap.
   *
   * @param flipBeside flips what is to change in the same instant, and is waited for with it
   */
  swap(flipBeside: () => void = () => {}): { side: Side; atNs: bigint } {
    this.#requireSpare();
    const side = this.#window.flip();
    flipBeside();
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
      v4: this.#drainMap(side, "v4", (batch) => take(4, batch)),
      v6: this.#drainMap(side, "v6", (batch) => take(6, batch)),
    };
  }

  #drainMap(side: Side, family: keyof FlowsMax, take: (batch: MapBatch) => void): DrainedMap {
    const { map } = this.#flows[side][family];
    const { entriesMax } = map.spec;
    const flag = fullFlagOffset(side, family === "v4" ? "FULL_FLOWS4" : "FULL_FLOWS6");
    const overflowed = this.#globals.getUint32(flag, true) !== 0;
    const entries = map.drain(take, Math.min(DRAIN_BATCH_MAX, entriesMax));
    // Programs try it again.
    this.#globals.setUint32(flag, 0, true);
    return { entries, entriesMax, overflowed };
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
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
