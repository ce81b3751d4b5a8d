/** The JSON objects of process activity. */
import { type ActivityTotals, isActivityBalanced } from "../aggregate/activity/activity_totals.ts";
import { percentile } from "../aggregate/activity/process_histogram.ts";
import type {
  Activity,
  ActivityGroup,
  CallSums,
  ProcessRow,
  ProcessSyscall,
  ProcessWindow,
  SyscallRow,
} from "../aggregate/activity/process_window.ts";
import { processBalance } from "../aggregate/activity/activity_sums.ts";
import { head, type JsonObject, type Stamp } from "./json_lines.ts";

/** Kinds of calls that a process's row names; the rest are in its sums. */
const ROW_SYSCALLS_MAX = 10;

/** `processes`, stamped with its window's end. `seen = counted + overflow`, calls, errors and time. */
export function processesObject(host: string, window: ProcessWindow): JsonObject {
  const { order, by } = window.arrangement;
  const { calls, errors, totalNs } = processBalance(window);
  return {
    ...head("processes", { unixNs: window.endUnixNs, host }),
    sequence: window.sequence,
    start_ns: window.startNs,
    end_ns: window.endNs,
    duration_ms: Number(window.endNs - window.startNs) / 1e6,
    sampling: window.sampling,
    ...sumFields("seen", window.seen),
    ...sumFields("counted", window.counted),
    ...sumFields("overflow", window.overflow),
    balanced: calls === 0 && errors === 0 && totalNs === 0n,
    unentered: window.unentered,
    passed_over_calls: window.passedOver,
    missed_runs: window.missedRuns,
    ...sumFields("matched", window.matched),
    processes: window.processes,
    entries: window.entries,
    capacity: window.capacity,
    sort: order,
    by,
    top: window.top.map(processFields),
    syscalls: window.syscalls.map(syscallFields),
    ...(by === "container" || by === "user") && { groups: window.groups.map((group) => groupFields(by, group)) },
  };
}

/** `summary` of a run that counted system calls alone. */
export function activitySummaryObject(stamp: Stamp, totals: ActivityTotals): JsonObject {
  return { ...head("summary", stamp), ...activityTotalsFields(totals) };
}

/** What every summary says of system calls. */
export function activityTotalsFields(totals: ActivityTotals): Record<string, unknown> {
  return {
    windows: totals.windows,
    ...sumFields("seen", totals.seen),
    ...sumFields("counted", totals.counted),
    ...sumFields("overflow", totals.overflow),
    unentered: totals.unentered,
    passed_over_calls: totals.passedOver,
    balanced: isActivityBalanced(totals),
  };
}

function sumFields(
  prefix: string,
  { calls, errors, totalNs }: Record<keyof CallSums, number | bigint>,
): Record<string, number | bigint> {
  return { [`${prefix}_calls`]: calls, [`${prefix}_errors`]: errors, [`${prefix}_time_ns`]: totalNs };
}

function activityFields(activity: Activity): Record<string, unknown> {
  const estimate = (share: number) => {
    const found = percentile(activity.histogram, share, activity);
    return found === null ? null : Math.round(found.estimateNs);
  };
  return {
    calls: activity.calls,
    errors: activity.errors,
    time_ns: activity.totalNs,
    bytes_in: activity.bytesIn,
    bytes_out: activity.bytesOut,
    min_ns: activity.minNs,
    max_ns: activity.maxNs,
    p50_ns: estimate(0.5),
    p99_ns: estimate(0.99),
  };
}

function processFields(row: ProcessRow): Record<string, unknown> {
  const { pid, comm, exe, uid, gid, user, container, podUid } = row;
  return {
    pid,
    comm,
    ...exe && { exe },
    uid,
    gid,
    ...user && { user },
    ...container && { container },
    ...podUid && { pod: podUid },
    started_ns: row.startedNs === 0n ? null : row.startedNs,
    cgroup_id: row.cgroupId,
    ...activityFields(row),
    syscalls: row.syscalls.slice(0, ROW_SYSCALLS_MAX).map(callFields),
  };
}

function callFields({ name, abi, calls, errors, totalNs, bytesIn, bytesOut }: ProcessSyscall): Record<string, unknown> {
  return { name, abi, calls, errors, time_ns: totalNs, bytes_in: bytesIn, bytes_out: bytesOut };
}

function syscallFields(row: SyscallRow): Record<string, unknown> {
  return { name: row.name, abi: row.abi, number: row.number, processes: row.processes, ...activityFields(row) };
}

function groupFields(by: "container" | "user", group: ActivityGroup): Record<string, unknown> {
  return {
    [by]: group.label,
    processes: group.processes,
    ...activityFields(group),
    top: group.top.map(processFields),
  };
}
