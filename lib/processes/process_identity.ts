/** Which process it is, and what files say of it. Types only. */

/** One process; `startedNs` tells it from an earlier one of the same number. */
export interface ProcessIdentity {
  /** The thread group's number in the initial namespace. */
  pid: number;
  /** CLOCK_BOOTTIME; 0 where the kernel has no BTF to read it by: then one number's processes cannot be told apart. */
  startedNs: bigint;
  /** The main thread's name when it was last looked at: once a window, and at each exec. */
  comm: string;
  uid: number;
  gid: number;
  /** Id of its folder in the unified hierarchy. */
  cgroupId: bigint;
}

/** Who uses one end of a flow. It may have exited since; it is named all the same. */
export interface SocketOwner extends ProcessIdentity {
  /** CLOCK_MONOTONIC: when it was last seen to use the socket, exact to two seconds. */
  notedNs: bigint;
  /** Inode of the network namespace that the socket is in. */
  netns: number;
}

/** What files say of a process that is shown. Texts are empty where nothing is known. */
export interface ProcessDescription {
  /** Path of the executable. */
  exe: string;
  /** The container's id, empty outside of one. */
  container: string;
  /** The Kubernetes pod's, empty outside of one. */
  podUid: string;
  /** The user's name on this host. */
  user: string;
}
