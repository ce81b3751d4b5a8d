import { assert, assertEquals } from "../../tests/assert.ts";
import { healthReport, pipelineEvent, ringCounters } from "../../tests/support/events.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { EventTotals } from "../pipeline/event_totals.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import { UID_UNKNOWN } from "../events/event.ts";
import { renderOutcomes } from "./pipeline_view.ts";
import { renderEvent, renderEventsSummary, renderHealthLine, renderRings } from "./events_view.ts";

const BOOT_NS = 1_767_323_040_000_000_006n; // five seconds before the events of pipelineEvent()

const NO_PROCESS = {
  pid: 42,
  startNs: 0,
  name: "sh",
  ppid: 0,
  parentName: "",
  exe: "",
  uid: 0,
  user: "",
  containerId: "",
  podUid: "",
};

function line(event: PipelineEvent): string {
  return renderEvent(event, BOOT_NS, false);
}

/** What stands after the colon. */
function details(event: PipelineEvent): string {
  return line(event).replace(/^.*? sh: ?/, "");
}

Deno.test("renderEvent() says when, how severe, what and who", () => {
  assertEquals(
    line(pipelineEvent("file_open", { result: -13 })),
    "2026-01-02T03:04:05.000Z warning  file_open          pid 42 uid 1000 sh: openat /etc/shadow flags 0100000 = EACCES",
  );
});

Deno.test("renderEvent() shows the details of each type", () => {
  assertEquals(details(pipelineEvent("process_exec")), '/bin/ls [ls -l ""] ppid 7');
  assertEquals(details(pipelineEvent("process_exec", { argvTruncated: true })), '/bin/ls [ls -l ""…] ppid 7');
  assertEquals(details(pipelineEvent("process_exit")), "exit code 3");
  assertEquals(details(pipelineEvent("process_exit", { signal: 9 })), "killed by signal 9");
  assertEquals(
    details(pipelineEvent("file_open", { pathTruncated: true, flags: 2, result: 3 })),
    "openat /etc/shadow… flags 02 = 3",
  );
  assertEquals(details(pipelineEvent("network_connect")), "ipv4 192.0.2.1:443");
  assertEquals(details(pipelineEvent("network_connect", { family: "ipv6", address: "::1" })), "ipv6 [::1]:443");
  assertEquals(
    details(pipelineEvent("network_connect", { family: "unix", address: "/run/s", port: 0 })),
    "unix /run/s",
  );
  assertEquals(details(pipelineEvent("tcp_state")), "[2001:db8::1]:1024 -> [2001:db8::2]:443 SYN_SENT -> ESTABLISHED");
  assertEquals(details(pipelineEvent("security_violation", { result: -1 })), "denied mount /mnt = EPERM");
  assertEquals(details(pipelineEvent("resource_limit", { result: -200 })), "files openat = errno 200");
});

Deno.test("renderEvent() says when a record stands for more than itself", () => {
  const event = pipelineEvent("process_exit", { repeats: 12, weight: 8, spilled: true });
  assertEquals(details(event), "exit code 3 repeated 12 times sampled 1/8 spilled");
});

Deno.test("renderEvent() lets no process write to the terminal or pass for another", () => {
  const hostile = '\x1b[2J\n\r\x9b1m\u202e\u2028 uid 0 "root": \\x1b';
  const events = [
    pipelineEvent("file_open", { comm: hostile, path: hostile }),
    pipelineEvent("process_exec", { comm: "a:", filename: hostile, argv: [hostile, "] ppid 1", "é漢"] }),
    pipelineEvent("network_connect", { family: "unix", address: hostile }),
    pipelineEvent("security_violation", { detail: hostile }),
  ];
  for (const event of events) {
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f\x7f-\x9f\u2028-\u202e]/.test(line(event)), line(event));
  }
  const quoted = '"\\x1b[2J\\x0a\\x0d\\x9b1m\\u202e\\u2028 uid 0 \\"root\\": \\\\x1b"';
  assert(line(events[0]).includes(`uid 1000 ${quoted}: openat ${quoted} flags`), line(events[0]));
  assert(line(events[1]).endsWith(`"a:": ${quoted} [${quoted} "] ppid 1" é漢] ppid 7`), line(events[1]));
});

Deno.test("renderEvent() colours nothing but the severity", () => {
  const coloured = renderEvent(pipelineEvent("file_open", { severity: "critical" }), BOOT_NS, true);
  assert(coloured.includes(" \x1b[1;37;41mcritical\x1b[0m file_open "), coloured);
  const info = pipelineEvent("file_open", { severity: "info" });
  assertEquals(renderEvent(info, BOOT_NS, true), line(info));
});

const RINGS = [
  ringCounters("critical", { submitted: 12n, consumed: 12n }),
  ringCounters("normal", { submitted: 1_234_567n, dropped: 123n, spilled: 4n, consumed: 1_234_000n, fill: 0.25 }),
  ringCounters("debug", { submitted: 1n, dropped: 3n, consumed: 1n, fill: 1 }),
];

Deno.test("renderRings() is the table of the source lab and three columns more", () => {
  assertEquals(renderRings({ rings: RINGS }), [
    "BUFFER    SUBMITTED  DROPPED  DROP_RATE  SPILLED  CONSUMED     FILL",
    "critical         12        0     0.00 %        0        12    0.0 %",
    "normal      1234567      123     0.01 %        4   1234000   25.0 %",
    "debug             1        3    75.00 %        0         1  100.0 %",
  ]);
});

Deno.test("renderEvent() names the service of a connection, and the container", () => {
  const process = { ...NO_PROCESS, containerId: "0123456789abcdef" };
  const event = pipelineEvent("network_connect", {}, { service: "https", process });
  assertEquals(details(event), "ipv4 192.0.2.1:443 (https) container 0123456789ab");
});

Deno.test("renderHealthLine() mentions losses where there are any", () => {
  assertEquals(
    renderHealthLine({ rings: RINGS }),
    "critical 12 · normal 1.2 M, 123 (0.0 %) dropped, 4 spilled · debug 1, 3 (75.0 %) dropped",
  );
});

Deno.test("renderEventsSummary() has totals, estimates that say so, and the rings", () => {
  const totals = new EventTotals();
  assertEquals(renderEventsSummary(totals, 2), ["=== Summary ===", "Duration: 2s", "Events: 0 records"]);
  const stats = pipelineStats({
    eventCounts: [
      { event: "process_exec", severity: "critical", records: 1, estimated: 1 },
      { event: "file_open", severity: "debug", records: 1, estimated: 8 },
    ],
  });
  totals.follow({ stats: () => stats });
  totals.addHealth(healthReport({
    rings: RINGS,
    droppedByType: [{ event: "file_open", count: 3n }],
    rateLimited: 1n,
    sampledOut: 7n,
    repeatsSuppressed: 2n,
    filtered: 4n,
  }));
  assertEquals(renderEventsSummary(totals, 61), [
    "=== Summary ===",
    "Duration: 1m 01s",
    "Events: 2 records",
    "  process_exec       critical 1",
    "  file_open          debug    1 (stand for about 8 events)",
    "Dropped: file_open 3",
    ...renderOutcomes(stats),
    "Held back: rate limit 1, sampling 7, repeats 2, filters 4",
    "",
    ...renderRings({ rings: RINGS }),
  ]);
});

Deno.test("renderEvent() says nothing of what is not known", () => {
  const exit = pipelineEvent("process_exit", { incomplete: true, exitCode: undefined, signal: undefined });
  assert(!/exit|killed/.test(line(exit).replace("process_exit", "")));
  const exec = pipelineEvent("process_exec", { incomplete: true, ppid: undefined });
  assert(!line(exec).includes("ppid"));
  const victim = pipelineEvent("resource_limit", { comm: "", uid: UID_UNKNOWN, cgroupId: 0n, incomplete: true });
  assert(line(victim).includes("pid 42: "));
});
