import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { processRow, processWindow } from "../../tests/support/activity.ts";
import { flowRow, flowWindow, metricsSnapshot } from "../../tests/support/windows.ts";
import {
  addActivityWindow,
  addAttribution,
  emptyActivityTotals,
  emptyAttributionTotals,
} from "../aggregate/activity/activity_totals.ts";
import { DEFAULT_ARRANGEMENT } from "../aggregate/activity/process_reducer.ts";
import { jsonLine, windowObject } from "./json_lines.ts";
import { renderMetrics } from "./metrics.ts";
import { activitySummaryObject, processesObject } from "./process_activity.ts";

/** What a reader of the line gets. */
// deno-lint-ignore no-explicit-any
function roundTrip(object: object): any {
  return JSON.parse(jsonLine(object));
}

const CONTAINER = "0123456789abcdef".repeat(4);

Deno.test("processesObject() has the equation, rows and kinds of calls", () => {
  const { top, syscalls, ...sums } = roundTrip(processesObject("h", processWindow({ top: [processRow()] })));
  assertEquals(sums, {
    type: "processes",
    time: "2026-01-02T03:04:05.000000006Z",
    host: "h",
    sequence: 0,
    start_ns: 1_000_000_000,
    end_ns: 2_000_000_000,
    duration_ms: 1000,
    sampling: 1,
    seen_calls: 120,
    seen_errors: 12,
    seen_time_ns: 1_200_000,
    counted_calls: 100,
    counted_errors: 10,
    counted_time_ns: 1_000_000,
    overflow_calls: 20,
    overflow_errors: 2,
    overflow_time_ns: 200_000,
    balanced: true,
    unentered: 3,
    passed_over_calls: 4,
    missed_runs: 0,
    matched_calls: 100,
    matched_errors: 10,
    matched_time_ns: 1_000_000,
    processes: 2,
    entries: 3,
    capacity: 8_192,
    sort: "calls",
    by: "process",
  });
  const durations = { min_ns: 130, max_ns: 1_900_000, p50_ns: 187, p99_ns: 1_764_106 };
  assertEquals({ ...top[0], ...durations }, {
    pid: 1234,
    comm: "nginx",
    exe: "/usr/sbin/nginx",
    uid: 33,
    gid: 33,
    user: "www-data",
    container: CONTAINER,
    started_ns: 5_000_000_000,
    cgroup_id: 9,
    calls: 60,
    errors: 6,
    time_ns: 600_000,
    bytes_in: 4_000,
    bytes_out: 70_000,
    ...durations,
    syscalls: [
      { name: "write", abi: "native", calls: 50, errors: 0, time_ns: 500_000, bytes_in: 0, bytes_out: 70_000 },
      { name: "openat", abi: "compat", calls: 10, errors: 6, time_ns: 100_000, bytes_in: 0, bytes_out: 0 },
    ],
  });
  assertEquals([top[0].min_ns, top[0].max_ns], [130, 1_900_000]);
  assertEquals(
    syscalls.map(({ name, abi, number, processes }: Record<string, unknown>) => [name, abi, number, processes]),
    [
      ["write", "native", 1, 2],
      ["openat", "compat", 295, 1],
    ],
  );
});

Deno.test("processesObject() has groups where it is grouped, and says when the equation does not hold", () => {
  const window = processWindow({
    arrangement: { ...DEFAULT_ARRANGEMENT, by: "user" },
    groups: [{ ...processRow(), label: "root", processes: 3, top: [processRow()] }],
    counted: { calls: 99, errors: 10, totalNs: 1_000_000n },
  });
  const { groups: [group], balanced } = roundTrip(processesObject("h", window));
  assertEquals([group.user, group.processes, group.calls, group.top[0].pid, balanced], ["root", 3, 60, 1234, false]);
});

Deno.test("activitySummaryObject() has the totals", () => {
  const totals = emptyActivityTotals();
  addActivityWindow(totals, processWindow());
  const summary = roundTrip(activitySummaryObject({ unixNs: 0n, host: "h" }, totals));
  assertEquals([summary.type, summary.windows, summary.seen_calls, summary.balanced], ["summary", 1, 120, true]);
});

const OWNED = flowWindow({
  top: [
    flowRow({ pid: 7, comm: "nginx", exe: "/usr/sbin/nginx", container: CONTAINER, podUid: "u" }),
    flowRow({ pid: 8, comm: "sh", exe: "", container: "", podUid: "" }),
    flowRow(),
  ],
  attribution: {
    attributed: { packets: 3, bytes: 300 },
    unattributed: { packets: 1, bytes: 100 },
    unasked: { packets: 5, bytes: 50 },
  },
});

Deno.test("windowObject() names owners where they are known, and the bytes that have one", () => {
  const { top, attributed_bytes, unattributed_bytes, unasked_bytes } = roundTrip(windowObject("h", OWNED, false));
  const owners = top.map(({ pid, comm, exe, container, pod }: Record<string, unknown>) => ({
    pid,
    comm,
    exe,
    container,
    pod,
  }));
  const nobody = { pid: undefined, comm: undefined, exe: undefined, container: undefined, pod: undefined };
  assertEquals(owners, [
    { pid: 7, comm: "nginx", exe: "/usr/sbin/nginx", container: CONTAINER, pod: "u" },
    { ...nobody, pid: 8, comm: "sh" },
    nobody,
  ]);
  assertEquals([attributed_bytes, unattributed_bytes, unasked_bytes], [300, 100, 50]);
});

Deno.test("renderMetrics() has activity and attribution where they are counted, and processes only when asked for", () => {
  const totals = emptyActivityTotals();
  const total = { startedNs: 1n, calls: 9n, errors: 1n, totalNs: 500_000_000n, bytesIn: 2n, bytesOut: 3n };
  const lastWindow = processWindow({ totals: [{ pid: 7, comm: 'a"b', ...total }] });
  addActivityWindow(totals, lastWindow);
  const attribution = emptyAttributionTotals();
  addAttribution(attribution, OWNED);
  const page = renderMetrics(metricsSnapshot({ activity: { totals, lastWindow }, attribution }));
  for (
    const line of [
      "ebpfmon_activity_calls_total 120",
      "ebpfmon_activity_errors_total 12",
      "ebpfmon_activity_seconds_total 0.0012",
      "ebpfmon_activity_overflow_calls_total 20",
      "ebpfmon_activity_missed_runs_total 0",
      "ebpfmon_activity_map_entries 3",
      "ebpfmon_activity_map_capacity 8192",
      "ebpfmon_flow_attributed_bytes_total 300",
      "ebpfmon_flow_unattributed_bytes_total 100",
      'ebpfmon_process_syscalls_total{pid="7",comm="a\\"b"} 9',
      'ebpfmon_process_syscall_seconds_total{pid="7",comm="a\\"b"} 0.5',
    ]
  ) {
    assertStringIncludes(page, `\n${line}\n`);
  }
  const without = renderMetrics(metricsSnapshot({ activity: { totals, lastWindow: processWindow() } }));
  assertEquals([without.includes("ebpfmon_process_syscall"), without.includes("attributed")], [false, false]);
  assertEquals(renderMetrics(metricsSnapshot()).includes("ebpfmon_activity"), false);
});
