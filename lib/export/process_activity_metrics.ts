/** The metrics of process activity and of flows' owners. */
import type { ActivityTotals, AttributionTotals } from "../aggregate/activity/activity_totals.ts";
import type { ProcessTotal, ProcessWindow } from "../aggregate/activity/process_window.ts";
import type { PrometheusText, Sample } from "../metrics/prometheus.ts";

/** Of a run that counts system calls. */
export interface ActivitySnapshot {
  totals: ActivityTotals;
  lastWindow: ProcessWindow | null;
}

const NS_PER_S = 1e9;

export function addActivityMetrics(text: PrometheusText, { totals, lastWindow }: ActivitySnapshot): void {
  const { seen, overflow } = totals;
  text.counter("ebpfmon_activity_calls_total", "System calls seen.", [{ value: seen.calls }]);
  text.counter("ebpfmon_activity_errors_total", "System calls that failed.", [{ value: seen.errors }]);
  text.counter("ebpfmon_activity_seconds_total", "Time that passed in system calls, summed over threads.", [
    { value: Number(seen.totalNs) / NS_PER_S },
  ]);
  text.counter(
    "ebpfmon_activity_overflow_calls_total",
    "System calls of processes that found no room in the activity map.",
    [{ value: overflow.calls }],
  );
  text.counter("ebpfmon_activity_passed_over_calls_total", "System calls that sampling left out.", [
    { value: totals.passedOver },
  ]);
  text.counter("ebpfmon_activity_unentered_total", "Returns of system calls whose entry was not seen.", [
    { value: totals.unentered },
  ]);
  const ofWindow = (value: (window: ProcessWindow) => number | bigint): Sample[] =>
    lastWindow === null ? [] : [{ value: value(lastWindow) }];
  text.counter(
    "ebpfmon_activity_missed_runs_total",
    "Runs of the programs that the kernel left out: calls that nobody counted.",
    ofWindow(({ missedRuns }) => missedRuns),
  );
  text.gauge(
    "ebpfmon_activity_processes",
    "Processes that made a system call in the last window.",
    ofWindow(({ processes }) => processes),
  );
  text.gauge(
    "ebpfmon_activity_map_entries",
    "Entries drained from the activity map at the last window's end.",
    ofWindow(({ entries }) => entries),
  );
  text.gauge(
    "ebpfmon_activity_map_capacity",
    "Entries that the activity map can hold.",
    ofWindow(({ capacity }) => capacity),
  );
  addTopProcesses(text, lastWindow?.totals ?? []);
}

/** Of the largest processes only: a series a process would have no bound. */
function addTopProcesses(text: PrometheusText, processes: ProcessTotal[]): void {
  const samples = (value: (total: ProcessTotal) => number | bigint): Sample[] =>
    processes.map((total) => ({ labels: { pid: `${total.pid}`, comm: total.comm }, value: value(total) }));
  const among = "of the processes with the most calls";
  text.counter("ebpfmon_process_syscalls_total", `System calls ${among}.`, samples(({ calls }) => calls));
  text.counter(
    "ebpfmon_process_syscall_errors_total",
    `Failed system calls ${among}.`,
    samples(({ errors }) => errors),
  );
  text.counter(
    "ebpfmon_process_syscall_seconds_total",
    `Time in system calls ${among}.`,
    samples(({ totalNs }) => Number(totalNs) / NS_PER_S),
  );
  text.counter("ebpfmon_process_read_bytes_total", `Bytes read ${among}.`, samples(({ bytesIn }) => bytesIn));
  text.counter("ebpfmon_process_written_bytes_total", `Bytes written ${among}.`, samples(({ bytesOut }) => bytesOut));
}

/** The three add up to the bytes of the flows that the filter accepts. */
export function addAttributionMetrics(text: PrometheusText, totals: AttributionTotals): void {
  text.counter("ebpfmon_flow_attributed_bytes_total", "Bytes of flows with a known owner.", [
    { value: totals.attributed.bytes },
  ]);
  text.counter("ebpfmon_flow_unattributed_bytes_total", "Bytes of flows whose owner was looked for and not found.", [
    { value: totals.unattributed.bytes },
  ]);
  text.counter("ebpfmon_flow_unasked_bytes_total", "Bytes of flows beyond those that a window looks up.", [
    { value: totals.unasked.bytes },
  ]);
}
