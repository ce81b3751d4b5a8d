/**
 * Several servers and workers on one JetStream, with nodes and workers killed under load: groups are complete, none is
 * there twice, and every store holds every event once.
 */
import { monotonicNs } from "../lib/ffi/libc.ts";
import type { EnrichedEvent } from "../lib/fleet/enriched_event.ts";
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { routerEvent } from "./support/events.ts";
import { TestAgent } from "./support/fleet_agent.ts";
import { CertificateFolder } from "./support/fleet_certificates.ts";
import { eventually, FleetProcess, FleetServe, type Json, TestFolder } from "./support/fleet_cli.ts";
import { storedEvents } from "./support/fleet_log.ts";
import { NatsServers } from "./support/nats_servers.ts";
import { delay } from "../lib/runtime/timers.ts";

const RULES = `rules:
  - name: lineage
    kind: process_tree
    window_ms: 20000
    steps:
      - { event: process_exec }
      - { event: network_connect }
      - { event: file_open }
      - { event: process_exit }
    severity: info
    sentence: "{filename} on {host} connected, opened and ended."
`;
const STEPS = ["process_exec", "network_connect", "file_open", "process_exit"] as const;
const CONNECTION_RULE = "connection between two hosts";
const QUICK = ["--correlation-lateness", "4000", "--correlation-idle", "15000", "--nats-partitions", "4"];

/** A host whose processes each exec, connect, open and exit, one every `everyMs`. */
class Host {
  readonly #agent: TestAgent;
  readonly #name: string;
  /** Pids. */
  readonly lineages: number[] = [];
  connections = 0;
  events = 0;

  constructor(name: string, ports: number[]) {
    this.#name = name;
    this.#agent = new TestAgent({
      port: ports[0],
      agent: name,
      flushMs: 20,
      link: {
        servers: ports.map((port) => ({ host: "127.0.0.1", port })),
        identity: { agentId: name, host: name, version: "0.0.0", bootId: "boot" },
      },
    });
  }

  async lineage(pid: number): Promise<void> {
    this.lineages.push(pid);
    for (const step of STEPS) {
      this.#send(routerEvent(step, { pid, tid: pid, severity: "info", ...this.#now() }));
      await delay(15);
    }
  }

  /** One end of a connection: both hosts' addresses are made of their names. */
  connection(peer: Host, port: number, role: "client" | "server"): void {
    this.connections++;
    const [here, there] = [this.#name, peer.#name].map((name) => `192.0.2.${name.charCodeAt(0)}`);
    this.#send(routerEvent("tcp_state", {
      pid: 1,
      severity: "info",
      family: "ipv4",
      src: here,
      dst: there,
      sport: role === "client" ? port : 443,
      dport: role === "client" ? 443 : port,
      oldState: role === "client" ? "SYN_SENT" : "SYN_RECV",
      newState: "ESTABLISHED",
      ...this.#now(),
    }));
  }

  #now() {
    const tsNs = monotonicNs();
    return { tsNs, firstNs: tsNs };
  }

  #send(event: EnrichedEvent["event"]): void {
    this.events++;
    this.#agent.batcher.add([{ event }]);
  }

  /** Waits until all is acknowledged, and stops. */
  async finish(): Promise<void> {
    await eventually(
      () => this.#agent.spool.stats.batches.spooled === 0 && this.#agent.spool.stats.events.appended === this.events,
      () => `acknowledgement of all: ${this.#agent.notices.join("; ")}`,
      40_000,
    );
    const { acknowledged, dropped } = this.#agent.spool.stats.events;
    assertEquals([acknowledged, Object.values(dropped)], [this.events, [0, 0, 0, 0, 0]]);
    await this.#agent[Symbol.asyncDispose]();
  }
}

/** Two hosts at work for some seconds, while `disturb` happens. */
async function work(hosts: [Host, Host], count: number, disturb: () => Promise<void>): Promise<void> {
  const [left, right] = hosts;
  const disturbed = delay(2500).then(disturb);
  const under: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    for (const host of hosts) under.push(host.lineage(1000 + i));
    if (i % 2 === 0) {
      left.connection(right, 20_000 + i, "client");
      right.connection(left, 20_000 + i, "server");
    }
    await delay(80);
  }
  await Promise.all(under);
  await disturbed;
  for (const host of hosts) await host.finish();
}

function lineagesOf(groups: Json[], agent: string): number[] {
  return groups.filter(({ rule, agents }) => rule === "lineage" && agents[0] === agent)
    .map(({ members }) => members[0].pid).sort((a: number, b: number) => a - b);
}

/** Waits until a server has a group of each lineage and connection, and checks that it has nothing else. */
async function assertComplete(server: FleetServe, hosts: Record<string, Host>): Promise<string[]> {
  const expected = Object.values(hosts).reduce((sum, { lineages }) => sum + lineages.length, 0);
  const pairs = Object.values(hosts).reduce((sum, { connections }) => sum + connections, 0) / 2;
  const ofRule = (groups: Json[], name: string) => groups.filter(({ rule }) => rule === name);
  let seen = "";
  const groups = await eventually(
    async () => {
      const groups = await server.groups();
      seen = `${ofRule(groups, "lineage").length} lineages, ${ofRule(groups, CONNECTION_RULE).length} connections`;
      return ofRule(groups, "lineage").length >= expected && ofRule(groups, CONNECTION_RULE).length >= pairs && groups;
    },
    () => `${expected} lineages and ${pairs} connections, but ${seen}: ${server.process?.stdout}`,
    60_000,
  );
  for (const [agent, { lineages }] of Object.entries(hosts)) {
    assertEquals(lineagesOf(groups, agent), lineages.toSorted((a, b) => a - b), agent);
  }
  for (const { members, rule } of ofRule(groups, "lineage")) {
    assertEquals(members.map(({ event }: Json) => event).sort(), [...STEPS].sort(), rule);
  }
  const connections = ofRule(groups, CONNECTION_RULE);
  assertEquals(connections.length, pairs);
  for (const { agents, members } of connections) {
    assertEquals(agents.toSorted(), Object.keys(hosts).toSorted());
    assertEquals(members.length, 2);
  }
  const ids = groups.map(({ id }) => id);
  assertEquals(new Set(ids).size, ids.length);
  return ids.sort();
}

async function assertStored(server: FleetServe, hosts: Record<string, Host>): Promise<void> {
  const expected = Object.values(hosts).reduce((sum, { events }) => sum + events, 0);
  let stored = 0;
  await eventually(
    async () => {
      const { agents } = await server.get("/api/v1/agents");
      stored = agents.reduce((sum: number, { events }: Json) => sum + events, 0);
      return stored >= expected;
    },
    () => `${expected} events, but ${stored}: ${server.process!.stdout}`,
    40_000,
  );
  await server.process!.finish();
  const events = storedEvents(`${server.folder}/fleet-${server.grpcPort}.db`);
  assertEquals(events.length, expected);
  const identities = events.map((event) => JSON.stringify([event.event, event.pid, String(event.tsNs)]));
  assertEquals(new Set(identities).size, expected);
}

/** How many partitions a process works on. */
async function partitionsOf(server: FleetServe): Promise<number> {
  return Number(/^ebpfmon_nats_partitions (\d+)$/m.exec(await server.get("/metrics"))![1]);
}

Deno.test("one NATS node, two servers: a correlation worker that is killed leaves no group out, and none twice", async () => {
  await using folder = new TestFolder();
  await using nats = await NatsServers.start(folder.path, 1);
  const rules = folder.write("rules.yaml", RULES);
  const shared = [...QUICK, "--nats", nats.urls, "--correlation-rules", rules];
  // The first takes agents and correlates; the second takes agents only; the third is a worker.
  await using first = await new FleetServe(folder.path, shared).start();
  await using second = await new FleetServe(folder.path, [...shared, "--no-correlate"]).start();
  await using worker = await new FleetServe(folder.path, [...shared, "--correlate-only"]).start();
  await eventually(
    async () => await partitionsOf(first) === 2 && await partitionsOf(worker) === 2,
    () => "even share of the partitions",
  );
  const hosts = { a: new Host("a", [first.grpcPort]), b: new Host("b", [second.grpcPort]) };
  await work([hosts.a, hosts.b], 60, async () => {
    await worker.kill();
  });
  await eventually(async () => await partitionsOf(first) === 4, () => "takeover");
  const ids = await assertComplete(first, hosts);
  assertEquals(await assertComplete(second, hosts), ids);
  const agents = (await second.get("/api/v1/agents")).agents;
  assertEquals(agents.map(({ agent, events }: Json) => [agent, events]), [
    ["a", hosts.a.events],
    ["b", hosts.b.events],
  ]);
  for (const server of [first, second]) await assertStored(server, hosts);
});

Deno.test("three NATS nodes, the one that leads killed, and a server killed: nothing is lost, nothing is there twice", async () => {
  await using folder = new TestFolder();
  await using nats = await NatsServers.start(folder.path, 3);
  const rules = folder.write("rules.yaml", RULES);
  const shared = [...QUICK, "--nats", nats.urls, "--nats-replicas", "3", "--correlation-rules", rules];
  await using first = await new FleetServe(folder.path, shared).start();
  await using second = await new FleetServe(folder.path, shared).start();
  const ports = [first.grpcPort, second.grpcPort];
  await eventually(
    async () => await partitionsOf(first) === 2 && await partitionsOf(second) === 2,
    () => "even share of the partitions",
  );
  const hosts = { a: new Host("a", ports), b: new Host("b", ports) };
  await work([hosts.a, hosts.b], 90, async () => {
    await nats.killNode(await nats.leader());
    await delay(2500);
    await second.kill();
  });
  const ids = await assertComplete(first, hosts);
  await second.start();
  assertEquals(await assertComplete(second, hosts), ids);
  for (const server of [first, second]) await assertStored(server, hosts);
});

Deno.test("NATS with TLS: certificates that were all replaced are taken when the connection is made anew", async () => {
  await using folder = new TestFolder();
  await using certificates = await CertificateFolder.create();
  const issue = async () => {
    const ca = await certificates.authority("nats-ca");
    const server = await certificates.issue("nats-ca", "nats", { file: "nats" });
    return { ca, server, client: await certificates.issue("nats-ca", "serve", { file: "serve" }) };
  };
  const { ca, server, client } = await issue();
  await using nats = await NatsServers.start(folder.path, 1, { ca, ...server });
  const own = ["--nats-tls-ca", ca, "--nats-tls-cert", client.cert, "--nats-tls-key", client.key];
  await using serve = await new FleetServe(folder.path, [...QUICK, "--nats", nats.urls, ...own]).start();
  const host = new Host("a", [serve.grpcPort]);
  await host.lineage(1000);
  const isConnected = async () => /^ebpfmon_nats_connected (\d)$/m.exec(await serve.get("/metrics"))![1] === "1";
  assert(await isConnected());

  await issue();
  await nats.killNode(0);
  await eventually(async () => !await isConnected(), () => "end of the connection");
  await host.lineage(1001);
  nats.startNode(0);
  await eventually(isConnected, () => `connection: ${serve.process!.stdout}`);
  await host.finish();
  await assertStored(serve, { a: host });
});

Deno.test("a server that NATS refuses for a while is connected when NATS is right again", async () => {
  await using folder = new TestFolder();
  await using nats = await NatsServers.start(folder.path, 1);
  await using serve = await new FleetServe(folder.path, [...QUICK, "--nats", nats.urls]).start();
  const host = new Host("a", [serve.grpcPort]);
  const isConnected = async () => /^ebpfmon_nats_connected (\d)$/m.exec(await serve.get("/metrics"))![1] === "1";
  await nats.killNode(0);
  nats.startNode(0, ["--user", "somebody", "--pass", "else"]);
  await eventually(async () => !await isConnected(), () => "end of the connection");
  await host.lineage(1000);
  // Several attempts, one every quarter of a second.
  await delay(3000);
  assert(!await isConnected());
  await nats.killNode(0);
  nats.startNode(0);
  await eventually(isConnected, () => `connection: ${serve.process!.stdout}${serve.process!.stderr}`);
  const notices = serve.process!.objects.filter(({ type }) => type === "alert").map(({ message }) => message);
  for (const words of ["no connection to NATS", "connected to NATS"]) {
    assertEquals(notices.filter((notice) => notice.startsWith(words)).length, 1, notices.join("\n"));
  }
  await host.finish();
  await assertStored(serve, { a: host });
});

Deno.test("a server without NATS does not start, and says where it looked", async () => {
  await using folder = new TestFolder();
  await using process = new FleetProcess([
    ...["serve", "--listen", "off", "--listen-grpc", "127.0.0.1:0", "--store", `${folder.path}/fleet.db`],
    ...["--nats", "nats://127.0.0.1:1"],
  ]);
  assertEquals(await process.ended(), 1);
  assertGreater(process.stderr.length, 0);
  assert(process.stderr.startsWith("ebpfmon: Cannot connect to nats://127.0.0.1:1: "), process.stderr);
  assertEquals(process.stderr.trimEnd().split("\n").length, 1, process.stderr);
});
