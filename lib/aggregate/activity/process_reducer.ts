/**
 * From one window's drained map and counters to what its processes did: sums, rows by process and by system call, the
 * largest of them. Reads packed C structs in place.
 */
import { type SyscallKind, SyscallKinds } from "./syscall_kinds.ts";
import { addActivity, addCalls, compareActivity, noActivity, noCalls, type Ranked } from "./activity_sums.ts";
import { readField } from "../../wire/layout.ts";
import { PROCESS_IDENTITY, PROCESS_KEY, PROCESS_VALUE } from "../../wire/layouts.gen.ts";
import type { Machine } from "../../wire/syscalls.ts";
import type { MapBatch } from "../../wire/records.ts";
import { DURATION_BUCKETS } from "./process_histogram.ts";
import {
  type Activity,
  type ActivityGroup,
  type ProcessRow,
  type ProcessSums,
  type ProcessSyscall,
  type ProcessWindow,
  SYSCALL_ABIS,
  type SyscallRow,
} from "./process_window.ts";
import type { ActivityArrangement } from "./activity_options.ts";
import type { ProcessIdentity } from "../../processes/process_identity.ts";

/** What the kernel counted outside of the map: `struct process_counters`, summed over programs and CPUs. */
export type ProcessCounters = Pick<ProcessSums, "seen" | "overflow" | "unentered" | "passedOver">;

export interface ProcessReducerOptions {
  machine: Machine;
  /** Values a map entry holds: the number of CPUs. */
  valuesPerEntry: number;
  topMax: number;
  arrangement: ActivityArrangement;
  /** The container or the user that a process belongs to. */
  labelOf(by: "container" | "user", process: ProcessIdentity): string;
  /** Called with each process that was accepted, once a window; the row is lent. */
  observe?(process: ProcessTally): void;
}

/** A process's sums of one window, and its name. */
export type ProcessTally = Pick<ProcessIdentity, "pid" | "startedNs" | "comm"> & Ranked;

/** Processes that a group names. */
const GROUP_TOP_MAX = 5;

/** All processes by calls. */
export const DEFAULT_ARRANGEMENT: ActivityArrangement = {
  order: "calls",
  by: "process",
  syscall: null,
  comm: "",
  pid: null,
  uid: null,
};

const KEY = PROCESS_KEY.fields;
const VALUE = PROCESS_VALUE.fields;
/** The identity within a value: its first member's place. */
const IDENTITY_AT = VALUE["identity.started_ns"].offset;

/** A process under way; its identity is decoded when it is asked for. */
interface Process extends Activity {
  pid: number;
  startedNs: bigint;
  notedNs: bigint;
  identity: DataView;
  syscalls: ProcessSyscall[];
  /** Its entries, where it is not known yet whether the process is chosen: its name may change until the end. */
  kinds: { kind: SyscallKind; activity: Activity }[];
}

/** One entry, summed over the CPUs, and its newest identity. */
interface Entry extends Activity {
  moved: number;
  notedNs: bigint;
  notedAt: number;
}

const NO_IDENTITY = new DataView(new ArrayBuffer(PROCESS_IDENTITY.size));

/** Reduces one window after another: `addCounters` and `addBatch` in any order, then `finish`. */
export class ProcessReducer {
  readonly #options: ProcessReducerOptions;
  #arrangement: ActivityArrangement;
  #processes = new Map<string, Process>();
  #syscalls = new Map<SyscallKind, SyscallRow>();
  /** The same in all windows. */
  readonly #kinds: SyscallKinds;
  readonly #entry: Entry = { ...noActivity(), moved: 0, notedNs: 0n, notedAt: 0 };
  #counters: ProcessCounters = { seen: noCalls(), overflow: noCalls(), unentered: 0, passedOver: 0 };
  #counted = noCalls();
  #matched = noCalls();
  #entries = 0;
  /** Of all processes; `#processes` has those of calls that the filter accepts. */
  #processKeys = new Set<string>();

  constructor(options: ProcessReducerOptions) {
    this.#options = options;
    this.#kinds = new SyscallKinds(options.machine);
    this.#arrangement = options.arrangement;
  }

  /** Between two windows: how the next ones are arranged. */
  arrange(arrangement: ActivityArrangement): void {
    this.#arrangement = arrangement;
  }

  addCounters(counters: ProcessCounters): void {
    addCalls(this.#counters.seen, counters.seen);
    addCalls(this.#counters.overflow, counters.overflow);
    this.#counters.unentered += counters.unentered;
    this.#counters.passedOver += counters.passedOver;
  }

  addBatch({ count, keys, values }: MapBatch): void {
    const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
    const valueView = new DataView(values.buffer, values.byteOffset, values.byteLength);
    const choosesLater = this.#choosesProcesses();
    for (let index = 0; index < count; index++) {
      const keyAt = index * PROCESS_KEY.size;
      const pid = keyView.getUint32(keyAt + KEY.pid.offset, true);
      const startedNs = keyView.getBigUint64(keyAt + KEY.started_ns.offset, true);
      const kind = this.#kinds.kindOf(
        keyView.getUint8(keyAt + KEY.abi.offset),
        keyView.getUint16(keyAt + KEY.number.offset, true),
      );
      const entry = this.#readEntry(valueView, index);
      if (kind.reads) entry.bytesIn = entry.moved;
      if (kind.writes) entry.bytesOut = entry.moved;
      const processKey = `${pid} ${startedNs}`;
      this.#processKeys.add(processKey);
      addCalls(this.#counted, entry);
      if (this.#arrangement.syscall !== null && kind.name !== this.#arrangement.syscall) continue;

      const process = this.#processOf(processKey, pid, startedNs);
      addActivity(process, entry);
      const { calls, errors, totalNs, bytesIn, bytesOut } = entry;
      process.syscalls.push({ name: kind.name, abi: kind.abi, calls, errors, totalNs, bytesIn, bytesOut });
      if (choosesLater) process.kinds.push({ kind, activity: { ...entry, histogram: entry.histogram.slice() } });
      else this.#match(kind, entry);
      // After an exec in the window the newer name holds.
      if (entry.notedNs > process.notedNs) {
        process.notedNs = entry.notedNs;
        const identityAt = entry.notedAt + IDENTITY_AT;
        process.identity = new DataView(values.slice(identityAt, identityAt + PROCESS_IDENTITY.size).buffer);
      }
    }
    this.#entries += count;
  }

  /** Whether the arrangement leaves processes out. */
  #choosesProcesses(): boolean {
    const { comm, pid, uid } = this.#arrangement;
    return comm !== "" || pid !== null || uid !== null;
  }

  #accepts(process: Process): boolean {
    const { comm, pid, uid } = this.#arrangement;
    return (pid === null || process.pid === pid) &&
      (uid === null || readField(process.identity, PROCESS_IDENTITY, "uid") === uid) &&
      (comm === "" || readField(process.identity, PROCESS_IDENTITY, "comm").includes(comm));
  }

  /** Counts an entry for its kind of call. */
  #match(kind: SyscallKind, activity: Activity): void {
    addCalls(this.#matched, activity);
    const syscall = this.#syscallOf(kind);
    syscall.processes++;
    addActivity(syscall, activity);
  }

  #syscallOf(kind: SyscallKind): SyscallRow {
    let syscall = this.#syscalls.get(kind);
    if (syscall === undefined) {
      const { name, abi, number } = kind;
      syscall = { name, abi, number, processes: 0, ...noActivity() };
      this.#syscalls.set(kind, syscall);
    }
    return syscall;
  }

  #processOf(key: string, pid: number, startedNs: bigint): Process {
    let process = this.#processes.get(key);
    if (process === undefined) {
      process = { pid, startedNs, notedNs: 0n, identity: NO_IDENTITY, syscalls: [], kinds: [], ...noActivity() };
      this.#processes.set(key, process);
    }
    return process;
  }

  /** Lent: the next call overwrites it. */
  #readEntry(view: DataView, index: number): Entry {
    const entry = this.#entry;
    entry.calls =
      entry.errors =
      entry.bytesIn =
      entry.bytesOut =
      entry.moved =
      entry.notedAt =
        0;
    entry.totalNs = entry.notedNs = 0n;
    entry.minNs = entry.maxNs = null;
    entry.histogram.fill(0);
    const { valuesPerEntry } = this.#options;
    const start = index * valuesPerEntry * PROCESS_VALUE.size;
    for (let i = 0, at = start; i < valuesPerEntry; i++, at += PROCESS_VALUE.size) {
      const notedNs = view.getBigUint64(at + VALUE.noted_ns.offset, true);
      if (notedNs === 0n) continue; // this CPU saw nothing of it
      if (notedNs > entry.notedNs) {
        entry.notedNs = notedNs;
        entry.notedAt = at;
      }
      entry.calls += Number(view.getBigUint64(at + VALUE.calls.offset, true));
      entry.errors += Number(view.getBigUint64(at + VALUE.errors.offset, true));
      entry.moved += Number(view.getBigUint64(at + VALUE.moved.offset, true));
      entry.totalNs += view.getBigUint64(at + VALUE.total_ns.offset, true);
      const minNs = view.getBigUint64(at + VALUE.min_ns.offset, true);
      if (minNs === 0n) continue; // nothing was timed
      const maxNs = view.getBigUint64(at + VALUE.max_ns.offset, true);
      if (entry.minNs === null || minNs < entry.minNs) entry.minNs = minNs;
      if (entry.maxNs === null || maxNs > entry.maxNs) entry.maxNs = maxNs;
      for (let bucket = 0; bucket < DURATION_BUCKETS; bucket++) {
        entry.histogram[bucket] += view.getUint32(at + VALUE.histogram.offset + bucket * 4, true);
      }
    }
    return entry;
  }

  #row({ notedNs: _notedNs, identity, kinds: _kinds, ...process }: Process): ProcessRow {
    const { order } = this.#arrangement;
    return {
      ...process,
      comm: readField(identity, PROCESS_IDENTITY, "comm"),
      uid: readField(identity, PROCESS_IDENTITY, "uid"),
      gid: readField(identity, PROCESS_IDENTITY, "gid"),
      cgroupId: readField(identity, PROCESS_IDENTITY, "cgroup_id"),
      syscalls: process.syscalls.sort((a, b) => compareActivity(order, a, b)),
    };
  }

  /** The chosen processes, largest first. */
  #chosen(): Process[] {
    let processes = [...this.#processes.values()];
    if (this.#choosesProcesses()) {
      processes = processes.filter((process) => this.#accepts(process));
      for (const { kinds } of processes) for (const { kind, activity } of kinds) this.#match(kind, activity);
    }
    const { order } = this.#arrangement;
    return processes.sort((a, b) => compareActivity(order, a, b) || a.pid - b.pid);
  }

  #observe(processes: Process[]): void {
    const { observe } = this.#options;
    if (observe === undefined) return;
    for (const process of processes) {
      observe({ ...process, comm: readField(process.identity, PROCESS_IDENTITY, "comm") });
    }
  }

  /** @param processes largest first */
  #groups(processes: Process[]): ActivityGroup[] {
    const { by, order } = this.#arrangement;
    if (by !== "container" && by !== "user") return [];
    const groups = new Map<string, ActivityGroup>();
    for (const process of processes) {
      const row = this.#row(process);
      const label = this.#options.labelOf(by, row);
      let group = groups.get(label);
      if (group === undefined) groups.set(label, group = { label, processes: 0, top: [], ...noActivity() });
      group.processes++;
      addActivity(group, process);
      if (group.top.length < GROUP_TOP_MAX) group.top.push(row);
    }
    return [...groups.values()]
      .sort((a, b) => compareActivity(order, a, b) || (a.label < b.label ? -1 : 1))
      .slice(0, this.#options.topMax);
  }

  /** The window so far; the next call to `addBatch` or `addCounters` starts the next one. */
  finish(): Omit<
    ProcessWindow,
    "sequence" | "startNs" | "endNs" | "endUnixNs" | "sampling" | "missedRuns" | "capacity" | "totals"
  > {
    const { topMax } = this.#options;
    const { order } = this.#arrangement;
    const processes = this.#chosen();
    this.#observe(processes);
    const syscalls = [...this.#syscalls.values()]
      .sort((a, b) =>
        compareActivity(order, a, b) || a.number - b.number ||
        SYSCALL_ABIS.indexOf(a.abi) - SYSCALL_ABIS.indexOf(b.abi)
      );
    const result = {
      ...this.#counters,
      counted: this.#counted,
      entries: this.#entries,
      processes: this.#processKeys.size,
      matched: this.#matched,
      arrangement: this.#arrangement,
      top: processes.slice(0, topMax).map((process) => this.#row(process)),
      syscalls: syscalls.slice(0, topMax),
      groups: this.#groups(processes),
    };
    this.#processes = new Map();
    this.#syscalls = new Map();
    this.#processKeys = new Set();
    this.#counters = { seen: noCalls(), overflow: noCalls(), unentered: 0, passedOver: 0 };
    this.#counted = noCalls();
    this.#matched = noCalls();
    this.#entries = 0;
    return result;
  }
}
