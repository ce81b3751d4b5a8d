/** `ebpfmon serve` that was away: what agents kept for it meanwhile, and what it had not sent itself. */
import { DatabaseSync } from "node:sqlite";
import { monotonicNs } from "../lib/ffi/libc.ts";
import type { EnrichedEvent } from "../lib/fleet/enriched_event.ts";
import type { RouterEvent } from "../lib/events/event.ts";
import { assertEquals, assertStringIncludes } from "./assert.ts";
import { FakeHost } from "./correlation_records.ts";
import { TestAgent } from "./support/fleet_agent.ts";
import { eventually, FleetServe, type Json, TestFolder } from "./support/fleet_cli.ts";
import { freePort } from "./support/fleet_programs.ts";
import { OtlpReceiver } from "./support/otlp_receiver.ts";

const NS_PER_MS = 1_000_000n;
const LATENESS_MS = 3000;
const OUTAGE_MS = 6000;
const LINEAGES = 25;

const RULES = `
rules:
  - name: exec, connect, open
    kind: process_tree
    window_ms: 3000
    steps: [{ event: process_exec }, { event: network_connect }, { event: file_open }]
    severity: warning
    sentence: "{pid}"
  - name: violations
    kind: burst
    match: { event: security_violation }
    per: user
    threshold: 2
    window_ms: 100
    severity: warning
    sentence: "{subject}"
`;

const host = new FakeHost("web-1");

/** An event as the kernel would have seen it that long ago. */
function eventAgo<Type extends RouterEvent["event"]>(
  type: Type,
  agoMs: number,
  details: Parameters<typeof host.event<Type>>[2],
): EnrichedEvent {
  const { event } = host.event(type, 0, details);
  event.tsNs = event.firstNs = monotonicNs() - BigInt(agoMs) * NS_PER_MS;
  return { event };
}

/** Time goes on, in every lane. */
function heartbeat(): EnrichedEvent[] {
  return (["critical", "info", "debug"] as const).map((severity) =>
    eventAgo("resource_limit", 0, { severity, pid: 1, uid: 1 })
  );
}

/** Waits for groups of a rule, while the agent goes on. */
async function groupsOf(server: FleetServe, agent: TestAgent, rule: string, count: number): Promise<Json[]> {
  return await eventually(async () => {
    agent.batcher.add(heartbeat());
    const groups = await server.groups(`&rule=${encodeURIComponent(rule)}`);
    return groups.length >= count && groups;
  }, () => `${count} groups: ${server.process!.stderr}`);
}

Deno.test("what happened during an outage longer than the lateness is correlated, though it comes by severity", async () => {
  await using folder = new TestFolder();
  const rules = folder.write("rules.yaml", RULES);
  const args = ["--correlation-lateness", String(LATENESS_MS), "--correlation-rules", rules];
  await using server = await new FleetServe(folder.path, args).start();
  await using agent = new TestAgent({ port: server.grpcPort });
  const isDelivered = () => agent.spool.stats.batches.spooled === 0;
  agent.batcher.add(heartbeat());
  agent.batcher.flush();
  await eventually(isDelivered, () => "acknowledgement");
  await server.kill();
  const begunMs = performance.now();
  await eventually(() => performance.now() - begunMs > OUTAGE_MS + 500, () => "outage");
  for (let i = 0; i < LINEAGES; i++) {
    const agoMs = OUTAGE_MS - i * OUTAGE_MS / LINEAGES;
    const pid = 1000 + i;
    agent.batcher.add([
      eventAgo("process_exec", agoMs, { severity: "critical", pid }),
      eventAgo("network_connect", agoMs - 1, { severity: "info", pid }),
      eventAgo("file_open", agoMs - 2, { severity: "debug", pid }),
      eventAgo("process_exit", agoMs - 3, { severity: "debug", pid }),
    ]);
  }
  agent.batcher.flush();
  await server.start();
  const groups = await groupsOf(server, agent, "exec, connect, open", LINEAGES);
  assertEquals(
    groups.map(({ sentence, members }) => [Number(sentence), members.length]).sort(([a], [b]) => a - b),
    Array.from({ length: LINEAGES }, (_, i) => [1000 + i, 4]),
  );
  const metrics = await server.get("/metrics");
  assertStringIncludes(metrics, 'ebpfmon_correlation_records_total{outcome="late"} 0\n');
});

/** Groups whose traces a server that does not run has left. */
function untraced(storePath: string): string[] {
  using db = new DatabaseSync(storePath);
  return db.prepare("SELECT id FROM untraced").all().map(({ id }) => id as string);
}

/** A burst of one user. */
function violations(uid: number): EnrichedEvent[] {
  return [20, 10].map((agoMs) => eventAgo("security_violation", agoMs, { severity: "critical", uid }));
}

Deno.test("a group whose trace a kill -9 of the server kept from its receiver has it after the restart, once", async () => {
  await using folder = new TestFolder();
  const storePath = `${folder.path}/fleet.db`;
  const rules = folder.write("rules.yaml", RULES);
  const receiverPort = freePort();
  const args = ["--correlation-lateness", "500", "--correlation-rules", rules, "--store", storePath];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiverPort}` };
  await using server = await new FleetServe(folder.path, args, env).start();
  await using agent = new TestAgent({ port: server.grpcPort });
  agent.batcher.add(violations(2000));
  const [group] = await groupsOf(server, agent, "violations", 1);
  await server.kill();
  assertEquals(untraced(storePath), [group.id]);

  await server.start();
  await using receiver = new OtlpReceiver(receiverPort);
  const spans = await eventually(
    () => receiver.spans.length === group.members.length + 1 && receiver.spans,
    () => `trace: ${server.process!.stdout}`,
  );
  assertEquals(new Set(spans.map(({ traceId }) => traceId)), new Set([group.id]));
  const [root, ...members] = spans;
  assertEquals([root.name, root.message, root.attributes["ebpfmon.group.key"]], ["violations", "", group.key]);
  assertEquals(members.map(({ parentSpanId }) => parentSpanId), [root.spanId, root.spanId]);
  assertEquals(members.map(({ attributes }) => attributes["user.id"]), ["2000", "2000"]);

  // Struck out by a run that ends in order, it is not sent by the next; what that one records is.
  await server.process!.finish();
  assertEquals(untraced(storePath), []);
  await server.start();
  agent.batcher.add(violations(3000));
  await groupsOf(server, agent, "violations", 2);
  await eventually(() => receiver.spans.length > spans.length, () => "second trace");
  const roots = receiver.spans.filter(({ parentSpanId }) => parentSpanId === "");
  assertEquals(roots.map(({ attributes }) => attributes["ebpfmon.group.key"]), [group.key, "agent-1/user/3000"]);
});

Deno.test("what a server could not send before it was stopped stays to be sent, unless the next one sends no traces", async () => {
  await using folder = new TestFolder();
  const storePath = `${folder.path}/fleet.db`;
  const rules = folder.write("rules.yaml", RULES);
  const args = ["--correlation-lateness", "500", "--correlation-rules", rules, "--store", storePath];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${freePort()}` };
  {
    await using server = await new FleetServe(folder.path, args, env).start();
    await using agent = new TestAgent({ port: server.grpcPort });
    agent.batcher.add(violations(2000));
    const [group] = await groupsOf(server, agent, "violations", 1);
    await server.process!.finish();
    assertEquals(untraced(storePath), [group.id]);
  }
  await using server = await new FleetServe(folder.path, args).start();
  await server.process!.finish();
  assertEquals(untraced(storePath), []);
});
