/** What records of events say of processes. Types only. */

/** What each record says of the process that caused it. */
export interface RecordedProcess {
  pid: number;
  /** CLOCK_MONOTONIC. */
  tsNs: number;
  uid: number;
  /** Exact below 2^53; the kernel numbers cgroups from 1 on. */
  cgroupId: number;
  comm: string;
}

/** What a process_exec record says of the process. */
export interface RecordedExec extends RecordedProcess {
  /** 0 where the kernel does not tell. */
  ppid: number;
  /** The path that was given to execve(2). */
  filename: string;
}
