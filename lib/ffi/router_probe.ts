/**
 * The router's programs in the kernel: loading what the kernel takes, attaching, the three rings, rules and counters.
 */
import { PrivilegeError, SystemError } from "../errors.ts";
import {
  EVENT_TYPES,
  type EventType,
  type IsolateTarget,
  type RingName,
  RINGS,
  type RouterOptions,
  type SeverityRule,
  SHARED_RINGS,
  type SharedRing,
} from "../router/protocol.ts";
import { LibbpfLink } from "./bpf_link.ts";
import { BpfMap, MapType } from "./bpf_map.ts";
import { cgroupId } from "./cgroup.ts";
import { BpfObject } from "./bpf_object.ts";
import { Epoll } from "./epoll.ts";
import { readField, writeField } from "./layout.ts";
import {
  HELD_KEY,
  HELD_REASON,
  ISOLATE_KEY,
  ISOLATE_KIND,
  ROUTER_BSS,
  ROUTER_COUNTERS,
  ROUTER_PROGRAM,
  ROUTER_RODATA,
} from "./layouts.gen.ts";
import { addressOf, type Mapping, pageSizeBytes } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import type { TakeSample } from "./ring_cursor.ts";
import { RingReader } from "./ring_reader.ts";
import { compileRules, type MapEntry } from "./rule_maps.ts";
import { type Machine, syscallRules } from "./syscalls.ts";

/** Programs of bpf/router.bpf.c that are attached, the sources that need each, and what a kernel without it lacks. */
const PROGRAMS: Record<string, { sources: EventType[]; lacking: string }> = {
  process_exec: { sources: ["process_exec"], lacking: "BTF tracepoint sched_process_exec (Linux 5.5)" },
  process_exit: { sources: ["process_exit"], lacking: "BTF tracepoint sched_process_exit (Linux 5.5)" },
  syscall_exit: {
    sources: ["file_open", "network_connect", "security_violation", "resource_limit"],
    lacking: "BTF tracepoint sys_exit (Linux 5.11)",
  },
  tcp_state: { sources: ["tcp_state"], lacking: "BTF tracepoint inet_sock_set_state (Linux 5.5)" },
  oom_victim: { sources: ["resource_limit"], lacking: "BTF tracepoint mark_victim with its task (Linux 6.8)" },
};

/** Programs that userspace runs itself. */
const HELPERS = ["flush_repeats", "identify"];

export type RouterProbeOptions = Pick<
  RouterOptions,
  "sources" | "rules" | "ringBytes" | "rateLimit" | "repeatSuppression" | "isolate" | "only"
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
  map: BpfMap;
  reader: RingReader;
  /** Samples that readers of earlier, smaller or larger rings in its place handed out. */
  consumedBefore: number;
}

/** struct bpf_test_run_opts for a raw tracepoint program: it takes no frame and no repetitions. */
function rawRunOpts(args: BigUint64Array<ArrayBuffer>, cpu: number): DataView<ArrayBuffer> {
  const opts = new DataView(new ArrayBuffer(80));
  opts.setBigUint64(0, 80n, true); // sz
  opts.setBigUint64(32, addressOf(args), true); // ctx_in
  opts.setUint32(48, args.byteLength, true); // ctx_size_in
  opts.setUint32(68, cpu < 0 ? 0 : 1, true); // flags: BPF_F_TEST_RUN_ON_CPU
  opts.setUint32(72, Math.max(0, cpu), true); // cpu
  return opts;
}

/** A ring's size: whole pages, a power of two. */
export function ringSizeBytes(wantedBytes: number): number {
  let bytes = pageSizeBytes();
  while (bytes < wantedBytes) bytes *= 2;
  return bytes;
}

export class RouterProbe implements Disposable {
  /** Sources that at least one loaded program serves. */
  readonly sources: readonly EventType[];
  /** What the kernel lacks, by name. */
  readonly notices: readonly string[];
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly string[];
  readonly #counters: Mapping;
  readonly #globals: DataView<ArrayBuffer>;
  readonly #epoll: Epoll;
  readonly #cpus: number;
  readonly #rings: Ring[] = [];
  #links: LibbpfLink[] = [];
  #rulesGeneration = 0;
  /** Keys of both sides, to be deleted when the side is filled again. */
  readonly #ruleKeys: { values: MapEntry[]; paths: MapEntry[] }[] = [{ values: [], paths: [] }, {
    values: [],
    paths: [],
  }];

  /**
   * Loads the programs and makes the rings; attaches to nothing yet.
   *
   * @param elf the compiled bpf/router.bpf.c
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} when the kernel takes none of the programs
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, options: RouterProbeOptions) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#cpus = libbpf.symbols.libbpf_num_possible_cpus();
    const wanted = Object.keys(PROGRAMS).filter((name) =>
      PROGRAMS[name].sources.some((source) => options.sources.includes(source))
    );
    const { object, programs, lacking } = this.#load(elf, wanted, options);
    this.#object = stack.use(object);
    this.#programs = programs;
    this.notices = lacking.map((name) => {
      const missed = PROGRAMS[name].sources.filter((source) => options.sources.includes(source)).join(", ");
      return `${missed}: ${name} is not watched, this kernel lacks ${PROGRAMS[name].lacking}`;
    });
    this.sources = EVENT_TYPES.filter((source) =>
      options.sources.includes(source) && programs.some((name) => PROGRAMS[name].sources.includes(source))
    );
    this.#counters = stack.use(object.map("counters").map({ writable: false }));
    this.#globals = new DataView(stack.use(object.map(".bss").map({ writable: true })).buffer);
    this.#epoll = stack.use(new Epoll());
    stack.defer(() => this.#rings.forEach((ring) => this.#close(ring)));
    SHARED_RINGS.forEach((name, i) => this.#rings.push(this.#makeRing(i, options.ringBytes[name])));
    for (const target of options.isolate) this.#rings.push(this.#makeIsolated(target, options.ringBytes.normal));
    this.#run("identify", 0n, -1);
    this.setRules(options.rules);
    this.#owned = stack.move();
  }

  #load(
    elf: Uint8Array<ArrayBuffer>,
    wanted: string[],
    options: RouterProbeOptions,
  ): { object: BpfObject; programs: string[]; lacking: string[] } {
    try {
      return { object: this.#loadPrograms(elf, wanted, options), programs: wanted, lacking: [] };
    } catch (error) {
      if (error instanceof PrivilegeError) throw error;
      // One that the kernel refuses takes all others with it: each is tried alone.
      const programs = wanted.filter((name) => {
        try {
          this.#loadPrograms(elf, [name], options)[Symbol.dispose]();
          return true;
        } catch {
          return false;
        }
      });
      if (programs.length === 0 || programs.length === wanted.length) throw error;
      const lacking = wanted.filter((name) => !programs.includes(name));
      return { object: this.#loadPrograms(elf, programs, options), programs, lacking };
    }
  }

  #loadPrograms(elf: Uint8Array<ArrayBuffer>, programs: string[], options: RouterProbeOptions): BpfObject {
    using stack = new DisposableStack();
    const object = stack.use(BpfObject.open(this.#libbpf, "router", elf));
    for (const name of Object.keys(PROGRAMS)) object.setAutoload(name, programs.includes(name));
    for (const name of HELPERS) object.setAutoload(name, true);
    const { only } = options;
    const rodata = object.initialValue(".rodata");
    const seed = crypto.getRandomValues(new BigUint64Array(1))[0];
    const interval = options.rateLimit > 0 ? BigInt(Math.max(1, Math.round(1e9 / options.rateLimit))) : 0n;
    const events = only.events.length === 0
      ? options.sources
      : options.sources.filter((it) => only.events.includes(it));
    const rings = only.rings.length === 0 ? SHARED_RINGS : only.rings;
    const comm = new DataView(new ArrayBuffer(16));
    new Uint8Array(comm.buffer).set(new TextEncoder().encode(only.comm ?? "").subarray(0, 15));
    writeField(rodata, ROUTER_RODATA, "cpus", this.#cpus);
    writeField(rodata, ROUTER_RODATA, "syscall_rules", syscallRules(Deno.build.arch as Machine, events));
    writeField(rodata, ROUTER_RODATA, "watch_limits", events.includes("resource_limit"));
    writeField(rodata, ROUTER_RODATA, "rate_interval_ns", interval);
    writeField(rodata, ROUTER_RODATA, "hold_repeats", options.repeatSuppression);
    writeField(rodata, ROUTER_RODATA, "hash_seed", seed);
    writeField(rodata, ROUTER_RODATA, "isolate_pids", options.isolate.some(({ kind }) => kind === "pid"));
    writeField(rodata, ROUTER_RODATA, "isolate_cgroups", options.isolate.some(({ kind }) => kind === "cgroup"));
    const ringBits = rings.map((ring) => 1 << SHARED_RINGS.indexOf(ring)).reduce((bits, bit) => bits | bit, 0);
    writeField(rodata, ROUTER_RODATA, "only_rings", ringBits);
    writeField(rodata, ROUTER_RODATA, "filter_pid", only.pid !== null);
    writeField(rodata, ROUTER_RODATA, "only_pid", only.pid ?? 0);
    writeField(rodata, ROUTER_RODATA, "filter_uid", only.uid !== null);
    writeField(rodata, ROUTER_RODATA, "only_uid", only.uid ?? 0);
    writeField(rodata, ROUTER_RODATA, "filter_comm", only.comm !== null);
    writeField(rodata, ROUTER_RODATA, "only_comm", [comm.getBigUint64(0, true), comm.getBigUint64(8, true)]);
    object.setMaxEntries("counters", ROUTER_PROGRAM.ROUTER_PROGRAMS * this.#cpus);
    object.load();
    stack.move();
    return object;
  }

  /** A shared ring, in its place among `rings`: programs write to it when this returns. */
  #makeRing(index: number, wantedBytes: number): Ring {
    return this.#openRing(`ring_${SHARED_RINGS[index]}`, index, wantedBytes, (map) => {
      this.#object.map("rings").putInner(index, map);
    });
  }

  /** A ring that only the target's events go to. @throws {SystemError} when its cgroup does not exist */
  #makeIsolated(target: IsolateTarget, wantedBytes: number): Ring {
    const key = new DataView(new ArrayBuffer(ISOLATE_KEY.size));
    const isPid = target.kind === "pid";
    writeField(key, ISOLATE_KEY, "id", isPid ? BigInt(target.pid) : cgroupId(target.path));
    writeField(key, ISOLATE_KEY, "kind", isPid ? ISOLATE_KIND.ISOLATE_PID : ISOLATE_KIND.ISOLATE_CGROUP);
    return this.#openRing("ring_isolated", SHARED_RINGS.length, wantedBytes, (map) => {
      const fd = new Uint8Array(Int32Array.of(map.fd).buffer);
      this.#object.map("isolated_rings").update(new Uint8Array(key.buffer), fd);
    });
  }

  #openRing(name: string, epollIndex: number, wantedBytes: number, put: (map: BpfMap) => void): Ring {
    using stack = new DisposableStack();
    const entriesMax = ringSizeBytes(wantedBytes);
    const map = BpfMap.create(this.#libbpf, { name, type: MapType.ringbuf, keyBytes: 0, valueBytes: 0, entriesMax });
    stack.use(map);
    const reader = stack.use(new RingReader(map));
    this.#epoll.add(map.fd, epollIndex);
    put(map);
    stack.move();
    return { map, reader, consumedBefore: 0 };
  }

  #close(ring: Ring): void {
    ring.reader[Symbol.dispose]();
    ring.map[Symbol.dispose]();
  }

  /**
   * Attaches every loaded program.
   *
   * @throws {SystemError}
   */
  attach(): void {
    for (const name of this.#programs) {
      this.#links.push(new LibbpfLink(this.#libbpf, this.#object.programPointer(name), name));
    }
  }

  /** No event after this; what is in the rings can still be read. */
  detach(): void {
    for (const link of this.#links) link[Symbol.dispose]();
    this.#links = [];
  }

  /** Rings that there are: `isolated` only where somebody has one. */
  get ringNames(): readonly RingName[] {
    return this.#rings.length > SHARED_RINGS.length ? RINGS : SHARED_RINGS;
  }

  /** Returns when no program is at work that had started before. */
  fence(): void {
    this.#object.map("rings").putInner(0, this.#rings[0].map);
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
    for (const { map, reader, consumedBefore } of this.#ringsOf(ring)) {
      const { consumed, fill } = reader.stats;
      state.consumed += consumedBefore + consumed;
      state.fill = Math.max(state.fill, fill);
      state.capacityBytes += map.spec.entriesMax;
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
    const old = this.#rings[index];
    // putInner() returns when no program holds the old ring.
    const fresh = this.#makeRing(index, wantedBytes);
    this.#rings[index] = fresh;
    try {
      return old.reader.read(take);
    } finally {
      fresh.consumedBefore = old.consumedBefore + old.reader.stats.consumed;
      this.#close(old);
    }
  }

  /** Puts rules in force, all in one instant. @throws {RangeError} @returns their generation */
  setRules(rules: readonly SeverityRule[]): number {
    const side = readField(this.#globals, ROUTER_BSS, "rules_side") ^ 1;
    const compiled = compileRules(rules, side, this.#rulesGeneration + 1);
    // A program that took this side before the last switch may still be at it.
    this.fence();
    const values = this.#object.map("rule_values");
    const paths = this.#object.map("rule_paths");
    const previous = this.#ruleKeys[side];
    for (const { key } of previous.values) values.delete(key);
    for (const { key } of previous.paths) paths.delete(key);
    for (const { key, value } of compiled.values) values.update(key, value);
    for (const { key, value } of compiled.paths) paths.update(key, value);
    this.#ruleKeys[side] = compiled;
    this.#object.map("rule_sets").update(new Uint8Array(Uint32Array.of(side).buffer), compiled.set);
    writeField(this.#globals, ROUTER_BSS, "rules_side", side);
    return ++this.#rulesGeneration;
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
    const args = BigUint64Array.of(argument);
    const opts = rawRunOpts(args, cpu);
    const fd = this.#object.programFd(program);
    const result = this.#libbpf.symbols.bpf_prog_test_run_opts(fd, new Uint8Array(opts.buffer));
    if (result < 0 && cpu < 0) throw new SystemError(`run program "${program}"`, -result);
    return result < 0 ? -1 : opts.getInt32(56, true);
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
