/** What enrichment knows of a process, and its form within a channel. */

/** One program that a process runs: a new one after each exec. Texts are empty where nothing is known. */
export interface ProcessInfo {
  readonly pid: number;
  /**
   * When the process started, in nanoseconds of the events' clock (CLOCK_MONOTONIC), as /proc has it: to 10 ms, rounded
   * down. 0 for unknown.
   */
  readonly startNs: number;
  /** The command's name: at most 15 bytes for programs, some more for kernel threads. */
  readonly name: string;
  readonly ppid: number;
  readonly parentName: string;
  /** Absolute path of the executable, with ` (deleted)` behind it where the kernel says so. */
  readonly exe: string;
  /** Real user id, as the initial namespace numbers it. */
  readonly uid: number;
  /** What the host's /etc/passwd calls the uid, also for processes in containers. */
  readonly user: string;
  /** As the container's runtime numbers it: 64 hexadecimal digits, or a shorter id; empty outside containers. */
  readonly containerId: string;
  /** Of the Kubernetes pod, with dashes. */
  readonly podUid: string;
  /** encodeProcess() of the above, made once. */
  readonly encoded: Uint8Array<ArrayBuffer>;
}
