/**
 * The executable, container and user name of a process, which the kernel's records do not have. They are read from
 * files for the few processes that are shown, and cached.
 */
import { type Container, containerOfPath, containerOfProcess, NO_CONTAINER } from "./container.ts";
import { Lru } from "./lru.ts";
import type { ProcessFacts, ProcessSource } from "./process_source.ts";
import { type PasswdSource, Users } from "./users.ts";
import type { ProcessDescription, ProcessIdentity } from "./process_identity.ts";

/**
 * A process to describe. Where its start is not known, `notedNs` (CLOCK_MONOTONIC) is a time at which it ran: a process
 * of the same number in /proc that started later is another one.
 */
export type DescribedProcess = ProcessIdentity & { notedNs?: bigint };

/** Where details come from: lib/processes/proc_source.ts, or a fake. */
export type DetailSource = Pick<ProcessSource, "read" | "cgroupPath"> & PasswdSource;

export interface ProcessDetailsOptions {
  /** How far CLOCK_BOOTTIME, the clock of records, is ahead of CLOCK_MONOTONIC, the clock of /proc facts. */
  sleptNs(): number;
  /** Any monotonic clock. */
  nowMs(): number;
  /** The most processes, and the most cgroups, that are cached. */
  entriesMax?: number;
}

const ENTRIES_MAX = 4_096;
/** The start of a process as programs report it that cannot read it, for want of kernel BTF. */
const START_UNKNOWN = 0n;
/** /proc has start times to a tick of 10 ms, rounded down. */
const START_TOLERANCE_NS = 20e6;
/**
 * The wait before a cgroup is looked for again: it may be newer than the source's knowledge, which is at most a second
 * old.
 */
const RETRY_MS = 2_000;
const NS_PER_MS = 1e6;

interface Cgroup {
  /** The container; null while the cgroup has not been found. */
  container: Container | null;
  retryMs: number;
}

export class ProcessDetails {
  readonly #source: DetailSource;
  readonly #options: ProcessDetailsOptions;
  readonly #users: Users;
  readonly #exes: Lru<string, string>;
  readonly #cgroups: Lru<bigint, Cgroup>;

  constructor(source: DetailSource, options: ProcessDetailsOptions) {
    this.#source = source;
    this.#options = options;
    this.#users = new Users(source);
    this.#exes = new Lru(options.entriesMax ?? ENTRIES_MAX);
    this.#cgroups = new Lru(options.entriesMax ?? ENTRIES_MAX);
  }

  /** Describes a process. */
  describe(process: DescribedProcess): ProcessDescription {
    const { containerId, podUid } = this.containerOf(process);
    return { exe: this.exeOf(process), container: containerId, podUid, user: this.userOf(process.uid) };
  }

  /**
   * The executable's path; empty for a process that ended before it was looked up, and where only its owner may read
   * it.
   */
  exeOf(process: DescribedProcess): string {
    // Nothing tells it from a later one of its number, so that nothing may be remembered of it.
    if (process.startedNs === START_UNKNOWN) return this.#factsOf(process)?.exe ?? "";
    // An exec leaves number and start as they are, and changes the name.
    const key = `${process.pid} ${process.startedNs} ${process.comm}`;
    let exe = this.#exes.get(key);
    if (exe === undefined) this.#exes.set(key, exe = this.#factsOf(process)?.exe ?? "");
    return exe;
  }

  /** The container by the process's cgroup, which is known even after the process has ended. */
  containerOf(process: DescribedProcess): Container {
    const nowMs = this.#options.nowMs();
    const known = this.#cgroups.get(process.cgroupId);
    if (known !== undefined && (known.container !== null || nowMs < known.retryMs)) {
      return known.container ?? NO_CONTAINER;
    }
    const container = this.#findContainer(process);
    const retryMs = container === undefined ? nowMs : nowMs + RETRY_MS;
    this.#cgroups.set(process.cgroupId, { container: container ?? null, retryMs });
    return container ?? NO_CONTAINER;
  }

  /** @returns null for a cgroup that is not found, undefined while the source still searches */
  #findContainer(process: DescribedProcess): Container | null | undefined {
    const path = this.#source.cgroupPath(process.cgroupId);
    // Where version 1 holds the containers, all processes are in the root of version 2.
    if (typeof path === "string" && path !== "/") return containerOfPath(path);
    const facts = this.#factsOf(process);
    if (facts !== null) return containerOfProcess(facts.cgroups);
    return path === "/" ? NO_CONTAINER : path;
  }

  /** The user's name; empty for a uid without one. */
  userOf(uid: number): string {
    this.#users.refresh(this.#options.nowMs() * NS_PER_MS);
    return this.#users.nameOf(uid);
  }

  /** What /proc has of the process; null when its number belongs to another process now. */
  #factsOf({ pid, startedNs, notedNs }: DescribedProcess): ProcessFacts | null {
    const facts = this.#source.read(pid);
    if (facts === null) return null;
    if (startedNs === START_UNKNOWN) {
      return notedNs === undefined || facts.startNs <= Number(notedNs) ? facts : null;
    }
    const apartNs = facts.startNs + this.#options.sleptNs() - Number(startedNs);
    return Math.abs(apartNs) <= START_TOLERANCE_NS ? facts : null;
  }
}
