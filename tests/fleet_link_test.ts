/** An agent's spool, batcher and link against the gRPC service, in one process on loopback. */
import { decodeEvent } from "../lib/fleet/event_codec.ts";
import { FleetServer, type FleetServerOptions } from "../lib/fleet/server/grpc_service.ts";
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { TestAgent } from "./support/fleet_agent.ts";
import { until } from "./support/until.ts";
import { fleetEvent, fleetEventNumber } from "./support/fleet_events.ts";
import { MemoryStore } from "./support/fleet_memory_store.ts";
import { delay } from "../lib/runtime/timers.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

async function listen(store: MemoryStore, options: Partial<FleetServerOptions> = {}): Promise<FleetServer> {
  return await FleetServer.listen({ listen: LOOPBACK, store, tls: null, onNotice: () => {}, ...options });
}

function events(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => fleetEvent(from + i));
}

function assertEachOnce(numbers: number[], count: number): void {
  assertEquals(numbers.length, count);
  assertEquals(new Set(numbers).size, count);
}

Deno.test("AgentLink delivers every event once, as it was, and the spool empties", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  await using agent = new TestAgent({ port: server.port });
  for (let from = 0; from < 20_000; from += 500) agent.batcher.add(events(from, from + 500));
  agent.batcher.flush();
  await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement");
  assertEachOnce(store.eventNumbers, 20_000);
  for (const { content, severity } of store.batches) {
    for (const message of content.events) {
      const decoded = decodeEvent(message)!;
      assertEquals(decoded, fleetEvent(fleetEventNumber(decoded)));
      assertEquals(decoded.event.severity, severity);
    }
  }
  const { events: counts } = agent.spool.stats;
  assertEquals([counts.appended, counts.acknowledged, counts.spooled], [20_000, 20_000, 0]);
  assertEquals(agent.link.stats.sentEvents, 20_000);
  assert(agent.link.stats.connected);
});

Deno.test("AgentLink sends again what was not acknowledged, and the server stores it once", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  // Stored, but the acknowledgement is lost: the store fails after the fact, once.
  let failures = 0;
  const accept = store.accept.bind(store);
  store.accept = async (batches) => {
    await accept(batches);
    if (store.batches.length > 20 && failures++ === 0) throw new Error("the disk is on fire");
  };
  await using agent = new TestAgent({ port: server.port, flushMs: 0 });
  for (let from = 0; from < 10_000; from += 100) {
    agent.batcher.add(events(from, from + 100));
    await delay(1);
  }
  await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement");
  assertEachOnce(store.eventNumbers, 10_000);
  assertEquals(agent.link.stats.reconnects, 1);
  assertStringIncludes(agent.notices.join(), "cannot store batches now");
});

Deno.test("A server says once that it cannot store what an agent sends, and again when that happens anew", async () => {
  const store = new MemoryStore();
  const notices: string[] = [];
  await using server = await listen(store, { onNotice: (notice) => notices.push(notice) });
  await using agent = new TestAgent({ port: server.port, flushMs: 0 });
  for (let times = 1; times <= 2; times++) {
    let failures = 3;
    store.before = () => failures-- > 0 ? Promise.reject(new Error("the disk is full")) : Promise.resolve();
    agent.batcher.add(events(100 * times, 100 * times + 100));
    await until(() => failures < 0 && agent.spool.stats.batches.spooled === 0, "the acknowledgement");
    assertEquals(notices, Array(times).fill("Cannot store what agent-1 sends: the disk is full"));
  }
});

Deno.test("An agent that is stopped right after its start delivers what it has", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  await using agent = new TestAgent({ port: server.port });
  agent.batcher.add(events(0, 250));
  await agent.stop();
  assertEachOnce(store.eventNumbers, 250);
  assertEquals(agent.spool.stats.batches.spooled, 0);
});

Deno.test("Nothing is acknowledged before the store has it", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  const gate = Promise.withResolvers<void>();
  store.before = () => gate.promise;
  await using agent = new TestAgent({ port: server.port, flushMs: 0 });
  agent.batcher.add(events(0, 100));
  await until(() => agent.link.stats.sentEvents === 100, "sending");
  await delay(200);
  assertEquals(agent.spool.stats.events.acknowledged, 0);
  gate.resolve();
  await until(() => agent.spool.stats.events.acknowledged === 100, "the acknowledgement");
});

Deno.test("A store that is slow holds the agent back: no more is under way than the window", async () => {
  const store = new MemoryStore();
  const windowBytesMax = 100_000;
  await using server = await listen(store, { limits: { windowBytesMax } });
  store.before = () => delay(50);
  await using agent = new TestAgent({ port: server.port });
  let mostBytes = 0;
  let congested = false;
  for (let from = 0; from < 20_000; from += 500) {
    agent.batcher.add(events(from, from + 500));
    await delay(1);
    mostBytes = Math.max(mostBytes, agent.link.stats.inFlightBytes);
    congested ||= agent.link.stats.congested;
  }
  agent.batcher.flush();
  await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement", 30_000);
  assertEachOnce(store.eventNumbers, 20_000);
  assert(mostBytes <= windowBytesMax, `${mostBytes}`);
  assert(congested);
});

Deno.test("A limit on events a second reads the agent more slowly, and loses nothing", async () => {
  const store = new MemoryStore();
  await using server = await listen(store, { limits: { eventsPerSecond: 5000, burstEvents: 1000 } });
  await using agent = new TestAgent({ port: server.port });
  const startMs = performance.now();
  for (let from = 0; from < 6000; from += 500) agent.batcher.add(events(from, from + 500));
  agent.batcher.flush();
  await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement");
  assertGreater(performance.now() - startMs, 700);
  assertEachOnce(store.eventNumbers, 6000);
  assertGreater(server.stats.agents[0].throttledMs, 0);
});

Deno.test("A batch that the server will not take is dropped and counted, and the others go on", async () => {
  const store = new MemoryStore();
  await using server = await listen(store, { limits: { messageBytesMax: 20_000 } });
  await using agent = new TestAgent({ port: server.port, flushMs: 0 });
  agent.batcher.addRaw("info", new Uint8Array(50_000), 7);
  agent.batcher.add(events(0, 50));
  await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement");
  assertEquals(agent.spool.stats.events.dropped.info, 7);
  assertEachOnce(store.eventNumbers, 50);
  assertStringIncludes(agent.notices.join(), "Dropped a batch of 7 events");
});

Deno.test("AgentLink goes to another server when its own stops in order, and nothing is lost or repeated", async () => {
  const store = new MemoryStore();
  const servers = [await listen(store), await listen(store)];
  try {
    const addresses = servers.map(({ port }) => ({ host: "127.0.0.1", port }));
    await using agent = new TestAgent({ port: 0, link: { servers: addresses } });
    const feeding = (async () => {
      for (let from = 0; from < 20_000; from += 100) {
        agent.batcher.add(events(from, from + 100));
        await delay(5);
      }
    })();
    await until(() => agent.link.stats.sentEvents > 2000, "sending");
    const first = servers.find(({ port }) => agent.link.stats.server === `127.0.0.1:${port}`)!;
    await first.drain(5000);
    await feeding;
    agent.batcher.flush();
    await until(() => agent.spool.stats.batches.spooled === 0, "the last acknowledgement");
    assertEachOnce(store.eventNumbers, 20_000);
    assert(agent.link.stats.server !== `127.0.0.1:${first.port}`);
    assertEquals(agent.link.stats.reconnects, 1);
    assertStringIncludes(agent.notices.join(), "said goodbye: the server stops");
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]();
  }
});

Deno.test("Agents spread over servers", async () => {
  const store = new MemoryStore();
  const servers = [await listen(store), await listen(store)];
  const agents: TestAgent[] = [];
  try {
    const addresses = servers.map(({ port }) => ({ host: "127.0.0.1", port }));
    for (let i = 0; i < 24; i++) {
      agents.push(new TestAgent({ port: 0, agent: `agent-${i}`, link: { servers: addresses } }));
    }
    await until(() => agents.every(({ link }) => link.stats.connected), "all connections");
    // All 24 on one side: once in eight million runs.
    for (const server of servers) assertGreater(server.stats.agentsConnected, 0);
    assertEquals(servers.reduce((sum, { stats }) => sum + stats.agentsConnected, 0), 24);
  } finally {
    for (const agent of agents) await agent[Symbol.asyncDispose]();
    for (const server of servers) await server[Symbol.asyncDispose]();
  }
});

Deno.test("A second stream of an agent takes over from the first", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  await using first = new TestAgent({ port: server.port, link: { backoff: { firstMs: 60_000, maxMs: 60_000 } } });
  await until(() => first.link.stats.connected, "the first connection");
  await using second = new TestAgent({ port: server.port });
  await until(() => second.link.stats.connected && !first.link.stats.connected, "the second connection");
  const notice = "another stream of this agent has taken over";
  await until(() => first.notices.join().includes(notice), "the first one's notice");
  await until(() => server.stats.agentsConnected === 1, "the end of the first stream");
  assertEquals(server.stats.agents[0].connects, 2);
});

Deno.test("Streams that fight over one agent never reach the store at the same time", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  let active = 0;
  let most = 0;
  let calls = 0;
  store.before = async () => {
    calls++;
    most = Math.max(most, ++active);
    await delay(60);
    active--;
  };
  const lastSequences = store.lastSequences.bind(store);
  store.lastSequences = (source) => {
    most = Math.max(most, active + 1);
    return lastSequences(source);
  };
  const agents = Array.from(
    { length: 4 },
    () => new TestAgent({ port: server.port, flushMs: 0, link: { backoff: { firstMs: 5, maxMs: 20 }, drainMs: 100 } }),
  );
  try {
    // On a busy machine it takes longer until the store has been asked a few times.
    for (let n = 0; n < 100 || (calls <= 3 && n < 2_000); n++) {
      for (const agent of agents) agent.batcher.add(events(n, n + 1));
      await delay(10);
    }
  } finally {
    await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()));
  }
  assertGreater(calls, 3);
  assertEquals(most, 1);
  const stored = store.batches.map(({ spool, severity, sequence }) => `${spool} ${severity} ${sequence}`);
  assertEquals(new Set(stored).size, stored.length);
});

Deno.test("Filters reach agents that are there, and those that come", async () => {
  const store = new MemoryStore();
  await using server = await listen(store);
  const seen: unknown[] = [];
  const onFilter = (filter: unknown) => seen.push(filter);
  const filter = {
    generation: 1,
    events: ["tcp_state" as const],
    severity: "info" as const,
    nets: [],
    debugSampling: 4,
  };
  await using _first = new TestAgent({ port: server.port, link: { onFilter } });
  await until(() => server.stats.agentsConnected === 1, "the connection");
  server.setFilter(filter);
  await until(() => seen.length === 1, "the filter");
  await using _second = new TestAgent({ port: server.port, agent: "agent-2", link: { onFilter } });
  await until(() => seen.length === 2, "the filter");
  assertEquals(seen, [filter, filter]);
});

Deno.test("An agent that says nothing for too long is let go, and comes back", async () => {
  const store = new MemoryStore();
  await using server = await listen(store, { limits: { idleMs: 300 } });
  await using agent = new TestAgent({ port: server.port });
  await until(() => agent.link.stats.reconnects > 0, "the new connection");
  assertStringIncludes(agent.notices.join(), "idle for too long");
});

Deno.test("Plaintext and tokens are refused where others could listen", async () => {
  const store = new MemoryStore();
  const listenEverywhere = { host: "0.0.0.0", port: 0 };
  const error = await listen(store, { listen: listenEverywhere }).then(() => null, (error) => error);
  assertStringIncludes(error.message, "without TLS");
  const servers = [{ host: "192.0.2.1", port: 1 }];
  let message = "";
  try {
    new TestAgent({ port: 0, link: { servers } });
  } catch (error) {
    message = (error as Error).message;
  }
  assertStringIncludes(message, "there is no TLS");
});
