/**
 * The retransmit programs in the kernel: loading, attaching, and the two sides of what they count.
 */
import { RETRANSMIT_SUMS, type RetransmitCounters, type RetransmitSums } from "../windows/retransmit_counts.ts";
import type { MapBatch } from "../../wire/records.ts";
import { LibbpfLinks, programInfo } from "../../ffi/bpf_link.ts";
import type { BpfMap } from "../../ffi/bpf_map.ts";
import { BpfObject } from "../../ffi/bpf_object.ts";
import type { Fence } from "../../ffi/double_buffer.ts";
import { SIDES } from "../../ffi/side.ts";
import { ActivePointer } from "../../ffi/double_buffer_pointer.ts";
import { readField, writeField } from "../../wire/layout.ts";
import { RETRANSMIT_BSS, RETRANSMIT_PLACE, RETRANSMIT_RODATA } from "../../wire/layouts.gen.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { ownNetns } from "../../ffi/netdev.ts";
import { loadVariants, type ProgramJob } from "../../ffi/program_variants.ts";

type Program = "segments_tried" | "segments_sent" | "synack_sent";

/** The one job, and what a kernel takes for it: since Linux 6.17 its tracepoint also tells of what could not be sent. */
const WAYS: { way: string; programs: readonly Program[] }[] = [
  {
    way: "BTF tracepoints tcp_retransmit_skb (with its result) and tcp_retransmit_synack",
    programs: ["segments_tried", "synack_sent"],
  },
  { way: "BTF tracepoints tcp_retransmit_skb and tcp_retransmit_synack", programs: ["segments_sent", "synack_sent"] },
];
const JOB: ProgramJob<Program> = { job: "retransmits", variants: WAYS.map(({ programs }) => programs) };
const PROGRAM_NAMES = [...new Set(JOB.variants.flat())];

/** Entries a drain moves a system call. */
const DRAIN_BATCH_MAX = 1_024;

/** `flip` waits for no program: whoever calls it does. */
const CALLER_WAITS: Fence = { wait() {}, waitAsync: () => Promise.resolve() };

export interface RetransmitProbeOptions {
  /** Connections a side has room for. */
  entriesMax: number;
}

function load(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  set: { programs: Program[]; netns: number; entriesMax: number },
): BpfObject {
  using stack = new DisposableStack();
  const object = stack.use(BpfObject.open(libbpf, "retransmit", elf));
  writeField(object.initialValue(".rodata"), RETRANSMIT_RODATA, "home_netns", set.netns);
  for (const name of PROGRAM_NAMES) object.setAutoload(name, set.programs.includes(name));
  for (const side of SIDES) object.setMaxEntries(`retransmits_side${side}`, set.entriesMax);
  object.load();
  stack.move();
  return object;
}

/**
 * TCP segments sent again, by connection, in the windows of somebody else, who flips this side with its own and waits
 * for programs. Attached by links: nothing outlives the process.
 *
 * @example
 * ```ts
 * using probe = new RetransmitProbe(libbpf, elf, { entriesMax: 8_192 });
 * probe.attach();
 * // at the end of a window
 * const { side } = flows.swap(() => probe.flip());
 * const counters = probe.take((batch) => table.addBatch(batch));
 * ```
 */
export class RetransmitProbe implements Disposable {
  /** How segments are seen, in words. */
  readonly way: string;
  /** Inode of the network namespace that we are in. */
  readonly netns: number;
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly Program[];
  readonly #sides: readonly BpfMap[];
  readonly #globals: DataView<ArrayBuffer>;
  readonly #window: ActivePointer;
  readonly #links: LibbpfLinks;

  /**
   * Loads the programs; attaches to nothing yet.
   *
   * @param elf the compiled bpf/retransmit.bpf.c
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} without BTF tracepoints
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, { entriesMax }: RetransmitProbeOptions) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.netns = ownNetns();
    const { netns } = this;
    const { loaded: object, programs, variantOf } = loadVariants(
      [JOB],
      (programs) => load(libbpf, elf, { programs, netns, entriesMax }),
    );
    const used = variantOf.get(JOB.job);
    this.way = WAYS.find(({ programs }) => programs === used)!.way;
    this.#object = stack.use(object);
    this.#links = new LibbpfLinks(libbpf, this.#object);
    this.#programs = programs;
    this.#sides = SIDES.map((side) => object.map(`retransmits_side${side}`));
    const globals = stack.use(object.map(".bss").map({ writable: true }));
    this.#globals = new DataView(globals.buffer);
    const pointer = { buffer: globals.buffer, offset: RETRANSMIT_BSS.fields["window.generation"].offset };
    this.#window = new ActivePointer(pointer, CALLER_WAITS);
    this.#owned = stack.move();
  }

  /** Starts counting. @throws {SystemError} */
  attach(): void {
    this.#links.attach(this.#programs);
  }

  /** Stops counting; what is known stays. */
  detach(): void {
    this.#links.detach();
  }

  /** Ends a window: programs count on the other side, but for those that run now, for which the caller waits. */
  flip(): void {
    this.#window.flip();
  }

  /** Empties the quiet side and hands out its counters. The batches, a __u64 by `struct socket_key`, are lent. */
  take(take: (batch: MapBatch) => void): RetransmitCounters {
    const side = this.#window.passive;
    const sums = (place: number) => {
      const at = side * RETRANSMIT_PLACE.RETRANSMIT_PLACES + place;
      const sum = (name: keyof RetransmitSums) =>
        Number(readField(this.#globals, RETRANSMIT_BSS, `${name}_segments`)[at]);
      return Object.fromEntries(RETRANSMIT_SUMS.map((name) => [name, sum(name)])) as RetransmitSums;
    };
    const counters = { home: sums(RETRANSMIT_PLACE.RETRANSMIT_HOME), other: sums(RETRANSMIT_PLACE.RETRANSMIT_OTHER) };
    // Most windows have none: no system call then.
    if (counters.home.seen + counters.other.seen > 0) this.#sides[side].drain(take, DRAIN_BATCH_MAX);
    for (const name of RETRANSMIT_SUMS) {
      const { offset, size } = RETRANSMIT_BSS.fields[`${name}_segments`];
      new Uint8Array(this.#globals.buffer, offset + side * size / SIDES.length, size / SIDES.length).fill(0);
    }
    return counters;
  }

  /** Runs that the kernel left out since the start, because the same program had been interrupted on that CPU. */
  get missedRuns(): bigint {
    return this.#programs.reduce(
      (sum, name) => sum + programInfo(this.#libbpf, this.#object.programFd(name)).missedRuns,
      0n,
    );
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
