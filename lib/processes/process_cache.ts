/**
 * What is known of processes, by pid: from exec and exit events, and from /proc. It answers from memory alone; what it
 * lacks it looks up between two batches (`refresh`).
 *
 * A pid is many programs, one after another: each exec begins one, and the kernel hands the pid of a dead process out
 * again. Records come through several rings, so that an event may be read after the exec or exit that followed it. So an
 * entry is a chain of programs, latest first, each with the time span in which the pid was that program; an event gets
 * the one of its own time.
 */
import { type Container, containerOfPath, containerOfProcess, NO_CONTAINER } from "./container.ts";
import { Lru } from "./lru.ts";
import { createProcess } from "./process_codec.ts";
import type { ProcessInfo } from "./process_info.ts";
import type { Users } from "./users.ts";

/** A process as /proc has it now; its uid is in each record. Times are on the events' clock. */
export interface ProcessFacts {
  pid: number;
  /** Not later than the process's true start. */
  startNs: number;
  /** When it was read. */
  readNs: number;
  name: string;
  ppid: number;
  /** Empty for kernel threads, and where the link cannot be read. */
  exe: string;
  /** Text of /proc/PID/cgroup. */
  cgroups: string;
}

/** Where facts come from: lib/processes/proc_source.ts, or a fake. */
export interface ProcessSource {
  list(): Iterable<number>;
  /** null for a process that is not there. */
  read(pid: number): ProcessFacts | null;
  /**
   * Below the mount of cgroup2, `/` for its root; null for a cgroup that is not there, undefined while that is not known:
   * then it is to be asked again.
   */
  cgroupPath(cgroupId: bigint): string | null | undefined;
}

/** What each record says of the process that caused it. */
export interface Sighting {
  pid: number;
  tsNs: number;
  uid: number;
  /** Exact below 2^53; the kernel numbers cgroups from 1 on. */
  cgroupId: number;
  comm: string;
}

/** What a process_exec record says besides; `filename` as it was given to execve(2). */
export interface ExecSighting extends Sighting {
  ppid: number;
  filename: string;
}

export interface CacheStats {
  /** Events answered with what /proc or an exec event told, and the others. */
  hits: number;
  misses: number;
  /** Share of hits, 0 to 1; 1 before the first event. */
  hitRatio: number;
  /** Pids in it, and those that made room for others. */
  entries: number;
  evictions: number;
  /** Times that a pid was found to be another process than before. */
  stale: number;
  /** Looks at /proc, and those that found nothing. */
  lookups: number;
  failures: number;
  /** Pids that wait for a look, and how often there was no room to wait. */
  waiting: number;
  refused: number;
}

export interface ProcessCacheOptions {
  /** Pids it holds. An entry takes about a kilobyte. */
  entriesMax?: number;
  /** Pids and cgroups that wait for a look. */
  waitingMax?: number;
}

/**
 * A process still causes events after its exit event: it closes its sockets then, and other threads may outlive the
 * first. The kernel hands a pid out again only after all others, which takes longer than this.
 */
const AFTERLIFE_NS = 1e9;
/** A look that found nothing is not repeated sooner. */
const RETRY_NS = 10e9;
/** What is known is looked at again no sooner: exec and exit events may be left out by rules, or lost. */
const RECHECK_NS = 60e9;
/** Programs that are kept of a pid: a shell's exec chain, and late events of the process before. */
const PROGRAMS_MAX = 4;
/** Kept of one program: more come from threads that change their uid one by one. */
const FACES_MAX = 4;
const CGROUPS_MAX = 8192;
/** A cgroup that is not found may be newer than the source's knowledge, which is a second old at most. */
const CGROUP_RETRY_NS = 2e9;
/** Where the source is still looking: it is asked again and again, and takes little time for each answer. */
const CGROUP_UNKNOWN_RETRY_NS = 20e6;
const CGROUP_TRIES_MAX = 3;
const CGROUP_TEXTS_MAX = 1024;

/** How a program became known: by an event that is not its exec, by its exec event, from /proc. */
type Knowledge = "sighting" | "exec" | "proc";

/** A program with the uid and cgroup that records of it had; both may change while it runs. */
export interface Face {
  cgroupId: number;
  info: ProcessInfo;
}

interface Program {
  pid: number;
  knowledge: Knowledge;
  /** The pid is this program from here on. */
  fromNs: number;
  /** It is not any more after this; Infinity as long as nothing says so. */
  untilNs: number;
  /** A time at which it ran for sure: a process that started later is another. */
  seenNs: number;
  /** When /proc was read for it; 0 for never. */
  readNs: number;
  /** No further look before this. */
  retryNs: number;
  /** It is looked at again after this, though nothing speaks against what is known. */
  recheckNs: number;
  startNs: number;
  name: string;
  ppid: number;
  parentName: string;
  exe: string;
  /** As /proc has it, or the process it came from; a record's cgroup goes before it. */
  container: Container;
  /** The last one that was asked for comes first. */
  faces: Face[];
  previous: Program | null;
}

/** What was found out about a cgroup. */
interface Cgroup {
  container: Container;
  isRoot: boolean;
  tries: number;
  retryNs: number;
}

interface Entry {
  pid: number;
  latest: Program;
}

const NOBODY = -1;

export class ProcessCache {
  readonly #source: ProcessSource;
  readonly #users: Users;
  readonly #entries: Lru<number, Entry>;
  readonly #waitingMax: number;
  readonly #waitingPids = new Set<number>();
  readonly #waitingCgroups = new Set<number>();
  readonly #cgroups = new Lru<number, Cgroup>(CGROUPS_MAX);
  /** Processes of one service have the same text. */
  readonly #containersByText = new Lru<string, Container>(CGROUP_TEXTS_MAX);
  /** Of the last event: most events come in runs of one process. */
  #lastPid = NOBODY;
  #lastEntry: Entry | undefined;
  #hits = 0;
  #misses = 0;
  #stale = 0;
  #lookups = 0;
  #failures = 0;
  #refused = 0;

  constructor(source: ProcessSource, users: Users, options: ProcessCacheOptions = {}) {
    this.#source = source;
    this.#users = users;
    this.#entries = new Lru(options.entriesMax ?? 32_768);
    this.#waitingMax = options.waitingMax ?? 8192;
  }

  /** Takes in every process there is. @param nowNs on the events' clock */
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

  /** What is known of the process that caused an event; null before `meet` has told of it. */
  find(pid: number, tsNs: number, uid: number, cgroupId: number): ProcessInfo | null {
    if (pid !== this.#lastPid) {
      this.#lastEntry = this.#entries.get(pid);
      this.#lastPid = pid;
    }
    const entry = this.#lastEntry;
    if (entry === undefined) return null;
    const { latest } = entry;
    const program = tsNs >= latest.fromNs && tsNs <= latest.untilNs ? latest : programAt(entry, tsNs);
    if (program === null) return null;
    if (program.knowledge === "sighting") this.#misses++;
    else this.#hits++;
    if (tsNs > program.recheckNs && program === latest) this.#want(pid);
    const face = program.faces[0];
    return face !== undefined && face.cgroupId === cgroupId && face.info.uid === uid
      ? face.info
      : this.#faceOf(program, tsNs, uid, cgroupId);
  }

  /**
   * What is known of a process at a time, for a record that has only its number.
   *
   * @returns its name, and how the last record of it showed it; null when nothing is known but that it was there
   */
  recall(pid: number, tsNs: number): { name: string; face: Face | null } | null {
    const entry = this.#entries.peek(pid);
    const program = entry === undefined ? null : programAt(entry, tsNs);
    return program === null ? null : { name: program.name, face: program.faces[0] ?? null };
  }

  /** Takes in a process that `find` did not know, with what the record has; it is looked up at the next `refresh`. */
  meet(sighting: Sighting): ProcessInfo {
    const { pid, tsNs, uid, cgroupId, comm } = sighting;
    this.#misses++;
    const entry = this.#entries.peek(pid);
    const before = entry === undefined ? null : lastBefore(entry, tsNs);
    const program = newProgram({
      pid,
      knowledge: "sighting",
      // With a dead one before it, it begins behind that one's end.
      fromNs: before === null ? 0 : before.untilNs,
      seenNs: tsNs,
      name: comm,
    });
    this.#insert(program);
    this.#want(pid);
    return this.#faceOf(program, tsNs, uid, cgroupId);
  }

  /** A process runs another program from `tsNs` on. */
  exec(sighting: ExecSighting): void {
    const { pid, tsNs, cgroupId, comm, ppid, filename } = sighting;
    const entry = this.#entries.peek(pid);
    let before = entry === undefined ? null : programAt(entry, tsNs);
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
    // Where the kernel does not tell, it is still the one that it was.
    program.ppid = ppid === 0 ? before?.ppid ?? 0 : ppid;
    program.exe = this.#executable(program, before, filename);
    program.startNs = before?.startNs ?? 0;
    // Its exit may have been read before.
    program.untilNs = before?.untilNs ?? Infinity;
    program.parentName = this.#parentName(program);
    program.container = this.#inherited(program, before, cgroupId);
    this.#insert(program);
    this.#want(pid);
  }

  /** A process ended. It stays known: events of it are still to be read. */
  exit(pid: number, tsNs: number): void {
    const entry = this.#entries.peek(pid);
    if (entry === undefined) return;
    const program = programAt(entry, tsNs);
    if (program === null) return;
    program.untilNs = Math.min(program.untilNs, tsNs + AFTERLIFE_NS);
    // What came later was taken for the same process.
    for (let later = entry.latest; later !== program; later = later.previous!) {
      if (later.startNs === 0 || later.startNs !== program.startNs) continue;
      this.#stale++;
      later.startNs = 0;
      later.container = NO_CONTAINER;
      later.faces = [];
    }
  }

  /**
   * Looks up what recent events lacked. For the time between two batches: it reads files.
   *
   * @param looksMax processes it looks for at most, and cgroups: neither keeps the other waiting
   * @param nowNs on the events' clock
   * @returns looks that it took
   */
  refresh(looksMax: number, nowNs: number): number {
    if (this.#users.refresh(nowNs)) this.#forgetFaces();
    let asked = 0, looks = 0, containers = 0;
    for (const cgroupId of this.#waitingCgroups) {
      if (asked >= looksMax) break;
      if ((this.#cgroups.peek(cgroupId)?.retryNs ?? 0) > nowNs) continue;
      asked++;
      if (this.#resolveCgroup(cgroupId, nowNs) !== NO_CONTAINER) containers++;
    }
    // Rare: a container's first events.
    if (containers > 0) this.#forgetFaces();
    for (const pid of this.#waitingPids) {
      if (looks >= looksMax) break;
      this.#waitingPids.delete(pid);
      // One that had to make room would only make another do so.
      const entry = this.#entries.peek(pid);
      if (entry === undefined) continue;
      const before = this.#lookups;
      this.#look(entry, nowNs);
      looks += this.#lookups - before;
    }
    return asked + looks;
  }

  stats(): CacheStats {
    const events = this.#hits + this.#misses;
    return {
      hits: this.#hits,
      misses: this.#misses,
      hitRatio: events === 0 ? 1 : this.#hits / events,
      entries: this.#entries.size,
      evictions: this.#entries.evictions,
      stale: this.#stale,
      lookups: this.#lookups,
      failures: this.#failures,
      waiting: this.#waitingPids.size + this.#waitingCgroups.size,
      refused: this.#refused,
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
    program.container = this.#containerOf(facts);
    this.#insert(program);
    return program;
  }

  #look(entry: Entry, nowNs: number): void {
    const program = entry.latest;
    const facts = this.#read(entry.pid);
    const ppid = facts?.ppid ?? program.ppid;
    if (ppid > 0 && this.#entries.peek(ppid) === undefined) this.#lookAtParent(ppid);
    const isRecheck = program.recheckNs > 0;
    program.retryNs = nowNs + RETRY_NS;
    program.recheckNs = nowNs + (facts === null ? RETRY_NS : RECHECK_NS);
    if (facts !== null && facts.startNs > program.seenNs) {
      // The process that was seen had ended before this one started.
      program.untilNs = Math.min(program.untilNs, facts.startNs);
      this.#addLater(facts);
      return;
    }
    // The event of an exec is not late for so long: there is none.
    if (facts !== null && (isOther(program, facts) || isRecheck && isNamedAnew(program, facts))) {
      this.#stale++;
      // From the last time on at which it was the one before.
      this.#addLater({ ...facts, startNs: program.readNs || program.seenNs }).startNs = facts.startNs;
      return;
    }
    const before = { ...program };
    if (facts !== null) this.#learn(program, facts);
    if (program.parentName === "" || program.ppid !== before.ppid) program.parentName = this.#parentName(program);
    program.exe ||= this.#forkedExe(program);
    if (!shownAlike(before, program)) program.faces = [];
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

  /** Facts are of the process that `program` is of, but perhaps of a program that it ran later. */
  #learn(program: Program, facts: ProcessFacts): void {
    program.startNs = facts.startNs;
    program.seenNs = facts.readNs;
    const container = this.#containerOf(facts);
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

  #containerOf({ cgroups }: ProcessFacts): Container {
    let container = this.#containersByText.get(cgroups);
    if (container === undefined) {
      container = containerOfProcess(cgroups);
      this.#containersByText.set(cgroups, container);
    }
    return container;
  }

  #resolveCgroup(cgroupId: number, nowNs: number): Container {
    const path = this.#source.cgroupPath(BigInt(cgroupId));
    const tries = (path === undefined ? 0 : 1) + (this.#cgroups.peek(cgroupId)?.tries ?? 0);
    const container = typeof path === "string" ? containerOfPath(path) : NO_CONTAINER;
    const retryNs = nowNs + (path === undefined ? CGROUP_UNKNOWN_RETRY_NS : CGROUP_RETRY_NS);
    this.#cgroups.set(cgroupId, { container, isRoot: path === "/", tries, retryNs });
    if (path === undefined) {
      // Behind those that were not asked for yet.
      this.#waitingCgroups.delete(cgroupId);
      this.#waitingCgroups.add(cgroupId);
    }
    // The kernel does not use an id twice: what is gone stays gone.
    if (typeof path === "string" || tries === CGROUP_TRIES_MAX) this.#waitingCgroups.delete(cgroupId);
    return container;
  }

  /**
   * A new program's container as far as its cgroup does not tell: where cgroup2 places nothing, everything is in its
   * root, and only /proc knows the other hierarchies. A process keeps its cgroups over an exec, a child has its parent's.
   */
  #inherited(program: Program, before: Program | null, cgroupId: number): Container {
    if (this.#cgroups.peek(cgroupId)?.isRoot !== true) return NO_CONTAINER;
    if (before !== null && before.container !== NO_CONTAINER) return before.container;
    return this.#parentOf(program)?.container ?? NO_CONTAINER;
  }

  /** What execve(2) was given, where it is a path that means the same to everybody. */
  #executable(program: Program, before: Program | null, filename: string): string {
    // A process that starts itself again, or its own program in a child.
    if (filename === "/proc/self/exe") return (before ?? this.#parentOf(program))?.exe ?? "";
    return filename.startsWith("/") && !filename.startsWith("/proc/self/") && !filename.startsWith("/dev/fd/")
      ? filename
      : "";
  }

  #parentOf({ ppid, fromNs, seenNs }: Program): Program | null {
    const parent = ppid === 0 ? undefined : this.#entries.peek(ppid);
    return parent === undefined ? null : programAt(parent, fromNs) ?? programAt(parent, seenNs);
  }

  #parentName(program: Program): string {
    return this.#parentOf(program)?.name ?? "";
  }

  /** A child that has not called exec runs its parent's program under its name; its own link goes before it does. */
  #forkedExe(program: Program): string {
    const parent = this.#parentOf(program);
    return parent !== null && parent.name === program.name && program.knowledge === "proc" ? parent.exe : "";
  }

  /** The program as a record with this uid and cgroup shows it. */
  #faceOf(program: Program, tsNs: number, uid: number, cgroupId: number): ProcessInfo {
    const { faces } = program;
    const known = faces.findIndex((face) => face.cgroupId === cgroupId && face.info.uid === uid);
    if (known >= 0) {
      const [face] = faces.splice(known, 1);
      faces.unshift(face);
      return face.info;
    }
    // A process whose uid or cgroup is new may be another one whose beginning nobody saw.
    if (faces.length > 0 && tsNs > program.retryNs) this.#want(program.pid);
    const cgroup = this.#cgroups.get(cgroupId);
    if (cgroup === undefined) this.#wantCgroup(cgroupId);
    const { containerId, podUid } = cgroup === undefined || cgroup.container === NO_CONTAINER
      ? program.container
      : cgroup.container;
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
    faces.unshift({ cgroupId, info });
    if (faces.length > FACES_MAX) faces.pop();
    return info;
  }

  #forgetFaces(): void {
    for (const { latest } of this.#entries.values()) {
      for (let program: Program | null = latest; program !== null; program = program.previous) program.faces = [];
    }
  }

  /** Puts a program where its time is among those of its pid, and keeps the latest of them. */
  #insert(program: Program): void {
    const entry = this.#entries.get(program.pid);
    if (entry === undefined) {
      this.#entries.set(program.pid, { pid: program.pid, latest: program });
      // What has just been asked for and was not there is there now; what made room is not.
      this.#lastPid = NOBODY;
      return;
    }
    if (program.fromNs >= entry.latest.fromNs) {
      if (entry.latest.untilNs < program.seenNs) this.#stale++;
      program.previous = entry.latest;
      entry.latest = program;
    } else {
      let later = entry.latest;
      while (later.previous !== null && later.previous.fromNs > program.fromNs) later = later.previous;
      program.previous = later.previous;
      later.previous = program;
    }
    let last = entry.latest;
    for (let kept = 1; last.previous !== null && kept < PROGRAMS_MAX; kept++) last = last.previous;
    last.previous = null;
  }

  #want(pid: number): void {
    if (this.#waitingPids.size < this.#waitingMax) this.#waitingPids.add(pid);
    else if (!this.#waitingPids.has(pid)) this.#refused++;
  }

  #wantCgroup(cgroupId: number): void {
    if (this.#waitingCgroups.size < this.#waitingMax) this.#waitingCgroups.add(cgroupId);
    else if (!this.#waitingCgroups.has(cgroupId)) this.#refused++;
  }
}

function newProgram(known: Pick<Program, "pid" | "knowledge" | "fromNs" | "seenNs" | "name">): Program {
  return {
    ...known,
    untilNs: Infinity,
    readNs: 0,
    retryNs: 0,
    recheckNs: 0,
    startNs: 0,
    ppid: 0,
    parentName: "",
    exe: "",
    container: NO_CONTAINER,
    faces: [],
    previous: null,
  };
}

/** Whether /proc shows another program than it did, of whose exec no event told; threads and uids may have changed. */
function isOther({ readNs, exe }: Program, facts: ProcessFacts): boolean {
  // The kernel marks an executable that was replaced on disk.
  const path = (text: string) => text.replace(/ \(deleted\)$/, "");
  return readNs > 0 && exe !== "" && facts.exe !== "" && path(facts.exe) !== path(exe);
}

/** The same of one that /proc has never shown: its exec is known, and this is another name. */
function isNamedAnew({ knowledge, readNs, name }: Program, facts: ProcessFacts): boolean {
  return knowledge === "exec" && readNs === 0 && name !== facts.name;
}

function shownAlike(a: Program, b: Program): boolean {
  return a.startNs === b.startNs && a.name === b.name && a.ppid === b.ppid && a.parentName === b.parentName &&
    a.exe === b.exe && a.container === b.container;
}

/** The last program that began at this time or before it. */
function lastBefore(entry: Entry, tsNs: number): Program | null {
  let program: Program | null = entry.latest;
  while (program !== null && program.fromNs > tsNs) program = program.previous;
  return program;
}

/** What the pid was at this time; null where that is not known. */
function programAt(entry: Entry, tsNs: number): Program | null {
  const program = lastBefore(entry, tsNs);
  return program !== null && tsNs <= program.untilNs ? program : null;
}
