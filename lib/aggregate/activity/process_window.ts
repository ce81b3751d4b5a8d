/**
 * What a window of process activity holds. Types only. Counts are plain numbers (a window cannot reach 2^53 calls);
 * nanoseconds are bigints, since calls that waited for days may return together.
 */
import type { ActivityArrangement } from "./activity_options.ts";
import type { ProcessDescription, ProcessIdentity } from "../../processes/process_identity.ts";

/** The table that a system call's number is from, in the order of `enum syscall_abi` in bpf/process.h. */
export const SYSCALL_ABIS = ["native", "compat", "x32"] as const;
export type SyscallAbi = typeof SYSCALL_ABIS[number];

/** Calls, those of them that failed, and the time that passed in them. */
export interface CallSums {
  calls: number;
  errors: number;
  totalNs: bigint;
}

/** What was done with one system call, or by one process. Calls that never return are counted and not timed. */
export interface Activity extends CallSums {
  /**
   * What calls such as read and write say that they moved, of files, pipes and sockets. Not of calls that move several
   * messages (recvmmsg, sendmmsg), and nothing that io_uring or a mapping moves.
   */
  bytesIn: number;
  bytesOut: number;
  /** Shortest and longest call; null where none was timed. */
  minNs: bigint | null;
  maxNs: bigint | null;
  /** Timed calls by duration: `durationBounds` of process_histogram.ts says what each bucket holds. */
  histogram: number[];
}

/** One process of one window. */
export interface ProcessRow extends ProcessIdentity, Activity, Partial<ProcessDescription> {
  /** Its calls by kind, in the window's order. */
  syscalls: ProcessSyscall[];
}

/** A process's calls of one kind. */
export interface ProcessSyscall extends CallSums, Pick<Activity, "bytesIn" | "bytesOut"> {
  name: string;
  abi: SyscallAbi;
}

/** The processes of one container or one user. */
export interface ActivityGroup extends Activity {
  /** The container's id, empty for processes outside of any; the user's name, or the number without one. */
  label: string;
  processes: number;
  /** The largest of them. */
  top: ProcessRow[];
}

/** Sums of one process since the start of the run, or since it was last forgotten for others. */
export interface ProcessTotal {
  pid: number;
  startedNs: bigint;
  comm: string;
  calls: bigint;
  errors: bigint;
  totalNs: bigint;
  bytesIn: bigint;
  bytesOut: bigint;
}

/** One kind of system call of one window, over all processes. */
export interface SyscallRow extends Activity {
  name: string;
  abi: SyscallAbi;
  number: number;
  /** Processes that made it. */
  processes: number;
}

/** The law of a window: `seen = counted + overflow`, calls, errors and time; and what is outside of it. */
export interface ProcessSums {
  /** Calls that returned, or were made and never return. With sampling, each counted as many times. */
  seen: CallSums;
  /** Sum over all processes. */
  counted: CallSums;
  /** Of processes that found no room in the map. */
  overflow: CallSums;
  /** Returns whose entry was not seen: a fork's second return, refused by seccomp, begun before us. Not calls. */
  unentered: number;
  /** Calls that sampling left out: exact, where the others are then estimates. */
  passedOver: number;
}

/** One complete window: swapped out, quiet, drained. */
export interface ProcessWindow extends ProcessSums {
  /** 0 for the first window; no number is skipped. */
  sequence: number;
  /** CLOCK_MONOTONIC. The end of a window is the start of the next one. */
  startNs: bigint;
  endNs: bigint;
  /** The window's end on the wall clock, nanoseconds since the epoch. */
  endUnixNs: bigint;
  /** One of so many calls was counted; 1 for all. */
  sampling: number;
  /**
   * Runs of the programs that the kernel left out since the start, because one had interrupted another: calls outside of
   * the equation. None where tracepoints are not interrupted.
   */
  missedRuns: bigint;
  /** Entries (a process and a kind of call) drained, and those that one side can hold. */
  entries: number;
  capacity: number;
  /** Processes that made a call. */
  processes: number;
  /** What the arrangement's choice accepted; equal to `counted` where it chooses all. */
  matched: CallSums;
  /** What the rows are arranged by. */
  arrangement: ActivityArrangement;
  /** The largest processes in the order asked for; at most `topMax`. */
  top: ProcessRow[];
  /** Kinds of calls in the same order; at most `topMax`. */
  syscalls: SyscallRow[];
  /** Of `--by container` and `--by user`, in the same order, at most `topMax`; else empty. */
  groups: ActivityGroup[];
  /** The largest since the start by calls, at most `totalsMax`. */
  totals: ProcessTotal[];
}
