/**
 * What the kernel's records of a process do not say: its executable, its container, its user's name. Read from files for
 * the few processes that are shown, and remembered.
 */
import { type Container, containerOfPath, containerOfProcess, NO_CONTAINER } from "./container.ts";
import { Lru } from "./lru.ts";
import type { ProcessFacts, ProcessSource } from "./process_source.ts";
import { type PasswdSource, Users } from "./users.ts";
import type { ProcessDescription, ProcessIdentity } from "./process_identity.ts";

/**
 * A process to describe. Where its start is not known, `notedNs` (CLOCK_MONOTONIC) says when it was there: what /proc has
 * of its number is then another process's if that one started later.
 */
export type DescribedProcess = ProcessIdentity & { notedNs?: bigint };

/** Where details come from: lib/processes/proc_source.ts, or a fake. */
export type DetailSource = Pick<ProcessSource, "read" | "cgroupPath"> & PasswdSource;

export interface ProcessDetailsOptions {
  /** How much CLOCK_BOOTTIME, which records have, is ahead of CLOCK_MONOTONIC, which facts have. */
  sleptNs(): number;
  /** Any clock that goes forward. */
  nowMs(): number;
  /** Processes and cgroups remembered, each. */
  entriesMax?: number;
}

const ENTRIES_MAX = 4_096;
/** Of programs that cannot read it, without kernel BTF. */
const START_UNKNOWN = 0n;
/** /proc has start times to a tick of 10 ms, rounded down. */
const START_TOLERANCE_NS = 20e6;
/** A cgroup that was not found may be newer than what the source knows, which is a second old at most. */
const RETRY_MS = 2_000;
const NS_PER_MS = 1e6;

interface Cgroup {
  /** null: not found so far. */
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

  /** Everything about a process that is shown. */
  describe(process: DescribedProcess): ProcessDescription {
    const { containerId, podUid } = this.containerOf(process);
    return { exe: this.exeOf(process), container: containerId, podUid, user: this.userOf(process.uid) };
  }

  /** Empty for one that has ended before it was asked for, and where its owner alone may know. */
  exeOf(process: DescribedProcess): string {
    // Nothing tells it from a later one of its number, so that nothing may be remembered of it.
    if (process.startedNs === START_UNKNOWN) return this.#factsOf(process)?.exe ?? "";
    // An exec leaves number and start as they are, and changes the name.
    const key = `${process.pid} ${process.startedNs} ${process.comm}`;
    let exe = this.#exes.get(key);
    if (exe === undefined) this.#exes.set(key, exe = this.#factsOf(process)?.exe ?? "");
    return exe;
  }

  /** By its cgroup, which is known of one that has ended too. */
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

  /** null for one that is not found, undefined while the source is still looking. */
  #findContainer(process: DescribedProcess): Container | null | undefined {
    const path = this.#source.cgroupPath(process.cgroupId);
    // Where version 1 holds the containers, all processes are in the root of version 2.
    if (typeof path === "string" && path !== "/") return containerOfPath(path);
    const facts = this.#factsOf(process);
    if (facts !== null) return containerOfProcess(facts.cgroups);
    return path === "/" ? NO_CONTAINER : path;
  }

  /** Empty for a number without a name. */
  userOf(uid: number): string {
    this.#users.refresh(this.#options.nowMs() * NS_PER_MS);
    return this.#users.nameOf(uid);
  }

  /** null when the number is another process's by now. */
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
