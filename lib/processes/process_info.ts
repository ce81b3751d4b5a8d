/** What the process cache knows of the process behind an event. */

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
  /** The name of the uid in the host's /etc/passwd, also for processes in containers. */
  readonly user: string;
  /** The id that the container's runtime gave: 64 hexadecimal digits, or fewer; empty outside containers. */
  readonly containerId: string;
  /** The UID of the Kubernetes pod, with dashes; empty outside pods. */
  readonly podUid: string;
  /** The process as `encodeProcess` encodes it. */
  readonly encoded: Uint8Array<ArrayBuffer>;
}
