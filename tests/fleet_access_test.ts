/** Who gets in, and what others cannot do to those who have: TLS, tokens, limits, garbage. On loopback. */
import * as grpc from "@grpc/grpc-js";
import { AgentMessage, Batch, ServerMessage } from "../lib/fleet/proto/ebpfmon.gen.ts";
import { encodeEvent } from "../lib/fleet/event_codec.ts";
import { bufferOf, encodeHello, frameBatch, STREAM_PATH } from "../lib/fleet/method.ts";
import { FleetServer, type FleetServerOptions } from "../lib/fleet/server/grpc_service.ts";
import { tokenHash } from "./support/token_hash.ts";
import { assert, assertEquals, assertStringIncludes } from "./assert.ts";
import { TestAgent } from "./support/fleet_agent.ts";
import { until } from "./support/until.ts";
import { CertificateFolder } from "./support/fleet_certificates.ts";
import { fleetEvent } from "./support/fleet_events.ts";
import { MemoryStore } from "./support/fleet_memory_store.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

function listen(store: MemoryStore, options: Partial<FleetServerOptions> = {}): Promise<FleetServer> {
  return FleetServer.listen({ listen: LOOPBACK, store, tls: null, onNotice: () => {}, ...options });
}

function events(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => fleetEvent(from + i));
}

async function delivers(agent: TestAgent, store: MemoryStore, from: number): Promise<void> {
  const before = store.eventNumbers.length;
  agent.batcher.add(events(from, from + 100));
  agent.batcher.flush();
  await until(() => store.eventNumbers.length === before + 100, "delivery").catch((error) => {
    throw new Error(`${error.message}; the agent says: ${agent.notices.join("; ")}`);
  });
}

async function isRefused(agent: TestAgent, store: MemoryStore, why: string): Promise<void> {
  const before = store.eventNumbers.length;
  agent.batcher.add(events(0, 100));
  agent.batcher.flush();
  await until(() => agent.link.stats.failures >= 3, "refusal");
  assertStringIncludes(agent.notices.join("\n"), why);
  assertEquals(agent.link.stats.connected, false);
  assertEquals(store.eventNumbers.length, before);
  assertEquals(agent.spool.stats.events.spooled, 100);
}

Deno.test("mutual TLS lets in who was signed by the right authority, and nobody else", async () => {
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const otherCa = await folder.authority("other");
  const server = await folder.issue("ca", "server");
  const agent1 = await folder.issue("ca", "agent-1");
  const agent2 = await folder.issue("ca", "agent-2");
  const stranger = await folder.issue("other", "agent-1", { file: "stranger" });
  const expired = await folder.issue("ca", "agent-1", { file: "expired", expired: true });
  const store = new MemoryStore();
  await using service = await listen(store, { tls: { ...server, ca }, agentFromCertificate: true });
  const { port } = service;
  {
    await using agent = new TestAgent({ port, link: { tls: { ...agent1, ca } } });
    await delivers(agent, store, 0);
  }
  {
    await using agent = new TestAgent({ port, link: { tls: { ...agent1, ca: otherCa }, drainMs: 100 } });
    await isRefused(agent, store, "UNAVAILABLE");
  }
  for (const files of [stranger, expired, {}]) {
    await using agent = new TestAgent({ port, link: { tls: { ...files, ca }, drainMs: 100 } });
    await isRefused(agent, store, "Not connected");
  }
  {
    await using agent = new TestAgent({ port, link: { tls: { ...agent2, ca }, drainMs: 100 } });
    await isRefused(agent, store, "PERMISSION_DENIED");
  }
  {
    await using agent = new TestAgent({ port, link: { tls: null, drainMs: 100 } });
    await isRefused(agent, store, "Not connected");
  }
  await using agent = new TestAgent({ port, link: { tls: { ...agent1, ca } } });
  await delivers(agent, store, 100);
});

Deno.test("An agent refuses a server whose certificate is expired, or of another name unless told so", async () => {
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const store = new MemoryStore();
  {
    const expired = await folder.issue("ca", "expired", { expired: true });
    await using service = await listen(store, { tls: expired });
    await using agent = new TestAgent({ port: service.port, link: { tls: { ca }, drainMs: 100 } });
    await isRefused(agent, store, "UNAVAILABLE");
  }
  const named = await folder.issue("ca", "named", { names: "DNS:fleet.example" });
  await using service = await listen(store, { tls: named });
  {
    await using agent = new TestAgent({ port: service.port, link: { tls: { ca }, drainMs: 100 } });
    await isRefused(agent, store, "UNAVAILABLE");
  }
  await using agent = new TestAgent({ port: service.port, link: { tls: { ca, serverName: "fleet.example" } } });
  await delivers(agent, store, 0);
});

Deno.test("Changed certificates are used without a restart, on both sides, and streams go on", async () => {
  await using folder = await CertificateFolder.create();
  const [oldCa, newCa] = [await folder.authority("old"), await folder.authority("new")];
  const both = `${folder.path}/both.crt`;
  await Deno.writeTextFile(both, await Deno.readTextFile(oldCa) + await Deno.readTextFile(newCa));
  const server = await folder.issue("old", "server");
  const client = await folder.issue("old", "agent-1");
  const store = new MemoryStore();
  const notices: string[] = [];
  const tls = { ...server, ca: both };
  await using service = await listen(store, { tls, reloadMs: 50, onNotice: (notice) => notices.push(notice) });
  const { port } = service;
  await using agent = new TestAgent({ port, link: { tls: { ...client, ca: both }, tlsCheckMs: 50 } });
  await delivers(agent, store, 0);

  // Half of a change: the key does not fit, so the old pair stays.
  const nextServer = await folder.issue("new", "server", { file: "server-next" });
  await Deno.copyFile(nextServer.cert, server.cert);
  await until(() => notices.some((notice) => notice.includes("is not its key")), "the notice");
  await delivers(agent, store, 100);
  await Deno.copyFile(nextServer.key, server.key);
  await until(() => notices.some((notice) => notice.includes("changed certificate")), "the change");

  const nextClient = await folder.issue("new", "agent-1", { file: "client-next" });
  await Deno.copyFile(nextClient.key, client.key);
  await Deno.copyFile(nextClient.cert, client.cert);
  await until(() => agent.link.stats.reconnects > 0, "the new connection");
  await delivers(agent, store, 200);
  assertEquals(agent.link.stats.failures, 0);
  {
    // Only the new server certificate passes here.
    await using other = new TestAgent({ port, agent: "agent-2", link: { tls: { ...nextClient, ca: newCa } } });
    await delivers(other, store, 300);
  }
  assertEquals(new Set(store.eventNumbers).size, 400);
});

Deno.test("Tokens let in the agent they belong to, can be replaced, and appear in no notice", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const tokensFile = `${folder}/tokens`;
    const tokenFile = `${folder}/token`;
    const secret = "a-long-enough-secret-1";
    const nextSecret = "a-long-enough-secret-2";
    await Deno.writeTextFile(tokensFile, `# who may stream\nagent-1 ${tokenHash(secret)}\n`);
    await Deno.writeTextFile(tokenFile, `${secret}\n`);
    const store = new MemoryStore();
    const notices: string[] = [];
    const onNotice = (notice: string) => notices.push(notice);
    await using service = await listen(store, { tokensFile, reloadMs: 50, onNotice });
    const { port } = service;
    {
      await using agent = new TestAgent({ port, link: { tokenFile } });
      await delivers(agent, store, 0);
    }
    {
      await using agent = new TestAgent({ port, agent: "agent-2", link: { tokenFile, drainMs: 100 } });
      await isRefused(agent, store, "PERMISSION_DENIED");
    }
    {
      await using agent = new TestAgent({ port, link: { drainMs: 100 } });
      await isRefused(agent, store, "UNAUTHENTICATED");
    }
    await Deno.writeTextFile(tokenFile, nextSecret);
    await using agent = new TestAgent({ port, link: { tokenFile } });
    await isRefused(agent, store, "UNAUTHENTICATED");
    await Deno.writeTextFile(tokensFile, `agent-1 ${tokenHash(nextSecret)}\n`);
    await until(() => agent.spool.stats.events.spooled === 0, "delivery with the new token");
    await Deno.writeTextFile(tokensFile, "not a token file\n");
    await until(() => notices.some((notice) => notice.includes("line 1")), "the notice");
    await delivers(agent, store, 100);
    const said = [...notices, ...agent.notices].join("\n");
    assert(!said.includes(secret) && !said.includes(nextSecret));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A client that keeps to no rules. @returns the status of the stream that sends `messages` */
async function statusOf(port: number, messages: Uint8Array[]): Promise<grpc.status> {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  try {
    const call = client.makeBidiStreamRequest(STREAM_PATH, bufferOf, (bytes) => ServerMessage.decode(bytes));
    return await new Promise<grpc.status>((resolve) => {
      const [first, ...rest] = messages;
      call.on("data", (message: ServerMessage) => {
        if (message.welcome) { for (const next of rest) call.write(next); }
      });
      call.on("error", () => {});
      call.on("status", ({ code }) => resolve(code));
      call.write(first);
    });
  } finally {
    client.close();
  }
}

const HELLO = encodeHello({
  agentId: "rude",
  host: "",
  version: "",
  bootId: "",
  spoolId: new Uint8Array(16),
});

function batchOf(sequence: number, lane: number, count: number): Uint8Array {
  const batch = Batch.decode(new Uint8Array(0));
  const events = protoEvents(count);
  return frameBatch(Batch.encode({ ...batch, sequence: BigInt(sequence), lane, events }).finish());
}

function protoEvents(count: number) {
  return Array.from({ length: count }, (_, n) => encodeEvent(fleetEvent(n)));
}

Deno.test("The service ends the stream of whoever keeps to no rules, and serves the others", async () => {
  const store = new MemoryStore();
  const limits = { messageBytesMax: 500_000, helloMs: 300 };
  await using service = await listen(store, { limits });
  const { port } = service;
  await using agent = new TestAgent({ port });
  await delivers(agent, store, 0);
  const { INVALID_ARGUMENT, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, DEADLINE_EXCEEDED, INTERNAL } = grpc.status;
  const nobody = AgentMessage.encode({ hello: undefined, batch: undefined }).finish();
  assertEquals(await statusOf(port, [batchOf(1, 1, 1)]), FAILED_PRECONDITION, "no Hello");
  assertEquals(await statusOf(port, [HELLO, HELLO]), FAILED_PRECONDITION, "two Hellos");
  assertEquals(await statusOf(port, [HELLO, batchOf(0, 1, 1)]), INVALID_ARGUMENT, "no sequence");
  assertEquals(await statusOf(port, [HELLO, batchOf(1, 9, 1)]), INVALID_ARGUMENT, "no such lane");
  assertEquals(await statusOf(port, [HELLO, batchOf(1, 1, 1001)]), INVALID_ARGUMENT, "too many records");
  assertEquals(await statusOf(port, [HELLO, new Uint8Array(600_000)]), RESOURCE_EXHAUSTED, "too long");
  assertEquals(await statusOf(port, [HELLO, new Uint8Array(1000).fill(0xff)]), INTERNAL, "garbage");
  assertEquals(await statusOf(port, [nobody]), DEADLINE_EXCEEDED, "silence");
  await delivers(agent, store, 100);
  assertEquals(agent.link.stats.reconnects, 0);
});

/** Sends `messages` after Welcome, and ends the stream. @returns what the server acknowledged, in order */
async function acknowledgementsOf(port: number, messages: Uint8Array[]): Promise<bigint[]> {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  try {
    const call = client.makeBidiStreamRequest(STREAM_PATH, bufferOf, (bytes) => ServerMessage.decode(bytes));
    const acknowledged: bigint[] = [];
    return await new Promise<bigint[]>((resolve, reject) => {
      call.on("data", ({ welcome, ack }: ServerMessage) => {
        for (const { sequence } of ack?.acknowledged ?? []) acknowledged.push(sequence);
        if (!welcome) return;
        for (const message of messages) call.write(message);
        call.end();
      });
      call.on("error", reject);
      call.on("end", () => resolve(acknowledged));
      call.write(HELLO);
    });
  } finally {
    client.close();
  }
}

Deno.test("A batch that comes again is acknowledged again and not stored again", async () => {
  const store = new MemoryStore();
  await using service = await listen(store);
  const { port } = service;
  const [first, second, third] = [1, 2, 5].map((sequence) => batchOf(sequence, 4, 10));
  const otherLane = batchOf(1, 1, 10);
  assertEquals((await acknowledgementsOf(port, [first, first, second, first])).at(-1), 2n);
  // As of an agent that takes no notice of Welcome.
  assertEquals((await acknowledgementsOf(port, [first, second, third, otherLane])).sort(), [1n, 2n, 2n, 5n]);
  const stored = store.batches.map(({ severity, sequence }) => `${severity} ${sequence}`);
  assertEquals(stored, ["info 1", "info 2", "info 5", "critical 1"]);
  assertEquals(service.stats.agents[0].duplicates, 4);
});

Deno.test("Garbage on the port and a thousand idle connections keep no agent out", async () => {
  await using folder = await CertificateFolder.create();
  const ca = await folder.authority("ca");
  const server = await folder.issue("ca", "server");
  for (const tls of [null, server]) {
    const store = new MemoryStore();
    await using service = await listen(store, { tls });
    const { port } = service;
    const connections: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < 1000; i++) connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      for (let i = 0; i < 50; i++) {
        await connections[i].write(crypto.getRandomValues(new Uint8Array(1 + i * 40)));
      }
      await using agent = new TestAgent({ port, link: { tls: tls && { ca } } });
      await delivers(agent, store, 0);
      assertEquals(agent.link.stats.failures, 0);
    } finally {
      for (const connection of connections) connection.close();
    }
  }
});
