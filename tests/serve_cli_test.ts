/** `ebpfmon agent` and `ebpfmon serve` as their users meet them: processes of their own, events of the kernel. */
import type { Machine } from "../lib/wire/syscalls.ts";
import { EventDecoder } from "../lib/events/event_decoder.ts";
import type { RouterEvent } from "../lib/events/event.ts";
import { tokenHash } from "./support/token_hash.ts";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { eventually, FleetProcess, FleetServe, startAgent, TestFolder } from "./support/fleet_cli.ts";
import { storedEvents, storedRecords } from "./support/fleet_log.ts";
import { OtlpReceiver } from "./support/otlp_receiver.ts";
import { ACTOR, Actor } from "./support/router.ts";

/** Nobody else on this machine has a command of this name. */
const RULES = `
filters:
  - name: the test's own
    match: { comm: ${ACTOR} }
    action: keep
rules:
  # Debug events may be sampled where there are many.
  - name: all of them
    match: { comm: ${ACTOR} }
    severity: info
`;
const QUICK = ["--correlation-lateness", "4000", "--correlation-idle", "1000"];

function pathsOf(events: RouterEvent[]): string[] {
  return events.flatMap((event) => event.event === "file_open" && event.path.startsWith("/gone/") ? [event.path] : []);
}

/** Opens /gone/N/0 and so on. */
async function openFiles(actor: Actor, round: number, count: number): Promise<void> {
  const { go, done } = actor.start("flood", `/gone/${round}`, String(count));
  await go();
  await done;
}

function pathsUpTo(rounds: number, count: number): string[] {
  return Array.from({ length: rounds * count }, (_, i) => `/gone/${Math.floor(i / count)}/${i % count}`).sort();
}

/** Waits until what the actor does comes through. */
async function watching(agent: FleetProcess, server: FleetServe, actor: Actor): Promise<void> {
  await agent.said("ready");
  // Programs for events are attached after those for flows.
  const eventsOf = async (): Promise<number> => (await server.get("/api/v1/agents")).agents[0]?.events ?? 0;
  const before = await eventsOf();
  await eventually(
    async () => {
      await actor.run("exit", "0");
      return await eventsOf() > before;
    },
    () => `stream: ${agent.stderr}${agent.stdout}`,
  );
}

Deno.test("what an agent counts is what its server holds, event by event, through a kill -9 of the server", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  await using server = await new FleetServe(folder.path, QUICK).start();
  const rules = folder.write("rules.yaml", RULES);
  await using agent = startAgent({ port: server.grpcPort, rules });
  await watching(agent, server, actor);
  await openFiles(actor, 0, 500);
  const opening = openFiles(actor, 1, 2000);
  await server.kill();
  await opening;
  await openFiles(actor, 2, 300);
  await server.start();
  await openFiles(actor, 3, 300);
  const summary = await agent.finish();

  const { batches, events } = summary.agent;
  assertEquals([batches.balanced, batches.spooled, Object.values(batches.dropped)], [true, 0, [0, 0, 0, 0, 0]]);
  assertEquals(batches.appended, batches.acknowledged);
  assertEquals([events.balanced, events.appended, events.spooled], [true, events.acknowledged, 0]);
  assertGreater(summary.agent.reconnects, 0);
  const [known] = (await server.get("/api/v1/agents")).agents;
  assertEquals([known.agent, known.batches, known.events], ["tested", batches.acknowledged, events.acknowledged]);
  const metrics = await server.get("/metrics");
  assertStringIncludes(metrics, "\nebpfmon_fleet_agents_connected 0\n");
  assertEquals((await server.process!.finish()).agents, 1);

  const stored = storedEvents(`${folder.path}/fleet-${server.grpcPort}.db`);
  assertEquals(stored.length, events.acknowledged);
  assertEquals(stored.reduce((sum, { repeats, weight }) => sum + (weight > 1 ? NaN : repeats), 0) > 0, true);
  const counted = summary.events.reduce((sum: number, { records }: { records: number }) => sum + records, 0);
  assertEquals(counted, events.appended);
  const paths = pathsOf(stored).sort();
  assertEquals(paths.length, 3100);
  const expected = [500, 2000, 300, 300].flatMap((count, round) =>
    Array.from({ length: count }, (_, i) => `/gone/${round}/${i}`)
  );
  assertEquals(paths, expected.sort());
});

Deno.test("with --raw an agent sends each event's record as well, whole and once", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  await using server = await new FleetServe(folder.path, QUICK).start();
  const rules = folder.write("rules.yaml", RULES);
  await using agent = startAgent({ port: server.grpcPort, rules, args: ["--raw"] });
  await watching(agent, server, actor);
  await openFiles(actor, 0, 700);
  const summary = await agent.finish();
  await server.process!.finish();
  const path = `${folder.path}/fleet-${server.grpcPort}.db`;
  const events = storedEvents(path);
  const decoder = new EventDecoder(Deno.build.arch as Machine);
  const records = storedRecords(path).map((record) => decoder.decode(new DataView(record.buffer), 0, record.length)!);
  assertEquals(pathsOf(records).sort(), pathsUpTo(1, 700));
  assertEquals(records.length, events.length);
  assertEquals(summary.agent.events.acknowledged, events.length + records.length);
});

Deno.test("an agent that is killed delivers from its spool what it had, once", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  await using server = await new FleetServe(folder.path, QUICK).start();
  const rules = folder.write("rules.yaml", RULES);
  const args = ["--spool", `${folder.path}/spool`];
  {
    await using agent = startAgent({ port: server.grpcPort, rules, args });
    await watching(agent, server, actor);
    await server.kill();
    await openFiles(actor, 0, 1000);
    // Debug events come after a second at most, and then wait a tenth of one for company.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    agent.kill("SIGKILL");
    await agent.ended();
  }
  await server.start();
  await using agent = startAgent({ port: server.grpcPort, rules, args });
  await watching(agent, server, actor);
  const summary = await agent.finish();
  assertGreater(summary.agent.batches.recovered, 0);
  assertEquals([summary.agent.batches.balanced, summary.agent.batches.spooled], [true, 0]);
  await server.process!.finish();
  const stored = storedEvents(`${folder.path}/fleet-${server.grpcPort}.db`);
  assertEquals(pathsOf(stored).sort(), pathsUpTo(1, 1000));
});

Deno.test("a lineage becomes a group in the API and a trace at the receiver, also over a kill -9 of the server", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  await using receiver = new OtlpReceiver();
  const ruleFile = folder.write(
    "correlation.yaml",
    `rules:
  - name: the actor connects
    kind: process_tree
    window_ms: 3000
    steps:
      - { event: process_exec }
      - { event: network_connect }
      - { event: process_exit }
    severity: warning
    sentence: "{filename} on {host} connected to {peers}."
`,
  );
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  await using server = await new FleetServe(folder.path, [...QUICK, "--correlation-rules", ruleFile], env).start();
  await using agent = startAgent({ port: server.grpcPort, rules: folder.write("rules.yaml", RULES) });
  await watching(agent, server, actor);
  const first = await actor.run("connects", "9", "9");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await server.kill();
  await server.start();
  const second = await actor.run("connects", "9", "9");

  const query = `&rule=${encodeURIComponent("the actor connects")}`;
  const groups = await eventually(async () => {
    const groups = await server.groups(query);
    return groups.length >= 2 && groups;
  }, () => "second group");
  assertEquals(groups.map(({ members }) => members[0].pid).sort(), [first.pid, second.pid].sort());
  for (const group of groups) {
    assertEquals([group.severity, group.agents], ["warning", ["tested"]]);
    assertStringIncludes(group.sentence, `${actor.path} on tested connected to 127.0.0.1`);
    assertEquals(group.members.filter(({ event }: { event: string }) => event === "process_exec").length, 1);
  }
  const roots = await eventually(() => {
    const roots = receiver.spans.filter(({ parentSpanId, name }) =>
      parentSpanId === "" && name === "the actor connects"
    );
    return roots.length >= 2 && roots;
  }, () => "second trace");
  assertEquals(new Set(roots.map(({ traceId }) => traceId)), new Set(groups.map(({ id }) => id)));
  for (const { traceId, startUnixNs } of roots) {
    const { start, members } = groups.find(({ id }) => id === traceId);
    assertEquals(BigInt(Date.parse(start)) / 1000n, startUnixNs / 1_000_000n / 1000n);
    assertEquals(receiver.spans.filter((span) => span.traceId === traceId).length, members.length + 1);
  }
  await agent.finish();
  await server.process!.finish();
});

Deno.test("a filter of the server reaches the agent's kernel, and a new one after SIGHUP does too", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  const filter = folder.write("filter.yaml", "events: [process_exec]\n");
  await using server = await new FleetServe(folder.path, [...QUICK, "--agent-filter", filter]).start();
  await using agent = startAgent({ port: server.grpcPort, rules: folder.write("rules.yaml", RULES) });
  await watching(agent, server, actor);
  await openFiles(actor, 0, 100);
  folder.write("filter.yaml", "events: [file_open]\n");
  server.process!.kill("SIGHUP");
  await eventually(
    () => server.process!.objects.find(({ message }) => message?.includes("goes to all agents")),
    () => "new filter",
  );
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await openFiles(actor, 1, 100);
  const summary = await agent.finish();
  await server.process!.finish();
  assertGreater(summary.filtered, 99, "the kernel leaves them out");
  const stored = storedEvents(`${folder.path}/fleet-${server.grpcPort}.db`);
  assertEquals(pathsOf(stored).sort(), Array.from({ length: 100 }, (_, i) => `/gone/1/${i}`).sort());
  const execs = stored.flatMap((event) =>
    event.event === "process_exec" && event.argv[1] === "flood" ? event.argv.slice(2, 3) : []
  );
  assertEquals(execs, ["/gone/0"]);
});

Deno.test("a severity that the server asks for holds in the agent's kernel, also with rules that are put later", async () => {
  await using folder = new TestFolder();
  await using actor = await Actor.build();
  const filter = folder.write("filter.yaml", "severity: debug\n");
  await using server = await new FleetServe(folder.path, [...QUICK, "--agent-filter", filter]).start();
  const rules = folder.write("rules.yaml", RULES);
  await using agent = startAgent({ port: server.grpcPort, rules, args: ["--listen", "127.0.0.1:0"] });
  await watching(agent, server, actor);
  const url = `http://${(await agent.said("ready")).listen}`;
  await openFiles(actor, 0, 100);
  folder.write("filter.yaml", "severity: warning\n");
  server.process!.kill("SIGHUP");
  // Then the agent has it, and puts no rules in force any more without it.
  await eventually(
    async () => (await (await fetch(`${url}/metrics`)).text()).includes("\nebpfmon_agent_debug_sampling_ratio 0\n"),
    () => "new filter",
  );
  const warned = "  - { name: warned, match: { event: file_open, path_prefix: /gone/2/ }, severity: warning }\n";
  const body = RULES.replace("\nrules:\n", `\nminimum_severity: info\nrules:\n${warned}`);
  const put = await fetch(`${url}/api/v1/rules`, {
    method: "PUT",
    headers: { "content-type": "application/yaml" },
    body,
  });
  // What the server wants besides is not the operator's own.
  assertEquals([put.status, (await put.json()).minimum_severity], [200, "info"]);
  await openFiles(actor, 1, 5000);
  await openFiles(actor, 2, 50);
  const summary = await agent.finish();
  await server.process!.finish();
  const stored = storedEvents(`${folder.path}/fleet-${server.grpcPort}.db`);
  const paths = [[0, 100], [2, 50]].flatMap(([round, count]) =>
    Array.from({ length: count }, (_, i) => `/gone/${round}/${i}`)
  );
  assertEquals(pathsOf(stored).sort(), paths.sort());
  // The kernel submitted no more than that: nothing is left out on the way.
  const submitted = summary.rings.reduce((sum: number, ring: { submitted: number }) => sum + ring.submitted, 0);
  assertEquals(submitted, stored.length);
  assertGreater(summary.filtered, 4999);
});

Deno.test("an agent without its token is not let in, keeps what it has, and says so once", async () => {
  await using folder = new TestFolder();
  const secret = "a-secret-of-some-length";
  await using actor = await Actor.build();
  const hashes = folder.write("tokens", `tested ${tokenHash(secret)}\n`);
  await using server = await new FleetServe(folder.path, [...QUICK, "--tokens-file", hashes]).start();
  const rules = folder.write("rules.yaml", RULES);
  const token = folder.write("token", "the-wrong-secret-here\n");
  await using agent = startAgent({ port: server.grpcPort, rules, args: ["--token-file", token] });
  const refused = await eventually(
    () => agent.objects.find(({ message }) => message?.includes("UNAUTHENTICATED")),
    () => `refusal: ${agent.stdout}`,
  );
  assert(!refused.message.includes("wrong-secret"));
  folder.write("token", `${secret}\n`);
  await watching(agent, server, actor);
  const summary = await agent.finish();
  assertEquals([summary.agent.batches.balanced, summary.agent.batches.spooled], [true, 0]);
  assertEquals(summary.agent.batches.appended, summary.agent.batches.acknowledged);
  const refusals = agent.objects.filter(({ message }) => message?.includes("UNAUTHENTICATED"));
  assertEquals(refusals.length, 1);
});

Deno.test("wrong usage of agent and serve is one line and exit code 2", async () => {
  for (
    const [args, mistake] of [
      [["agent"], "--server HOST:PORT is missing"],
      [["agent", "--server", "192.0.2.1:9465"], "192.0.2.1:9465 is another host: give --tls-ca FILE, or --insecure"],
      [["agent", "--server", "127.0.0.1:1", "--tls-cert", "a"], "--tls-cert and --tls-key need each other"],
      [["serve", "--listen-grpc", "0.0.0.0:9465"], "0.0.0.0:9465 is open to others"],
      [["serve", "--store", "off"], "--store off takes --nats URL"],
      [["serve", "--correlate-only"], "--correlate-only takes --nats URL"],
    ] as const
  ) {
    await using process = new FleetProcess([...args]);
    assertEquals(await process.ended(), 2);
    assertEquals(process.stdout, "");
    assertEquals(process.stderr.split("\n").length, 2, process.stderr);
    assertStringIncludes(process.stderr, mistake);
  }
});
