/** Traces as an independent receiver gets them, and what happens when it is not there. */
import { OtlpExporter, type OtlpExporterOptions } from "../lib/fleet/traces/otlp_exporter.ts";
import { openOtlpHttp } from "../lib/fleet/traces/otlp_http.ts";
import { otlpSettings } from "../lib/fleet/traces/otlp_settings.ts";
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import type { CorrelatedGroup, FleetRecord } from "../lib/fleet/correlation/correlated_group.ts";
import { parseCorrelationRules } from "../lib/fleet/correlation/rules.ts";
import { after } from "../lib/runtime/timers.ts";
import { assert, assertEquals, assertLess, assertMatch } from "./assert.ts";
import { at, FakeHost } from "./correlation_records.ts";
import { OtlpReceiver, type ReceivedSpan } from "./support/otlp_receiver.ts";
import { until } from "./support/until.ts";

const RULES = parseCorrelationRules(
  `rules:
  - name: tree
    kind: process_tree
    window_ms: 60000
    steps: [{ event: network_connect }, { event: file_open }]
    severity: error
    sentence: "{filename} on {host} connected to {peers} and opened {paths}."
  - name: pair
    kind: connection_pair
    window_ms: 10000
    severity: debug
    sentence: "{src} to {dst}"
  - name: pressure
    kind: pressure
    cause: { event: resource_limit }
    effect: { event: process_exit, signal: 9 }
    threshold: 2
    window_ms: 10000
    severity: warning
    sentence: "{victims}"
`,
  "rules",
);

function correlate(records: FleetRecord[]): CorrelatedGroup[] {
  const groups: CorrelatedGroup[] = [];
  const engine = new CorrelationEngine(RULES, (group) => groups.push(group));
  for (const record of records) engine.add(record);
  engine.flush();
  return groups;
}

/** A shell that starts curl, which connects, and cat, which reads. */
function treeRecords(host = new FakeHost("web-1")): FleetRecord[] {
  const enrichment = { user: "ann", containerId: "c0ffee", podUid: "0a1b", service: "shop", exe: "/usr/bin/curl" };
  return [
    host.event("process_exec", 1.000000001, { pid: 10, ppid: 1, filename: "/bin/sh", comm: "sh" }),
    host.event("process_exec", 1.1, { pid: 11, ppid: 10, filename: "/usr/bin/curl", comm: "curl", enrichment }),
    host.event("network_connect", 1.2, { pid: 11, comm: "curl", enrichment }),
    host.event("process_exit", 1.300000007, { pid: 11, comm: "curl", exitCode: 3 }),
    host.event("process_exec", 1.4, { pid: 12, ppid: 10, filename: "/bin/cat", comm: "cat" }),
    host.event("file_open", 1.5, { pid: 12, comm: "cat", path: "/etc/passwd", repeats: 4, firstNs: 0n }),
    host.event("process_exit", 1.6, { pid: 12, comm: "cat" }),
    host.event("process_exit", 1.7, { pid: 10, comm: "sh" }),
  ];
}

async function openExporter(endpoint: string, options: Partial<OtlpExporterOptions> & { env?: object } = {}) {
  const { env, ...rest } = options;
  const settings = otlpSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...env })!;
  const http = await openOtlpHttp(settings);
  const reasons: string[] = [];
  const exporter = new OtlpExporter({
    settings,
    fetch: (url, init) => http.fetch(url, init),
    after,
    backoffMs: 1,
    onFailure: (reason) => reasons.push(reason),
    ...rest,
  });
  return { exporter, reasons, [Symbol.dispose]: () => http[Symbol.dispose]() };
}

function byName(spans: ReceivedSpan[], name: string, nth = 0): ReceivedSpan {
  const span = spans.filter((span) => span.name === name)[nth];
  assert(span !== undefined, `${name} is not among ${spans.map(({ name }) => name)}`);
  return span;
}

Deno.test("a process tree is received as spans below their parents, with exact times and attributes", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url, { env: { OTEL_EXPORTER_OTLP_HEADERS: "x-token=a%20b,x-tenant=t" } });
  const records = treeRecords();
  // It was opened four times: first a quarter of a second before the last.
  const opening = records[5] as Extract<FleetRecord, { event: unknown }>;
  opening.event.firstNs = opening.event.tsNs - 250_000_003n;
  const [group] = correlate(records);
  opened.exporter.send(group);
  await opened.exporter.close(5_000);

  const [{ path, headers, resources, spans }] = receiver.requests;
  assertEquals(path, "/v1/traces");
  assertEquals([headers.get("content-type"), headers.get("content-encoding")], ["application/x-protobuf", null]);
  assertEquals([headers.get("x-token"), headers.get("x-tenant")], ["a b", "t"]);
  assertEquals(resources, [{ "service.name": "ebpfmon", "host.name": "web-1" }]);
  assertEquals(spans.length, group.members.length + 1);
  assertEquals(new Set(spans.map(({ traceId }) => traceId)), new Set([group.id]));
  assertEquals(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
  for (const { spanId } of spans) assertMatch(spanId, /^[0-9a-f]{16}$/);

  const [root, shell, curl] = [byName(spans, "tree"), byName(spans, "process sh"), byName(spans, "process curl")];
  const cat = byName(spans, "process cat");
  const [connect, open] = [byName(spans, "network_connect"), byName(spans, "file_open")];
  const exits = [0, 1, 2].map((nth) => byName(spans, "process_exit", nth));
  const parents = [root, shell, curl, cat, connect, open, ...exits].map(({ parentSpanId }) => parentSpanId);
  assertEquals(parents, [
    "",
    root.spanId,
    shell.spanId,
    shell.spanId,
    curl.spanId,
    cat.spanId,
    curl.spanId,
    cat.spanId,
    shell.spanId,
  ]);

  const times = (span: ReceivedSpan) => [span.startUnixNs, span.endUnixNs];
  assertEquals(times(root), [at(1) + 1n, at(1.7)]);
  assertEquals(times(shell), [at(1) + 1n, at(1.7)]);
  assertEquals(times(curl), [at(1.1), at(1.3) + 7n]);
  assertEquals(times(connect), [at(1.2), at(1.2)]);
  assertEquals(times(open), [at(1.5) - 250_000_003n, at(1.5)]);

  assertEquals(root.status, "STATUS_CODE_ERROR");
  assertEquals(root.message, "/bin/sh on web-1 connected to 192.0.2.1:443 and opened /etc/passwd.");
  assertEquals(root.attributes, {
    "ebpfmon.group.rule": "tree",
    "ebpfmon.group.kind": "process_tree",
    "ebpfmon.group.key": "web-1/10",
    "ebpfmon.group.severity": "error",
    "ebpfmon.group.sentence": root.message,
    "ebpfmon.group.confidence": 1,
    "ebpfmon.group.doubts": [],
    "ebpfmon.group.closed": "ended",
    "ebpfmon.group.hosts": ["web-1"],
    "ebpfmon.group.members": 8,
    "ebpfmon.group.members_left_out": 0,
  });
  assertEquals([connect.kind, open.kind], ["SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL"]);
  assertEquals(connect.attributes, {
    "ebpfmon.member.role": "step",
    "ebpfmon.record.sequence": 2,
    "ebpfmon.event.type": "network_connect",
    "ebpfmon.event.severity": "info",
    "ebpfmon.event.result": 0,
    "process.pid": 11,
    "process.executable.name": "curl",
    "process.executable.path": "/usr/bin/curl",
    "process.owner": "ann",
    "user.id": "1000",
    "container.id": "c0ffee",
    "k8s.pod.uid": "0a1b",
    "ebpfmon.service": "shop",
    "network.type": "ipv4",
    "network.peer.address": "192.0.2.1",
    "network.peer.port": 443,
  });
  const { "file.path": filePath, "ebpfmon.event.repeats": repeats } = open.attributes;
  assertEquals([filePath, repeats, exits[0].attributes["process.exit.code"]], ["/etc/passwd", 4, 3]);
  assertEquals([curl.attributes["process.parent_pid"], curl.attributes["process.pid"]], [10, 11]);
});

Deno.test("the two ends of a connection are received linked, each with its host's resource", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url, { env: { OTEL_EXPORTER_OTLP_COMPRESSION: "gzip" } });
  const [client, server] = [new FakeHost("client"), new FakeHost("server")];
  const mirrored = { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: 40_000 };
  const [group] = correlate([
    client.event("tcp_state", 1, { pid: 5, comm: "curl" }),
    server.event("tcp_state", 1.01, { ...mirrored, oldState: "SYN_RECV", pid: 6, comm: "nginx" }),
    client.flow(1.5, { direction: "egress", pid: 5, comm: "curl", container: "c1" }),
  ]);
  opened.exporter.send(group);
  await opened.exporter.close(5_000);

  const [{ headers, resources, spans }] = receiver.requests;
  assertEquals(headers.get("content-encoding"), "gzip");
  assertEquals(resources.map((resource) => resource["host.name"]), ["client", "server"]);
  const out = byName(spans.filter(({ kind }) => kind === "SPAN_KIND_CLIENT"), "tcp_state");
  const into = byName(spans.filter(({ kind }) => kind === "SPAN_KIND_SERVER"), "tcp_state");
  assertEquals([out.resource["host.name"], into.resource["host.name"]], ["client", "server"]);
  assertEquals(out.links, [{ traceId: group.id, spanId: into.spanId }]);
  assertEquals(into.links, [{ traceId: group.id, spanId: out.spanId }]);
  const network = (span: ReceivedSpan) =>
    Object.fromEntries(Object.entries(span.attributes).filter(([key]) => key.startsWith("network.")));
  assertEquals(network(into), {
    "network.transport": "tcp",
    "network.type": "ipv4",
    "network.local.address": "10.0.0.2",
    "network.local.port": 443,
    "network.peer.address": "10.0.0.1",
    "network.peer.port": 40_000,
  });
  const flow = byName(spans, "flow tcp");
  assertEquals([flow.parentSpanId, flow.kind], [out.spanId, "SPAN_KIND_CLIENT"]);
  const { "container.id": container, "network.io.direction": io, "ebpfmon.flow.bytes": bytes } = flow.attributes;
  assertEquals([container, io, bytes], ["c1", "transmit", 1_000]);
});

Deno.test("a kill is received linked to what its process met, and not to what others did", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url);
  const host = new FakeHost("h");
  const [group] = correlate([
    host.event("resource_limit", 1, { pid: 20 }),
    host.event("resource_limit", 2, { pid: 21 }),
    host.event("process_exit", 3, { pid: 21, signal: 9 }),
  ]);
  opened.exporter.send(group);
  await opened.exporter.close(5_000);
  const [, , second, kill] = receiver.spans;
  assertEquals([second.attributes["process.pid"], kill.attributes["ebpfmon.signal"]], [21, 9]);
  assertEquals(kill.links, [{ traceId: group.id, spanId: second.spanId }]);
});

Deno.test("a group is sent once, however often it is given", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url);
  const groups = [...correlate(treeRecords()), ...correlate(treeRecords())];
  assertEquals(groups[0], groups[1]);
  for (const group of groups) opened.exporter.send(group);
  await opened.exporter.close(5_000);
  assertEquals(receiver.spans.length, 9);
  assertEquals(opened.exporter.counts, {
    taken: 9,
    exported: 9,
    rejected: 0,
    failed: 0,
    dropped: 0,
    waiting: 0,
    retries: 0,
    requests: 1,
    duplicates: 1,
  });
});

Deno.test("a receiver that is busy gets the spans once it is not, and none twice", async () => {
  await using receiver = new OtlpReceiver();
  receiver.answerWith({ status: 503 }, { status: 429, headers: { "retry-after": "0" } }, { status: 502 });
  using opened = await openExporter(receiver.url);
  opened.exporter.send(correlate(treeRecords())[0]);
  await until(() => receiver.requests.length > 0);
  opened.exporter.send(correlate(treeRecords(new FakeHost("web-2")))[0]);
  await opened.exporter.close(5_000);
  assertEquals(receiver.spans.map(({ spanId }) => spanId).length, 18);
  assertEquals(new Set(receiver.spans.map(({ spanId }) => spanId)).size, 18);
  const { exported, failed, retries, requests } = opened.exporter.counts;
  assertEquals([exported, failed, retries, requests], [18, 0, 3, 5]);
});

Deno.test("a receiver that comes up late gets the spans", async () => {
  const gone = new OtlpReceiver();
  const { port, url } = gone;
  await gone[Symbol.asyncDispose]();
  using opened = await openExporter(url, { attemptsMax: 100, backoffMs: 20, backoffMsMax: 50 });
  opened.exporter.send(correlate(treeRecords())[0]);
  await until(() => opened.exporter.counts.retries >= 2);
  await using receiver = new OtlpReceiver(port);
  await opened.exporter.close(5_000);
  assertEquals([receiver.spans.length, opened.exporter.counts.exported, opened.exporter.counts.failed], [9, 9, 0]);
});

Deno.test("what cannot be sent is counted, with the reason", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url, { attemptsMax: 2, queueSpansMax: 9 });
  receiver.answerWith({ status: 400 }, { status: 503 }, { status: 503 }, { rejectedSpans: 4, errorMessage: "no room" });
  for (let i = 0; i < 3; i++) {
    const { waiting } = opened.exporter.counts;
    assertEquals(waiting, 0);
    const host = new FakeHost(`web-${i}`);
    opened.exporter.send(correlate(treeRecords(host))[0]);
    if (i === 0) opened.exporter.send(correlate(treeRecords(new FakeHost("one-too-many")))[0]);
    await until(() => opened.exporter.counts.waiting === 0);
  }
  await opened.exporter.close(5_000);
  const { taken, exported, rejected, failed, dropped, waiting } = opened.exporter.counts;
  assertEquals([taken, exported, rejected, failed, dropped, waiting], [36, 5, 4, 18, 9, 0]);
  assertEquals(opened.reasons, [
    "too many spans wait",
    "HTTP status 400, attempt 1 of 2",
    "HTTP status 503, attempt 2 of 2",
    "no room",
  ]);
});

Deno.test("a group that was given up is sent when it is given again", async () => {
  await using receiver = new OtlpReceiver();
  receiver.answerWith({ status: 500 });
  using opened = await openExporter(receiver.url);
  for (const exported of [0, 9, 9]) {
    opened.exporter.send(correlate(treeRecords())[0]);
    await until(() => opened.exporter.counts.waiting === 0);
    assertEquals(opened.exporter.counts.exported, exported);
  }
  await opened.exporter.close(5_000);
  assertEquals([receiver.spans.length, opened.exporter.counts.failed, opened.exporter.counts.duplicates], [9, 9, 1]);
});

Deno.test("a group is settled once nothing of it will be sent any more, but not where the export is cut off", async () => {
  await using receiver = new OtlpReceiver();
  receiver.answerWith({ status: 503 }, { rejectedSpans: 4, errorMessage: "no room" }, { status: 400 });
  const settled: string[] = [];
  using opened = await openExporter(receiver.url, { queueSpansMax: 9, onSettled: (ids) => settled.push(...ids) });
  const [partly, refused, crowded, cutOff, tooLate] = ["a", "b", "c", "d", "e"].map((host) =>
    correlate(treeRecords(new FakeHost(host)))[0]
  );
  opened.exporter.send(partly);
  assertEquals(settled, []);
  await until(() => settled.length === 1);
  opened.exporter.send(refused);
  opened.exporter.send(crowded);
  assertEquals(settled, [partly.id, crowded.id]);
  await until(() => settled.length === 3);
  receiver.answerWith("silence");
  opened.exporter.send(cutOff);
  await opened.exporter.close(100);
  opened.exporter.send(tooLate);
  assertEquals(settled, [partly.id, crowded.id, refused.id]);
});

Deno.test("close() waits no longer than it is told, for an answer or for the next attempt", async () => {
  await using receiver = new OtlpReceiver();
  receiver.answerWith("silence");
  using silent = await openExporter(receiver.url, { env: { OTEL_EXPORTER_OTLP_TIMEOUT: "600000" } });
  const gone = new OtlpReceiver();
  await gone[Symbol.asyncDispose]();
  using refused = await openExporter(gone.url, { backoffMs: 600_000, backoffMsMax: 600_000, random: () => 1 });
  for (const { exporter, reasons } of [silent, refused]) {
    exporter.send(correlate(treeRecords())[0]);
    const began = performance.now();
    await exporter.close(100);
    assertLess(performance.now() - began, 300_000);
    assertEquals([exporter.counts.failed, exporter.counts.waiting, reasons.length], [9, 0, 1]);
    exporter.send(correlate(treeRecords(new FakeHost("late")))[0]);
    assertEquals(exporter.counts.dropped, 9);
  }
});

Deno.test("an answer that does not come is given up and asked for again", async () => {
  await using receiver = new OtlpReceiver();
  receiver.answerWith("silence");
  using opened = await openExporter(receiver.url, { env: { OTEL_EXPORTER_OTLP_TIMEOUT: "100" } });
  opened.exporter.send(correlate(treeRecords())[0]);
  await opened.exporter.close(5_000);
  assertEquals([opened.exporter.counts.exported, opened.exporter.counts.retries], [9, 1]);
});

Deno.test("thousands of groups arrive complete, in requests of bounded size", async () => {
  await using receiver = new OtlpReceiver();
  using opened = await openExporter(receiver.url, { batchSpansMax: 500 });
  const groups = Array.from({ length: 2_000 }, (_, i) => correlate(treeRecords(new FakeHost(`web-${i}`)))[0]);
  for (const group of groups) opened.exporter.send(group);
  await opened.exporter.close(20_000);
  assertEquals(receiver.spans.length, 18_000);
  assertEquals(new Set(receiver.spans.map(({ traceId, spanId }) => traceId + spanId)).size, 18_000);
  for (const { spans } of receiver.requests) assertLess(spans.length, 501);
});
