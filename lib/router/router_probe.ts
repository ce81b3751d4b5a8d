/**
 * The router's programs in the kernel: loading what the kernel takes, attaching, the three rings, rules and counters.
 */
import { EVENT_TYPES, type EventType, type RingName, RINGS, SHARED_RINGS, type SharedRing } from "../events/event.ts";
import type { IsolateTarget, RouterOptions } from "./router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { LibbpfLinks } from "../ffi/bpf_link.ts";
import { BpfMap, type InnerKey, MapType } from "../ffi/bpf_map.ts";
import type { BpfObject } from "../ffi/bpf_object.ts";
import { cgroupId } from "../ffi/cgroup.ts";
import { bytesCodec } from "../ffi/double_buffer_codec.ts";
import { ActivePointer } from "../ffi/double_buffer_pointer.ts";
import { FixedSideMaps } from "../ffi/double_buffer_side_maps.ts";
import { InnerSlot, RcuFence } from "../ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../ffi/double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../ffi/double_buffered_table.ts";
import { Epoll } from "../ffi/epoll.ts";
import { readField, writeField } from "../wire/layout.ts";
import {
  HELD_KEY,
  HELD_REASON,
  ISOLATE_KEY,
  ISOLATE_KIND,
  ROUTER_COUNTERS,
  ROUTER_PROGRAM,
  RULE_BITS,
  RULE_KEY,
  RULE_NET_KEY,
  RULE_PATH_KEY,
  RULE_SET,
  RULE_STRUCTURE,
} from "../wire/layouts.gen.ts";
import { type Mapping, pageSizeBytes } from "../ffi/libc.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import type { TakeSample } from "../ffi/ring_cursor.ts";
import { RingReader } from "../ffi/ring_reader.ts";
import { type Configure, type LackingSource, loadRouter, type RouterElfs } from "./router_programs.ts";
import { runRaw } from "../ffi/test_run.ts";
import { type Bytes, compileRules } from "./rule_maps.ts";
import type { Machine } from "../wire/syscalls.ts";
import { syscallRules } from "./syscall_rules.ts";

export type RouterProbeOptions = Pick<
  RouterOptions,
  "sources" | "ringBytes" | "rateLimit" | "repeatSuppression" | "isolate" | "only" | keyof RuleSet
>;

/** Sums over programs and CPUs since the start; arrays in the order of RINGS and EVENT_TYPES. */
export interface RouterCounters {
  seen: bigint;
  filtered: bigint;
  rateLimited: bigint;
  sampledOut: bigint;
  repeatsHeld: bigint;
  flushed: bigint;
  attempts: bigint[];
  submitted: bigint[];
  dropped: bigint[];
  failures: bigint[];
  spilled: bigint[];
  droppedByType: bigint[];
}

interface Ring {
  slot: InnerSlot;
  reader: RingReader;
  /** Samples that readers of earlier, smaller or larger rings in its place handed out. */
  consumedBefore: number;
}

/** One that is in no slot. */
interface NewRing {
  map: BpfMap;
  reader: RingReader;
}

function disposeRing({ map, reader }: NewRing): void {
  reader[Symbol.dispose]();
  map[Symbol.dispose]();
}

/** A ring's size: whole pages, a power of two. */
export function ringSizeBytes(wantedBytes: number): number {
  let bytes = pageSizeBytes();
  while (bytes < wantedBytes) bytes *= 2;
  return bytes;
}

/** The tables of one rule set, which change in one flip. */
class RuleTables {
  readonly #pointer: ActivePointer;
  readonly #sets: DoubleBufferedArray<Bytes>;
  readonly #values: DoubleBufferedHash<Bytes, Bytes>;
  readonly #paths: DoubleBufferedLpm<Bytes, Bytes>;
  readonly #nets: DoubleBufferedLpm<Bytes, Bytes>;

  /** @param generation where programs read which rules are in force: in the object's .bss */
  constructor(object: BpfObject, generation: { buffer: ArrayBuffer; offset: number }, fence: RcuFence) {
    const sides = (name: string) => new FixedSideMaps([object.map(`${name}_side0`), object.map(`${name}_side1`)]);
    const value = bytesCodec(RULE_BITS.size);
    this.#pointer = new ActivePointer(generation, fence);
    this.#sets = new DoubleBufferedArray(this.#pointer, RULE_STRUCTURE.RULE_SETS, {
      sides: sides("rule_sets"),
      codec: bytesCodec(RULE_SET.size),
    });
    this.#values = new DoubleBufferedHash(this.#pointer, RULE_STRUCTURE.RULE_VALUES, {
      sides: sides("rule_values"),
      key: bytesCodec(RULE_KEY.size),
      value,
    });
    this.#paths = new DoubleBufferedLpm(this.#pointer, RULE_STRUCTURE.RULE_PATHS, {
      sides: sides("rule_paths"),
      key: bytesCodec(RULE_PATH_KEY.size),
      value,
    });
    this.#nets = new DoubleBufferedLpm(this.#pointer, RULE_STRUCTURE.RULE_NETS, {
      sides: sides("rule_nets"),
      key: bytesCodec(RULE_NET_KEY.size),
      value,
    });
  }

  /** @returns the generation @throws {RangeError} @throws {SystemError} the old rules are in force then */
  set(ruleSet: RuleSet, rateLimit: number): number {
    const compiled = compileRules(ruleSet, rateLimit);
    using change = this.#sets.setAndDeferSwitchover([compiled.set]);
    this.#values.setAndDeferSwitchover(compiled.values);
    this.#paths.setAndDeferSwitchover(compiled.paths);
    this.#nets.setAndDeferSwitchover(compiled.nets);
    return change.flip();
  }
}

/** The settings of bpf/router_record.h. */
function configuration(options: RouterProbeOptions, cpus: number): Configure {
  const { only, sources, isolate } = options;
  const events = only.events.length === 0 ? sources : sources.filter((it) => only.events.includes(it));
  const rings = only.rings.length === 0 ? SHARED_RINGS : only.rings;
  const ringBits = rings.map((ring) => 1 << SHARED_RINGS.indexOf(ring)).reduce((bits, bit) => bits | bit, 0);
  const comm = new DataView(new ArrayBuffer(16));
  new Uint8Array(comm.buffer).set(new TextEncoder().encode(only.comm ?? "").subarray(0, 15));
  const settings = {
    cpus,
    syscall_rules: syscallRules(Deno.build.arch as Machine, events),
    watch_limits: events.includes("resource_limit"),
    watch_execs: events.includes("process_exec"),
    hold_repeats: options.repeatSuppression,
    hash_seed: crypto.getRandomValues(new BigUint64Array(1))[0],
    isolate_pids: isolate.some(({ kind }) => kind === "pid"),
    isolate_cgroups: isolate.some(({ kind }) => kind === "cgroup"),
    only_rings: ringBits,
    filter_pid: only.pid !== null,
    only_pid: only.pid ?? 0,
    filter_uid: only.uid !== null,
    only_uid: only.uid ?? 0,
    filter_comm: only.comm !== null,
    only_comm: [comm.getBigUint64(0, true), comm.getBigUint64(8, true)],
  };
  return (object, set) => {
    for (const [name, value] of Object.entries(settings)) set(name, value);
    object.setMaxEntries("counters", ROUTER_PROGRAM.ROUTER_PROGRAMS * cpus);
  };
}

export class RouterProbe implements Disposable {
  /** Sources that at least one loaded program serves. */
  readonly sources: readonly EventType[];
  /** Source to how it is watched, for people. */
  readonly ways: ReadonlyMap<EventType, string>;
  /** Source to what its events lack on this kernel; one that lacks nothing is not there. */
  readonly limits: ReadonlyMap<EventType, string>;
  /** Sources of which not everything is watched. */
  readonly lacking: readonly LackingSource[];
  /** What events lack on this kernel, and what is not watched; one line each. */
  readonly notices: readonly string[];
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly string[];
  readonly #counters: Mapping;
  readonly #epoll: Epoll;
  readonly #cpus: number;
  readonly #rings: Ring[] = [];
  readonly #links: LibbpfLinks;
  readonly #fence: RcuFence;
  readonly #rules: RuleTables;
  readonly #rateLimit: number;

  /**
   * Loads the programs and makes the rings; attaches to nothing yet.
   *
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} when the kernel takes none of the programs
   */
  constructor(libbpf: Libbpf, elfs: RouterElfs, options: RouterProbeOptions) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#cpus = libbpf.symbols.libbpf_num_possible_cpus();
    const loaded = loadRouter(libbpf, elfs, options.sources, configuration(options, this.#cpus));
    const { object } = loaded;
    this.#object = stack.use(object);
    this.#links = new LibbpfLinks(libbpf, this.#object);
    this.#programs = loaded.programs;
    this.ways = loaded.ways;
    this.sources = [...loaded.ways.keys()];
    this.limits = loaded.limits;
    this.lacking = loaded.lacking;
    const unseen = Map.groupBy(loaded.lacking, ({ why, remedy }) => `${why}; ${remedy}`);
    this.notices = [
      ...loaded.notices,
      ...Array.from(unseen, ([text, lacking]) => `${lacking.map(({ source }) => source).join(", ")}: ${text}`),
    ];
    this.#counters = stack.use(object.map("counters").map({ writable: false }));
    const globals = stack.use(object.map(".bss").map({ writable: true }));
    this.#fence = stack.use(new RcuFence(libbpf));
    this.#rules = new RuleTables(object, { buffer: globals.buffer, offset: loaded.rulesOffset }, this.#fence);
    this.#rateLimit = options.rateLimit;
    this.#epoll = stack.use(new Epoll());
    stack.defer(() => this.#rings.forEach(({ slot, reader }) => disposeRing({ map: slot.map, reader })));
    SHARED_RINGS.forEach((name, i) => this.#rings.push(this.#makeRing(i, options.ringBytes[name])));
    for (const target of options.isolate) this.#rings.push(this.#makeIsolated(target, options.ringBytes.normal));
    this.#run("identify", 0n, -1);
    this.setRules(options);
    this.#owned = stack.move();
  }

  /** A shared ring, in its place among `rings`: programs write to it when this returns. */
  #makeRing(index: number, wantedBytes: number): Ring {
    return this.#putRing(this.#newRing(`ring_${SHARED_RINGS[index]}`, index, wantedBytes), "rings", index);
  }

  /** A ring that only the target's events go to. @throws {SystemError} when its cgroup does not exist */
  #makeIsolated(target: IsolateTarget, wantedBytes: number): Ring {
    const key = new DataView(new ArrayBuffer(ISOLATE_KEY.size));
    const isPid = target.kind === "pid";
    writeField(key, ISOLATE_KEY, "id", isPid ? BigInt(target.pid) : cgroupId(target.path));
    writeField(key, ISOLATE_KEY, "kind", isPid ? ISOLATE_KIND.ISOLATE_PID : ISOLATE_KIND.ISOLATE_CGROUP);
    const ring = this.#newRing("ring_isolated", SHARED_RINGS.length, wantedBytes);
    return this.#putRing(ring, "isolated_rings", new Uint8Array(key.buffer));
  }

  /** A ring that is read, but that no program knows yet. */
  #newRing(name: string, epollIndex: number, wantedBytes: number): NewRing {
    using stack = new DisposableStack();
    const entriesMax = ringSizeBytes(wantedBytes);
    const map = BpfMap.create(this.#libbpf, { name, type: MapType.ringbuf, keyBytes: 0, valueBytes: 0, entriesMax });
    stack.use(map);
    const reader = stack.use(new RingReader(map));
    this.#epoll.add(map.fd, epollIndex);
    stack.move();
    return { map, reader };
  }

  #putRing(ring: NewRing, outer: string, key: InnerKey): Ring {
    try {
      return { slot: InnerSlot.put(this.#object.map(outer), key, ring.map), reader: ring.reader, consumedBefore: 0 };
    } catch (error) {
      disposeRing(ring);
      throw error;
    }
  }

  /**
   * Attaches every loaded program.
   *
   * @throws {SystemError}
   */
  attach(): void {
    this.#links.attach(this.#programs);
  }

  /** No event after this; what is in the rings can still be read. */
  detach(): void {
    this.#links.detach();
  }

  /** Rings that there are: `isolated` only where somebody has one. */
  get ringNames(): readonly RingName[] {
    return this.#rings.length > SHARED_RINGS.length ? RINGS : SHARED_RINGS;
  }

  /** Returns when no program is at work that had started before. */
  fence(): void {
    this.#fence.wait();
  }

  /**
   * Hands out what has been submitted to a ring so far, in order; samples are lent.
   *
   * @param samplesMax of each ring
   * @returns samples handed out
   */
  read(ring: RingName, take: TakeSample, samplesMax?: number): number {
    return this.#ringsOf(ring).reduce((samples, { reader }) => samples + reader.read(take, samplesMax), 0);
  }

  /** Waits on another thread until a ring wakes its reader. @returns the rings; none after `timeoutMs` */
  async wait(timeoutMs: number): Promise<RingName[]> {
    return [...new Set((await this.#epoll.wait(timeoutMs)).map((index) => RINGS[index]))];
  }

  /** Samples handed out, fill from 0 to 1, and size of a ring; of `isolated`, the sums and the fullest one's fill. */
  ringState(ring: RingName): { consumed: number; fill: number; capacityBytes: number } {
    const state = { consumed: 0, fill: 0, capacityBytes: 0 };
    for (const { slot, reader, consumedBefore } of this.#ringsOf(ring)) {
      const { consumed, fill } = reader.stats;
      state.consumed += consumedBefore + consumed;
      state.fill = Math.max(state.fill, fill);
      state.capacityBytes += slot.map.spec.entriesMax;
    }
    return state;
  }

  /**
   * Replaces a ring by one of another size while programs run. The old one is read to its end when nothing can write
   * to it any more, so nothing is lost and order is kept.
   *
   * @returns samples handed out
   */
  resize(ring: SharedRing, wantedBytes: number, take: TakeSample): number {
    const index = SHARED_RINGS.indexOf(ring);
    const current = this.#rings[index];
    const fresh = this.#newRing(`ring_${ring}`, index, wantedBytes);
    let oldMap: BpfMap;
    try {
      oldMap = current.slot.replace(fresh.map);
    } catch (error) {
      disposeRing(fresh);
      throw error;
    }
    const old = { map: oldMap, reader: current.reader };
    current.reader = fresh.reader;
    try {
      return old.reader.read(take);
    } finally {
      current.consumedBefore += old.reader.stats.consumed;
      disposeRing(old);
    }
  }

  /**
   * Puts a rule set in force, all of it in one instant: each event is judged by one set, whose generation it carries.
   *
   * @returns the generation
   * @throws {RangeError} for more than there is room for
   * @throws {SystemError} for a cgroup that does not exist. After any error the old rules are in force
   */
  setRules(ruleSet: RuleSet): number {
    return this.#rules.set(ruleSet, this.#rateLimit);
  }

  /**
   * Has the kernel send what repeat suppression holds back for longer than a second, or all of it.
   */
  flushRepeats(all: boolean): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      // It refuses while the CPU it interrupts is holding an event back, which takes less than a microsecond.
      for (let tries = 0; tries < 100 && this.#run("flush_repeats", all ? 1n : 0n, cpu) === 1; tries++);
    }
  }

  /** Runs a raw tracepoint program once. @param cpu where, or -1 for here @returns its result; -1 on an offline CPU */
  #run(program: string, argument: bigint, cpu: number): number {
    return runRaw(this.#libbpf, this.#object.programFd(program), argument, cpu) ?? -1;
  }

  /** Exact while no program runs; else each number is, and they are a few events apart. */
  counters(): RouterCounters {
    const view = new DataView(this.#counters.buffer);
    const blocks = ROUTER_PROGRAM.ROUTER_PROGRAMS * this.#cpus;
    const sum = (field: "seen" | "filtered" | "rate_limited" | "sampled_out" | "repeats_held" | "flushed") => {
      let total = 0n;
      for (let i = 0; i < blocks; i++) total += readField(view, ROUTER_COUNTERS, field, i * ROUTER_COUNTERS.size);
      return total;
    };
    const sums = (
      field: "attempts" | "submitted" | "dropped" | "failures" | "spilled" | "dropped_by_type",
      length: number,
    ) => {
      const totals = new Array<bigint>(length).fill(0n);
      for (let i = 0; i < blocks; i++) {
        const values = readField(view, ROUTER_COUNTERS, field, i * ROUTER_COUNTERS.size);
        for (let k = 0; k < length; k++) totals[k] += values[k];
      }
      return totals;
    };
    return {
      seen: sum("seen"),
      filtered: sum("filtered"),
      rateLimited: sum("rate_limited"),
      sampledOut: sum("sampled_out"),
      repeatsHeld: sum("repeats_held"),
      flushed: sum("flushed"),
      attempts: sums("attempts", RINGS.length),
      submitted: sums("submitted", RINGS.length),
      dropped: sums("dropped", RINGS.length),
      failures: sums("failures", RINGS.length),
      spilled: sums("spilled", RINGS.length),
      droppedByType: sums("dropped_by_type", EVENT_TYPES.length),
    };
  }

  /** Since the start, by process; process 0 stands for those that no longer fitted the kernel's table. */
  held(): { rateLimited: Map<number, bigint>; dropped: Map<number, bigint> } {
    const rateLimited = new Map<number, bigint>();
    const dropped = new Map<number, bigint>();
    const map = this.#object.map("held");
    const nextKey = this.#libbpf.symbols.bpf_map_get_next_key;
    const value = new Uint8Array(map.lookupBytes);
    const next = new Uint8Array(HELD_KEY.size);
    const view = new DataView(next.buffer);
    let key: Uint8Array<ArrayBuffer> | null = null;
    while (nextKey(map.fd, key, next) === 0) {
      if (map.lookup(next, value)) {
        const counts = readField(view, HELD_KEY, "reason") === HELD_REASON.HELD_DROPPED ? dropped : rateLimited;
        counts.set(readField(view, HELD_KEY, "pid"), new DataView(value.buffer).getBigUint64(0, true));
      }
      key = next.slice();
    }
    return { rateLimited, dropped };
  }

  #ringsOf(name: RingName): Ring[] {
    if (name === "isolated") return this.#rings.slice(SHARED_RINGS.length);
    return [this.#rings[SHARED_RINGS.indexOf(name)]];
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
