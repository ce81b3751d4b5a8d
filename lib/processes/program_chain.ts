/**
 * The programs of one pid, latest first. A pid is many programs, one after another: each exec begins one, and the kernel
 * gives the pid of a dead process to a new one. Records come through several rings, so that an event may be read after
 * the exec or exit that followed it. Each program therefore has the time span in which the pid was that program, and an
 * event belongs to the program of its own time.
 */
import { type Container, NO_CONTAINER } from "./container.ts";
import type { ProcessInfo } from "./process_info.ts";
import type { ProcessFacts } from "./process_source.ts";

/** Programs that are kept of a pid: a shell's chain of execs, and late events of the process before. */
const PROGRAMS_MAX = 4;

/** Where a program is known from: an event other than its exec, its exec event, or /proc. */
export type Knowledge = "event" | "exec" | "proc";

/** What is known of a program under one uid and cgroup: both may change while the program runs. */
export interface ProgramVariant {
  cgroupId: number;
  info: ProcessInfo;
}

/** One program that a pid ran. Times are CLOCK_MONOTONIC, as in records. */
export interface Program {
  pid: number;
  knowledge: Knowledge;
  /** The first time at which the pid was this program. */
  fromNs: number;
  /** The last time at which the pid may have been this program; Infinity until its end is known. */
  untilNs: number;
  /** A time at which the program certainly ran: a process that started later is another one. */
  seenNs: number;
  /** When /proc was last read for the program; 0 for never. */
  readNs: number;
  /** Before this time /proc is not read again for a program whose uid or cgroup is new. */
  retryNs: number;
  /** After this time /proc is read again, although nothing contradicts what is known; 0 until it was read once. */
  recheckNs: number;
  /** When the process started; 0 for unknown. */
  startNs: number;
  name: string;
  ppid: number;
  parentName: string;
  exe: string;
  /** The container by /proc, or that of the parent. Where a record's cgroup names a container, that one counts. */
  container: Container;
  /** The last one that was asked for comes first. */
  variants: ProgramVariant[];
  previous: Program | null;
}

/** @returns a program of which nothing else is known yet */
export function newProgram(known: Pick<Program, "pid" | "knowledge" | "fromNs" | "seenNs" | "name">): Program {
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
    variants: [],
    previous: null,
  };
}

/** True where /proc shows another executable than before, though no event told of an exec. */
export function hasOtherExe({ readNs, exe }: Program, facts: ProcessFacts): boolean {
  // The kernel marks an executable that was replaced on disk.
  const path = (text: string) => text.replace(/ \(deleted\)$/, "");
  return readNs > 0 && exe !== "" && facts.exe !== "" && path(facts.exe) !== path(exe);
}

/** True where /proc shows another name than the exec event of a program that /proc has not shown before. */
export function hasOtherName({ knowledge, readNs, name }: Program, facts: ProcessFacts): boolean {
  return knowledge === "exec" && readNs === 0 && name !== facts.name;
}

/** True where the variants of one program also describe the other. */
export function describedAlike(a: Program, b: Program): boolean {
  return a.startNs === b.startNs && a.name === b.name && a.ppid === b.ppid && a.parentName === b.parentName &&
    a.exe === b.exe && a.container === b.container;
}

export class ProgramChain {
  readonly pid: number;
  #latest: Program;

  constructor(program: Program) {
    this.pid = program.pid;
    this.#latest = program;
  }

  get latest(): Program {
    return this.#latest;
  }

  /** The last program that began at this time or before it; null where none did. */
  lastBefore(tsNs: number): Program | null {
    let program: Program | null = this.#latest;
    while (program !== null && program.fromNs > tsNs) program = program.previous;
    return program;
  }

  /** The program that the pid was at this time; null where that is not known. */
  at(tsNs: number): Program | null {
    const program = this.lastBefore(tsNs);
    return program !== null && tsNs <= program.untilNs ? program : null;
  }

  /**
   * Inserts a program by its time, and forgets the oldest one where there are too many.
   *
   * @returns true where it is the latest one and the program before it had ended: the pid is another process now
   */
  insert(program: Program): boolean {
    const before = this.#latest;
    const isLatest = program.fromNs >= before.fromNs;
    if (isLatest) {
      program.previous = before;
      this.#latest = program;
    } else {
      let later = before;
      while (later.previous !== null && later.previous.fromNs > program.fromNs) later = later.previous;
      program.previous = later.previous;
      later.previous = program;
    }
    let last = this.#latest;
    for (let kept = 1; last.previous !== null && kept < PROGRAMS_MAX; kept++) last = last.previous;
    last.previous = null;
    return isLatest && before.untilNs < program.seenNs;
  }

  /**
   * Takes back what was inherited from a program that has turned out to have ended: the programs after it are of another
   * process, although they were taken for the same.
   *
   * @returns programs that this concerned
   */
  separateLater(ended: Program): number {
    let separated = 0;
    for (let later = this.#latest; later !== ended; later = later.previous!) {
      if (later.startNs === 0 || later.startNs !== ended.startNs) continue;
      separated++;
      later.startNs = 0;
      later.container = NO_CONTAINER;
      later.variants = [];
    }
    return separated;
  }

  /** Forgets the variants of all programs, because something that they are made of has changed. */
  forgetVariants(): void {
    for (let program: Program | null = this.#latest; program !== null; program = program.previous) {
      program.variants = [];
    }
  }
}
