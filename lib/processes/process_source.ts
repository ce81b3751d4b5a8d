/** Where knowledge of processes comes from: lib/processes/proc_source.ts, or a fake in tests. Types only. */

/** A process as /proc has it at one time. Its uid is absent, because each record has it. */
export interface ProcessFacts {
  pid: number;
  /** When the process started, or a little earlier; CLOCK_MONOTONIC, as in records. */
  startNs: number;
  /** When /proc was read; CLOCK_MONOTONIC. */
  readNs: number;
  name: string;
  ppid: number;
  /** Path of the executable; empty for kernel threads, and where the link cannot be read. */
  exe: string;
  /** Text of /proc/PID/cgroup. */
  cgroups: string;
}

export interface ProcessSource {
  /** Numbers of all processes. */
  list(): Iterable<number>;
  /** @returns null for a process that does not exist */
  read(pid: number): ProcessFacts | null;
  /**
   * @returns the cgroup's path below the mount of cgroup2, `/` for its root; null for a cgroup that does not exist;
   * undefined while the search goes on, in which case the caller asks again
   */
  cgroupPath(cgroupId: bigint): string | null | undefined;
}
