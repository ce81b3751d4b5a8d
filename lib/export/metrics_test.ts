import { assert, assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { flowWindow, metricsSnapshot } from "../../tests/support/windows.ts";
import { renderMetrics } from "./metrics.ts";

Deno.test("renderMetrics() counts each class of each interface and direction", () => {
  const text = renderMetrics(metricsSnapshot());
  const expected = { flow: 70, overflow: 20, non_ip: 4, truncated: 3, malformed: 2, fragment: 1 };
  for (const [name, packets] of Object.entries(expected)) {
    const labels = `{iface="eth0",direction="egress",class="${name}"}`;
    assertStringIncludes(text, `\nebpfmon_packets_total${labels} ${packets}\n`);
    assertStringIncludes(text, `\nebpfmon_bytes_total${labels} ${packets * 100}\n`);
  }
  assertStringIncludes(text, '\nebpfmon_seen_packets_total{iface="eth0",direction="ingress"} 100\n');
  assertStringIncludes(text, '\nebpfmon_seen_bytes_total{iface="eth0",direction="ingress"} 10000\n');
});

Deno.test("renderMetrics() gives windows, maps, programs, build and process", () => {
  const text = renderMetrics(metricsSnapshot());
  for (
    const line of [
      'ebpfmon_build_info{version="1.2.3",libbpf="1.5"} 1',
      "ebpfmon_flows 2",
      "ebpfmon_flow_map_entries 2",
      "ebpfmon_flow_map_capacity 262144",
      "ebpfmon_flow_overflow_packets_total 40",
      "ebpfmon_flow_overflow_prefixes 0",
      "ebpfmon_flow_overflow_rest_packets 0",
      "ebpfmon_windows_total 1",
      'ebpfmon_window_swap_seconds_bucket{le="0.0025"} 1',
      "ebpfmon_window_drain_seconds_count 1",
      'ebpfmon_bpf_program_run_seconds_total{program="flow_ingress"} 1.5',
      'ebpfmon_bpf_program_runs_total{program="flow_ingress"} 10',
      "ebpfmon_process_resident_memory_bytes 1000000",
      "ebpfmon_process_start_time_seconds 1700000000.5",
      "ebpfmon_process_cpu_seconds_total 0.25",
    ]
  ) assertStringIncludes(text, `\n${line}\n`.trimStart());
});

Deno.test("renderMetrics() says what TCP sent again by what became of it, where that is counted", () => {
  const snapshot = metricsSnapshot();
  assert(!renderMetrics(snapshot).includes("retransmit"));
  snapshot.totals.retransmits = {
    segments: 10n,
    attributed: 6n,
    unattributed: 3n,
    overflow: 1n,
    forwarded: 4n,
    elsewhere: 5n,
    missedRuns: 2n,
  };
  const text = renderMetrics(snapshot);
  const expected = { attributed: 6, unattributed: 3, overflow: 1, forwarded: 4, elsewhere: 5 };
  for (const [name, segments] of Object.entries(expected)) {
    assertStringIncludes(text, `\nebpfmon_tcp_retransmits_total{class="${name}"} ${segments}\n`);
  }
  assertStringIncludes(text, "\nebpfmon_tcp_retransmit_missed_runs_total 2\n");
});

Deno.test("renderMetrics() before the first window claims no capacity and no programs", () => {
  const text = renderMetrics(metricsSnapshot({ lastWindow: null, programs: [] }));
  assertStringIncludes(text, "\nebpfmon_flows 0\n");
  assert(!text.includes("flow_map_capacity") && !text.includes("bpf_program"));
});

Deno.test("renderMetrics() writes each family once, and every line ends", () => {
  const text = renderMetrics(metricsSnapshot());
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
  assertEquals(families.length, new Set(families).size);
  assertEquals(text.at(-1), "\n");
});

Deno.test("renderMetrics() says how many networks the last window's overflow came from, and names none", () => {
  const overflow = {
    estimates: [],
    prefixes: [{ iface: "eth0", direction: "ingress" as const, prefix: "192.0.2.0/24", packets: 30, bytes: 3_000 }],
    prefixCount: 4,
    rest: { packets: 10, bytes: 1_000 },
  };
  const page = renderMetrics(metricsSnapshot({ lastWindow: flowWindow({ overflow }) }));
  assertStringIncludes(page, "\nebpfmon_flow_overflow_prefixes 4\n");
  assertStringIncludes(page, "\nebpfmon_flow_overflow_rest_packets 10\n");
  assert(!page.includes("192.0.2"));
});
