/** The identity of a process, and its description. Types only. */

/** One process. `startedNs` tells it from earlier processes with the same number. */
export interface ProcessIdentity {
  /** The thread group's number in the initial namespace. */
  pid: number;
  /**
   * The start of the process by CLOCK_BOOTTIME; 0 where the kernel has no BTF to read it with: processes with the same
   * number cannot be told apart then.
   */
  startedNs: bigint;
  /** The main thread's name, which is read once in a window and at each exec. */
  comm: string;
  uid: number;
  gid: number;
  /** The id of the process's cgroup in cgroup2. */
  cgroupId: bigint;
}

/** The process that uses one end of a flow; it may have exited since. */
export interface SocketOwner extends ProcessIdentity {
  /** When the process was last seen to use the socket, by CLOCK_MONOTONIC and exact to two seconds. */
  notedNs: bigint;
  /** Inode of the socket's network namespace. */
  netns: number;
}

/** What /proc and /etc/passwd tell of a process. Texts are empty where nothing is known. */
export interface ProcessDescription {
  /** Path of the executable. */
  exe: string;
  /** The container's id, empty outside of containers. */
  container: string;
  /** The Kubernetes pod's UID, empty outside of pods. */
  podUid: string;
  /** The user's name on this host. */
  user: string;
}
