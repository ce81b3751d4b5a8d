/**
 * What is known of processes, by pid: from exec and exit events, and from /proc. `find` answers from memory alone; what
 * the cache lacks, `refresh` looks up between two batches of events.
 */
import { type Container, NO_CONTAINER } from "./container.ts";
import { ContainerLookup } from "./container_lookup.ts";
import { Lru } from "./lru.ts";
import { createProcess } from "./process_codec.ts";
import type { ProcessInfo } from "./process_info.ts";
import type { ProcessFacts, ProcessSource } from "./process_source.ts";
import {
  describedAlike,
  hasOtherExe,
  hasOtherName,
  newProgram,
  type Program,
  ProgramChain,
  type ProgramVariant,
} from "./program_chain.ts";
import type { RecordedExec, RecordedProcess } from "./recorded_process.ts";
import type { Users } from "./users.ts";
import { WaitingSet } from "./waiting_set.ts";

export interface CacheStats {
  /** Events whose process was known from /proc or an exec event, and the other events. */
  hits: number;
  misses: number;
  /** Share of hits, 0 to 1; 1 before the first event. */
  hitRatio: number;
  /** Pids in the cache, and pids that were evicted to make room for others. */
  entries: number;
  evictions: number;
  /** Times that a pid was found to be another process than before. */
  stale: number;
  /** Processes looked up in /proc, and those that were not found. */
  lookups: number;
  failures: number;
  /** Pids and cgroups that wait for a look-up, and how often one was left out because too many waited. */
  waiting: number;
  refused: number;
}

export interface ProcessCacheOptions {
  /** Pids that the cache holds. An entry takes about a kilobyte. */
  entriesMax?: number;
  /** Pids that wait for a look-up, and as many cgroups. */
  waitingMax?: number;
}

/**
 * A process still causes events after its exit event: it closes its sockets then, and other threads may outlive the
 * first. The kernel gives a pid to a new process only after all other pids, which takes longer than this.
 */
const AFTERLIFE_NS = 1e9;
/** A look-up that found nothing is repeated after this time at the earliest. */
const RETRY_NS = 10e9;
/** A known process is looked up again after this time: rules may leave out exec and exit events, and they may be lost. */
const RECHECK_NS = 60e9;
/** Variants that are kept of one program: more come from threads that change their uid one by one. */
const VARIANTS_MAX = 4;

/** No process has this pid. */
const NO_PID = -1;

export class ProcessCache {
  readonly #source: ProcessSource;
  readonly #users: Users;
  readonly #containers: ContainerLookup;
  readonly #chains: Lru<number, ProgramChain>;
  readonly #waitingPids: WaitingSet<number>;
  /** The pid of the last event and its chain: most events come in runs of one process. */
  #lastPid = NO_PID;
  #lastChain: ProgramChain | undefined;
  #hits = 0;
  #misses = 0;
  #stale = 0;
  #lookups = 0;
  #failures = 0;

  constructor(source: ProcessSource, users: Users, options: ProcessCacheOptions = {}) {
    this.#source = source;
    this.#users = users;
    const { entriesMax = 32_768, waitingMax = 8192 } = options;
    this.#chains = new Lru(entriesMax);
    this.#waitingPids = new WaitingSet(waitingMax);
    this.#containers = new ContainerLookup(source, waitingMax);
  }

  /** Adds every process that exists now. @param nowNs CLOCK_MONOTONIC */
  fill(nowNs: number): void {
    this.#users.refresh(nowNs);
    const programs: Program[] = [];
    for (const pid of this.#source.list()) {
      const facts = this.#read(pid);
      if (facts !== null) programs.push(this.#addFromProc(facts));
    }
    // A child may come before its parent.
    for (const program of programs) program.parentName = this.#parentName(program);
  }

  /** What is known of the process that caused an event; null where nothing is: then `meet` adds it. */
  find(pid: number, tsNs: number, uid: number, cgroupId: number): ProcessInfo | null {
    if (pid !== this.#lastPid) {
      this.#lastChain = this.#chains.get(pid);
      this.#lastPid = pid;
    }
    const chain = this.#lastChain;
    if (chain === undefined) return null;
    const { latest } = chain;
    const program = tsNs >= latest.fromNs && tsNs <= latest.untilNs ? latest : chain.at(tsNs);
    if (program === null) return null;
    if (program.knowledge === "event") this.#misses++;
    else this.#hits++;
    if (tsNs > program.recheckNs && program === latest) this.#waitingPids.add(pid);
    const variant = program.variants[0];
    return variant !== undefined && variant.cgroupId === cgroupId && variant.info.uid === uid
      ? variant.info
      : this.#describe(program, tsNs, uid, cgroupId);
  }

  /**
   * What is known of a process at a time, for a record that has only the process's number.
   *
   * @returns the process's name, and the variant that the last record showed, null where no record has; null for a
   * process that is not in the cache
   */
  recall(pid: number, tsNs: number): { name: string; variant: ProgramVariant | null } | null {
    const program = this.#chains.peek(pid)?.at(tsNs) ?? null;
    return program === null ? null : { name: program.name, variant: program.variants[0] ?? null };
  }

  /** Adds a process that `find` did not know, with what its record tells; the next `refresh` looks it up. */
  meet({ pid, tsNs, uid, cgroupId, comm }: RecordedProcess): ProcessInfo {
    this.#misses++;
    const before = this.#chains.peek(pid)?.lastBefore(tsNs) ?? null;
    const program = newProgram({
      pid,
      knowledge: "event",
      // Where a process before it has ended, the new one begins at that end.
      fromNs: before === null ? 0 : before.untilNs,
      seenNs: tsNs,
      name: comm,
    });
    this.#insert(program);
    this.#waitingPids.add(pid);
    return this.#describe(program, tsNs, uid, cgroupId);
  }

  /** Notes that a process runs another program from `tsNs` on. */
  exec({ pid, tsNs, cgroupId, comm, ppid, filename }: RecordedExec): void {
    let before = this.#chains.peek(pid)?.at(tsNs) ?? null;
    if (before !== null && tsNs > before.untilNs - AFTERLIFE_NS) {
      // The dead do not call exec.
      this.#stale++;
      before = null;
    }
    // A batch that is tried again.
    if (before !== null && before.knowledge === "exec" && before.fromNs === tsNs) return;
    // /proc was read when it ran this program already, its exec event being still on its way.
    if (before !== null && before.knowledge === "proc" && before.readNs >= tsNs && before.name === comm) {
      before.knowledge = "exec";
      before.fromNs = tsNs;
      return;
    }
    const program = newProgram({ pid, knowledge: "exec", fromNs: tsNs, seenNs: tsNs, name: comm });
    // Where the kernel does not tell the parent, it is still the parent from before.
    program.ppid = ppid === 0 ? before?.ppid ?? 0 : ppid;
    program.exe = this.#executable(program, before, filename);
    program.startNs = before?.startNs ?? 0;
    // Its exit may have been read before.
    program.untilNs = before?.untilNs ?? Infinity;
    program.parentName = this.#parentName(program);
    program.container = this.#inherited(program, before, cgroupId);
    this.#insert(program);
    this.#waitingPids.add(pid);
  }

  /** Notes that a process ended. The cache keeps it, because some of its events may not have been read yet. */
  exit(pid: number, tsNs: number): void {
    const chain = this.#chains.peek(pid);
    const program = chain?.at(tsNs) ?? null;
    if (chain === undefined || program === null) return;
    program.untilNs = Math.min(program.untilNs, tsNs + AFTERLIFE_NS);
    this.#stale += chain.separateLater(program);
  }

  /**
   * Looks up what recent events lacked. It reads files, and is therefore called between two batches.
   *
   * @param looksMax the most processes that it looks up, and the most cgroups: neither keeps the other waiting
   * @param nowNs CLOCK_MONOTONIC
   * @returns look-ups that were made
   */
  refresh(looksMax: number, nowNs: number): number {
    if (this.#users.refresh(nowNs)) this.#forgetVariants();
    const cgroups = this.#containers.refresh(looksMax, nowNs);
    // Rare: a container's first events.
    if (cgroups.containers > 0) this.#forgetVariants();
    let looks = 0;
    for (const pid of this.#waitingPids) {
      if (looks >= looksMax) break;
      this.#waitingPids.delete(pid);
      // A process that was evicted would only evict another one.
      const chain = this.#chains.peek(pid);
      if (chain === undefined) continue;
      const before = this.#lookups;
      this.#look(chain, nowNs);
      looks += this.#lookups - before;
    }
    return cgroups.looks + looks;
  }

  stats(): CacheStats {
    const events = this.#hits + this.#misses;
    return {
      hits: this.#hits,
      misses: this.#misses,
      hitRatio: events === 0 ? 1 : this.#hits / events,
      entries: this.#chains.size,
      evictions: this.#chains.evictions,
      stale: this.#stale,
      lookups: this.#lookups,
      failures: this.#failures,
      waiting: this.#waitingPids.size + this.#containers.waiting,
      refused: this.#waitingPids.refused + this.#containers.refused,
    };
  }

  #read(pid: number): ProcessFacts | null {
    this.#lookups++;
    const facts = this.#source.read(pid);
    if (facts === null) this.#failures++;
    return facts;
  }

  #addFromProc(facts: ProcessFacts): Program {
    const { pid, startNs, readNs, name, ppid, exe } = facts;
    const program = newProgram({ pid, knowledge: "proc", fromNs: startNs, seenNs: readNs, name });
    program.startNs = startNs;
    program.readNs = readNs;
    program.recheckNs = readNs + RECHECK_NS;
    program.ppid = ppid;
    program.exe = exe;
    program.container = this.#containers.ofProcess(facts.cgroups);
    this.#insert(program);
    return program;
  }

  #look(chain: ProgramChain, nowNs: number): void {
    const program = chain.latest;
    const facts = this.#read(chain.pid);
    const ppid = facts?.ppid ?? program.ppid;
    if (ppid > 0 && this.#chains.peek(ppid) === undefined) this.#lookAtParent(ppid);
    const isRecheck = program.recheckNs > 0;
    program.retryNs = nowNs + RETRY_NS;
    program.recheckNs = nowNs + (facts === null ? RETRY_NS : RECHECK_NS);
    if (facts !== null && facts.startNs > program.seenNs) {
      // The process that was seen had ended before this one started.
      program.untilNs = Math.min(program.untilNs, facts.startNs);
      this.#addLater(facts);
      return;
    }
    // An exec event would have been read by now: it was left out or lost.
    if (facts !== null && (hasOtherExe(program, facts) || isRecheck && hasOtherName(program, facts))) {
      this.#stale++;
      // The new program counts from the last time at which the old one was seen.
      this.#addLater({ ...facts, startNs: program.readNs || program.seenNs }).startNs = facts.startNs;
      return;
    }
    const before = { ...program };
    if (facts !== null) this.#learn(program, facts);
    if (program.parentName === "" || program.ppid !== before.ppid) program.parentName = this.#parentName(program);
    program.exe ||= this.#forkedExe(program);
    if (!describedAlike(before, program)) program.variants = [];
  }

  #addLater(facts: ProcessFacts): Program {
    const program = this.#addFromProc(facts);
    program.parentName = this.#parentName(program);
    program.exe ||= this.#forkedExe(program);
    return program;
  }

  #lookAtParent(ppid: number): void {
    const facts = this.#read(ppid);
    if (facts === null) return;
    const parent = this.#addFromProc(facts);
    parent.parentName = this.#parentName(parent);
  }

  /** Adds facts to a program; they are of the same process, but perhaps of a program that it ran later. */
  #learn(program: Program, facts: ProcessFacts): void {
    program.startNs = facts.startNs;
    program.seenNs = facts.readNs;
    const container = this.#containers.ofProcess(facts.cgroups);
    if (container !== NO_CONTAINER) program.container = container;
    if (program.knowledge === "exec" && program.name !== facts.name) return;
    program.readNs = facts.readNs;
    if (facts.exe !== "") program.exe = facts.exe;
    if (program.knowledge === "exec") return;
    program.knowledge = "proc";
    program.fromNs = facts.startNs;
    program.name = facts.name;
    program.ppid = facts.ppid;
  }

  /**
   * A new program's container where its cgroup does not tell it: on a host that does not use cgroup2 every process is in
   * the root of cgroup2, and only /proc knows the other hierarchies. A process keeps its cgroups over an exec, and a child
   * begins in its parent's cgroups.
   */
  #inherited(program: Program, before: Program | null, cgroupId: number): Container {
    if (!this.#containers.isRoot(cgroupId)) return NO_CONTAINER;
    if (before !== null && before.container !== NO_CONTAINER) return before.container;
    return this.#parentOf(program)?.container ?? NO_CONTAINER;
  }

  /** The path that was given to execve(2); empty where it means something else to other processes. */
  #executable(program: Program, before: Program | null, filename: string): string {
    // A process that starts itself again, or its own program in a child.
    if (filename === "/proc/self/exe") return (before ?? this.#parentOf(program))?.exe ?? "";
    return filename.startsWith("/") && !filename.startsWith("/proc/self/") && !filename.startsWith("/dev/fd/")
      ? filename
      : "";
  }

  #parentOf({ ppid, fromNs, seenNs }: Program): Program | null {
    const parent = ppid === 0 ? undefined : this.#chains.peek(ppid);
    return parent?.at(fromNs) ?? parent?.at(seenNs) ?? null;
  }

  #parentName(program: Program): string {
    return this.#parentOf(program)?.name ?? "";
  }

  /**
   * The executable of a child that has not called exec: it runs its parent's program under the parent's name. For a
   * process whose own link in /proc could not be read.
   */
  #forkedExe(program: Program): string {
    const parent = this.#parentOf(program);
    return parent !== null && parent.name === program.name && program.knowledge === "proc" ? parent.exe : "";
  }

  /** What is known of a program, for a record with this uid and cgroup. */
  #describe(program: Program, tsNs: number, uid: number, cgroupId: number): ProcessInfo {
    const { variants } = program;
    const known = variants.findIndex((variant) => variant.cgroupId === cgroupId && variant.info.uid === uid);
    if (known >= 0) {
      const [variant] = variants.splice(known, 1);
      variants.unshift(variant);
      return variant.info;
    }
    // A process whose uid or cgroup is new may be another process, whose start no event told.
    if (variants.length > 0 && tsNs > program.retryNs) this.#waitingPids.add(program.pid);
    const container = this.#containers.ofCgroup(cgroupId);
    const { containerId, podUid } = container === NO_CONTAINER ? program.container : container;
    const info = createProcess({
      pid: program.pid,
      startNs: program.startNs,
      name: program.name,
      ppid: program.ppid,
      parentName: program.parentName,
      exe: program.exe,
      uid,
      user: this.#users.nameOf(uid),
      containerId,
      podUid,
    });
    variants.unshift({ cgroupId, info });
    if (variants.length > VARIANTS_MAX) variants.pop();
    return info;
  }

  #forgetVariants(): void {
    for (const chain of this.#chains.values()) chain.forgetVariants();
  }

  #insert(program: Program): void {
    const chain = this.#chains.get(program.pid);
    if (chain !== undefined) {
      if (chain.insert(program)) this.#stale++;
      return;
    }
    this.#chains.set(program.pid, new ProgramChain(program));
    // The last event's pid may be the one that was added, or the one that was evicted.
    this.#lastPid = NO_PID;
  }
}
