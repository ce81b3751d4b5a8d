import { assert, assertEquals, assertObjectMatch } from "../../tests/assert.ts";
import { healthReport, pipelineEvent, ringCounters } from "../../tests/support/events.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { EventTotals } from "../pipeline/event_totals.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import { type RouterEvent, UID_UNKNOWN } from "../events/event.ts";
import {
  addEventMetrics,
  eventObject,
  eventsReadyObject,
  eventsSummaryObject,
  healthObject,
  ringAlertObject,
} from "./event_json.ts";
import { jsonLine } from "./json_lines.ts";
import { PrometheusText } from "../metrics/prometheus.ts";

const BOOT_NS = 1_767_323_040_000_000_006n; // five seconds before the events of pipelineEvent()
const STAMP = { unixNs: BOOT_NS + 5_000_000_000n, host: "h" };
const HEAD = { time: "2026-01-02T03:04:05.000000006Z", host: "h" };

/** What a reader of the line gets. */
function roundTrip(object: object): Record<string, unknown> {
  return JSON.parse(jsonLine(object));
}

function lossyHealth() {
  return healthReport({
    rings: [
      ringCounters("critical", { submitted: 8n, dropped: 1n, failures: 1n, spilled: 2n, consumed: 7n, fill: 0.5 }),
      ringCounters("normal"),
    ],
    droppedByType: [{ event: "process_exec", count: 1n }],
    rateLimited: 2n ** 53n,
    rateLimitedByPid: [{ pid: 7, count: 3n }],
    sampledOut: 4n,
    repeatsSuppressed: 5n,
    filtered: 6n,
  });
}

const STATS = pipelineStats({
  eventCounts: [{ event: "file_open", severity: "warning", records: 1, estimated: 4 }],
});

const CRITICAL = {
  ring: "critical",
  submitted: 8,
  dropped: 1,
  failures: 1,
  spilled: 2,
  consumed: 7,
  drop_rate: 0.1,
  fill: 0.5,
  capacity_bytes: 131_072,
};

Deno.test("eventObject() says who, when, where and what", () => {
  const event = pipelineEvent("file_open", { result: -13, repeats: 3, firstNs: 4_999_999_999n, spilled: true });
  assertEquals(roundTrip(eventObject("h", event, BOOT_NS)), {
    type: "event",
    ...HEAD,
    event: "file_open",
    severity: "warning",
    pid: 42,
    tid: 43,
    uid: 1000,
    comm: "sh",
    path: "/etc/shadow",
    path_truncated: false,
    flags: 32_768,
    syscall: "openat",
    result: -13,
    error: "EACCES",
    ts_ns: 5_000_000_000,
    first_ns: 4_999_999_999,
    repeats: 3,
    weight: 1,
    spilled: true,
    cpu: 1,
    cgroup_id: 9,
    rules_generation: 1,
    category: "filesystem",
    priority: 2,
  });
});

Deno.test("eventObject() has the details of each type", () => {
  const details: [RouterEvent["event"], Record<string, unknown>][] = [
    ["process_exec", { filename: "/bin/ls", argv: ["ls", "-l", ""], argv_truncated: false, ppid: 7 }],
    ["process_exit", { exit_code: 3, signal: 0 }],
    ["network_connect", { family: "ipv4", address: "192.0.2.1", port: 443 }],
    ["tcp_state", { src: "2001:db8::1", sport: 1024, old_state: "SYN_SENT", new_state: "ESTABLISHED" }],
    ["security_violation", { kind: "denied", syscall: "mount", detail: "/mnt" }],
    ["resource_limit", { kind: "files", syscall: "openat", detail: "" }],
  ];
  for (const [event, fields] of details) {
    const object = roundTrip(eventObject("h", pipelineEvent(event), BOOT_NS));
    assertObjectMatch(object, { event, result: 0, ...fields });
    assert(!("error" in object));
  }
});

Deno.test("eventObject() has what is known of the process, and leaves out what is not", () => {
  const process = {
    pid: 42,
    startNs: 1,
    name: "sh",
    ppid: 7,
    parentName: "init",
    exe: "/bin/sh",
    uid: 0,
    user: "",
    containerId: "c1",
    podUid: "",
  };
  const object = roundTrip(
    eventObject("h", pipelineEvent("network_connect", {}, { process, service: "https" }), BOOT_NS),
  );
  assertObjectMatch(object, {
    category: "network",
    priority: 2,
    parent_pid: 7,
    parent_comm: "init",
    exe: "/bin/sh",
    container_id: "c1",
    service: "https",
  });
  assert(!("user" in object) && !("pod_uid" in object));
});

Deno.test("healthObject() has the counters of the contract and what was held back", () => {
  assertObjectMatch(roundTrip(healthObject("h", lossyHealth())), {
    type: "health",
    ...HEAD,
    rings: [CRITICAL, { ring: "normal", drop_rate: 0 }],
    rate_limited: "9007199254740992",
    sampled_out: 4,
    repeats_suppressed: 5,
    filtered: 6,
    dropped_by_event: { process_exec: 1 },
    rate_limited_by_pid: [{ pid: 7, count: 3 }],
  });
});

Deno.test("ringAlertObject() and eventsReadyObject() follow the contract", () => {
  const alert = {
    alert: "critical_dropped" as const,
    level: "error" as const,
    message: "lost",
    fields: { dropped: 5n },
  };
  assertEquals(roundTrip(ringAlertObject(STAMP, alert)), {
    type: "alert",
    ...HEAD,
    alert: "critical_dropped",
    message: "lost",
    level: "error",
    dropped: 5,
  });
  assertEquals(roundTrip(eventsReadyObject(STAMP, { sources: ["file_open"], listen: null })), {
    type: "ready",
    ...HEAD,
    sources: ["file_open"],
    listen: null,
  });
});

Deno.test("eventsSummaryObject() has the totals, with and without a report", () => {
  const totals = new EventTotals();
  assertEquals(roundTrip(eventsSummaryObject(STAMP, totals)), {
    type: "summary",
    ...HEAD,
    records: 0,
    events: [],
    dropped_by_event: {},
  });
  totals.follow({ stats: () => STATS });
  totals.addHealth(lossyHealth());
  assertObjectMatch(roundTrip(eventsSummaryObject(STAMP, totals)), {
    records: 1,
    events: [{ event: "file_open", severity: "warning", records: 1, estimated: 4 }],
    dropped_by_event: { process_exec: 1 },
    rings: [CRITICAL, { ring: "normal" }],
    pipeline: { in: 1_000, aggregated: 700, unaccounted: 0 },
  });
});

Deno.test("addEventMetrics() names rings, types and severities, and nothing unbounded", () => {
  const totals = new EventTotals();
  totals.follow({ stats: () => STATS });
  totals.addHealth(lossyHealth());
  const text = new PrometheusText();
  addEventMetrics(text, totals);
  const lines = text.toString().split("\n");
  for (
    const line of [
      'ebpfmon_events_total{event="file_open",severity="warning"} 1',
      'ebpfmon_events_estimated_total{event="file_open",severity="warning"} 4',
      'ebpfmon_events_dropped_total{event="process_exec"} 1',
      'ebpfmon_ring_submitted_total{ring="critical"} 8',
      'ebpfmon_ring_dropped_total{ring="critical"} 1',
      'ebpfmon_ring_failures_total{ring="critical"} 1',
      'ebpfmon_ring_spilled_total{ring="critical"} 2',
      'ebpfmon_ring_consumed_total{ring="critical"} 7',
      'ebpfmon_ring_fill_ratio{ring="critical"} 0.5',
      'ebpfmon_ring_capacity_bytes{ring="critical"} 131072',
      'ebpfmon_events_held_back_total{reason="rate_limit"} 9007199254740992',
      'ebpfmon_ring_submitted_total{ring="normal"} 0',
      "ebpfmon_pipeline_aggregated_total 700",
    ]
  ) assert(lines.includes(line), line);
  assert(!lines.some((line) => /pid|comm/.test(line)));
});

Deno.test("eventObject() leaves out what is not known, and shows a zero that is", () => {
  const line = (event: PipelineEvent) => roundTrip(eventObject("h", event, BOOT_NS));
  const exec = pipelineEvent("process_exec", { incomplete: true, ppid: undefined });
  assert(!("ppid" in line(exec)));
  const exit = pipelineEvent("process_exit", { incomplete: true, exitCode: undefined, signal: undefined });
  const exited = line(exit);
  assert(!("exit_code" in exited) && !("signal" in exited));
  const victim = { comm: "", uid: UID_UNKNOWN, cgroupId: 0n, incomplete: true } as const;
  const unknown = line(pipelineEvent("resource_limit", victim));
  assert(!("uid" in unknown) && !("comm" in unknown) && !("cgroup_id" in unknown));
  const completed = line(pipelineEvent("resource_limit", { ...victim, comm: "hog", uid: 0, cgroupId: 7n }));
  assertObjectMatch(completed, { comm: "hog", uid: 0, cgroup_id: 7 });
  assertObjectMatch(line(pipelineEvent("process_exit", { exitCode: 0, uid: 0 })), { exit_code: 0, signal: 0, uid: 0 });
});
