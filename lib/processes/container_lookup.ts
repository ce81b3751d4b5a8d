/** The containers of cgroups, by the numbers in records, and of processes, by the text of /proc/PID/cgroup. */
import { type Container, containerOfPath, containerOfProcess, NO_CONTAINER } from "./container.ts";
import { Lru } from "./lru.ts";
import type { ProcessSource } from "./process_source.ts";
import { WaitingSet } from "./waiting_set.ts";

const CGROUPS_MAX = 8192;
const CGROUP_TEXTS_MAX = 1024;
/** A cgroup that is not found may be newer than the source's knowledge, which is a second old at most. */
const RETRY_NS = 2e9;
/** While the source still searches, it is asked again and again; each answer takes little time. */
const SEARCH_RETRY_NS = 20e6;
const TRIES_MAX = 3;

/** What was found out about a cgroup. */
interface Cgroup {
  container: Container;
  isRoot: boolean;
  tries: number;
  retryNs: number;
}

export class ContainerLookup {
  readonly #source: Pick<ProcessSource, "cgroupPath">;
  readonly #cgroups = new Lru<number, Cgroup>(CGROUPS_MAX);
  /** Processes of one service have the same text. */
  readonly #containersByText = new Lru<string, Container>(CGROUP_TEXTS_MAX);
  readonly #waiting: WaitingSet<number>;

  /** @param waitingMax cgroups that wait for `refresh` */
  constructor(source: Pick<ProcessSource, "cgroupPath">, waitingMax: number) {
    this.#source = source;
    this.#waiting = new WaitingSet(waitingMax);
  }

  /** Cgroups that wait for `refresh`. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** How often a cgroup was not looked up because too many were waiting. */
  get refused(): number {
    return this.#waiting.refused;
  }

  /** The container of a cgroup; `NO_CONTAINER` too where it is not known yet: `refresh` looks it up then. */
  ofCgroup(cgroupId: number): Container {
    const cgroup = this.#cgroups.get(cgroupId);
    if (cgroup === undefined) this.#waiting.add(cgroupId);
    return cgroup?.container ?? NO_CONTAINER;
  }

  /** True for a cgroup that is known to be the root of cgroup2, which says nothing of containers. */
  isRoot(cgroupId: number): boolean {
    return this.#cgroups.peek(cgroupId)?.isRoot === true;
  }

  /** @param cgroups text of /proc/PID/cgroup */
  ofProcess(cgroups: string): Container {
    let container = this.#containersByText.get(cgroups);
    if (container === undefined) {
      container = containerOfProcess(cgroups);
      this.#containersByText.set(cgroups, container);
    }
    return container;
  }

  /**
   * Looks up cgroups that wait.
   *
   * @param looksMax cgroups at most
   * @param nowNs CLOCK_MONOTONIC
   * @returns cgroups that were looked up, and how many of them are containers
   */
  refresh(looksMax: number, nowNs: number): { looks: number; containers: number } {
    let looks = 0, containers = 0;
    for (const cgroupId of this.#waiting) {
      if (looks >= looksMax) break;
      if ((this.#cgroups.peek(cgroupId)?.retryNs ?? 0) > nowNs) continue;
      looks++;
      if (this.#look(cgroupId, nowNs) !== NO_CONTAINER) containers++;
    }
    return { looks, containers };
  }

  #look(cgroupId: number, nowNs: number): Container {
    const path = this.#source.cgroupPath(BigInt(cgroupId));
    const tries = (path === undefined ? 0 : 1) + (this.#cgroups.peek(cgroupId)?.tries ?? 0);
    const container = typeof path === "string" ? containerOfPath(path) : NO_CONTAINER;
    const retryNs = nowNs + (path === undefined ? SEARCH_RETRY_NS : RETRY_NS);
    this.#cgroups.set(cgroupId, { container, isRoot: path === "/", tries, retryNs });
    if (path === undefined) this.#waiting.moveLast(cgroupId);
    // The kernel does not use an id twice: a cgroup that is gone stays gone.
    if (typeof path === "string" || tries === TRIES_MAX) this.#waiting.delete(cgroupId);
    return container;
  }
}
