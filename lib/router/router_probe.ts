/**
 * The router in the kernel: its loaded programs with the rings, rules and counters that belong to them. Router
 * settings, rings, rules and counters each have a module of their own (router_settings.ts, router_rings.ts,
 * rule_tables.ts, router_counters.ts); this one loads them together.
 */
import type { EventType } from "../events/event.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { LibbpfLinks } from "../ffi/bpf_link.ts";
import type { BpfObject } from "../ffi/bpf_object.ts";
import { RcuFence } from "../ffi/double_buffer_slot.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import type { Mapping } from "../ffi/libc.ts";
import { runRaw } from "../ffi/test_run.ts";
import { type HeldByPid, readHeldByPid, readRouterCounters, type RouterCounters } from "./router_counters.ts";
import { type LackingSource, loadRouter, type RouterElfs } from "./router_programs.ts";
import { RouterRings } from "./router_rings.ts";
import { type RouterProbeOptions, routerSettings } from "./router_settings.ts";
import { RuleTables } from "./rule_tables.ts";

/** `flush_repeats` refuses while the CPU that it interrupts is holding an event back, which takes less than 1 µs. */
const FLUSH_TRIES_MAX = 100;

export class RouterProbe implements Disposable {
  /** Sources that at least one loaded program serves. */
  readonly sources: readonly EventType[];
  /** Source to how it is watched, as text for people. */
  readonly ways: ReadonlyMap<EventType, string>;
  /** Source to what its events lack on this kernel; a source whose events lack nothing has no entry. */
  readonly limits: ReadonlyMap<EventType, string>;
  /** Sources of which not everything is watched. */
  readonly lacking: readonly LackingSource[];
  /** What events lack on this kernel, and what is not watched; one line each. */
  readonly notices: readonly string[];
  readonly rings: RouterRings;
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #programs: readonly string[];
  readonly #counters: Mapping;
  readonly #cpus: number;
  readonly #links: LibbpfLinks;
  readonly #fence: RcuFence;
  readonly #rules: RuleTables;
  readonly #rateLimit: number;

  /**
   * Loads the programs, makes the rings and puts the rules in force. Attaches to nothing: `attach` does.
   *
   * @throws {PrivilegeError}
   * @throws {UnsupportedError} when the kernel takes none of the programs
   */
  constructor(libbpf: Libbpf, elfs: RouterElfs, options: RouterProbeOptions) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#cpus = libbpf.symbols.libbpf_num_possible_cpus();
    const loaded = loadRouter(libbpf, elfs, options.sources, routerSettings(options, this.#cpus));
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
    this.rings = stack.use(new RouterRings(libbpf, object, options));
    this.#run("identify", 0n, -1);
    this.setRules(options);
    this.#owned = stack.move();
  }

  /**
   * Attaches every loaded program.
   *
   * @throws {SystemError}
   */
  attach(): void {
    this.#links.attach(this.#programs);
  }

  /** Detaches every program. No event is made after this; events that are in the rings can still be read. */
  detach(): void {
    this.#links.detach();
  }

  /** Returns when every program that was running at the time of the call has ended. */
  fence(): void {
    this.#fence.wait();
  }

  /**
   * Puts a rule set in force, all of it in one instant: each event is judged by one rule set and carries the generation
   * of that set.
   *
   * @returns the generation
   * @throws {RangeError} when the maps have no room for the rules
   * @throws {SystemError} when a cgroup does not exist. After any error the old rules stay in force
   */
  setRules(ruleSet: RuleSet): number {
    return this.#rules.set(ruleSet, this.#rateLimit);
  }

  /**
   * Has the kernel send the events that repeat suppression holds back.
   *
   * @param all true for all of them, false for those that are held for longer than a second
   */
  flushRepeats(all: boolean): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      for (let tries = 0; tries < FLUSH_TRIES_MAX && this.#run("flush_repeats", all ? 1n : 0n, cpu) === 1; tries++);
    }
  }

  /** Runs a raw tracepoint program once. @param cpu where, or -1 for here @returns its result; -1 on an offline CPU */
  #run(program: string, argument: bigint, cpu: number): number {
    return runRaw(this.#libbpf, this.#object.programFd(program), argument, cpu) ?? -1;
  }

  /** See readRouterCounters(). */
  counters(): RouterCounters {
    return readRouterCounters(this.#counters.buffer, this.#cpus);
  }

  /** See readHeldByPid(). */
  held(): HeldByPid {
    return readHeldByPid(this.#libbpf, this.#object.map("held"));
  }

  [Symbol.dispose](): void {
    this.detach();
    this.#owned[Symbol.dispose]();
  }
}
