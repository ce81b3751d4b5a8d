/**
 * What is acknowledged is stored, whatever dies: agents and servers are processes of their own, and are killed. Record by
 * record what agents made is compared with what the server's file holds.
 */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import type { AgentProgramOptions } from "./support/fleet_agent_program.ts";
import { eventually } from "./support/fleet_cli.ts";
import { readBatches } from "./support/fleet_file_store.ts";
import { AgentProgram, freePort, ServerProgram } from "./support/fleet_programs.ts";
import { delay } from "../lib/runtime/timers.ts";

const CHUNK = 100;

class Fleet implements AsyncDisposable {
  readonly folder: string;
  readonly port = freePort();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Fleet> {
    return new Fleet(await Deno.makeTempDir({ prefix: "ebpfmon-fleet-" }));
  }

  get storePath(): string {
    return `${this.folder}/store`;
  }

  get journalPath(): string {
    return `${this.folder}/journal`;
  }

  server(): Promise<ServerProgram> {
    const listen = { host: "127.0.0.1", port: this.port };
    return ServerProgram.start({ listen, tls: null, storePath: this.storePath, keepaliveMs: 1000 });
  }

  agent(options: Partial<AgentProgramOptions>): AgentProgram {
    return AgentProgram.start({
      link: {
        servers: [{ host: "127.0.0.1", port: this.port }],
        tls: null,
        backoff: { firstMs: 10, maxMs: 100 },
        keepaliveMs: 1000,
      },
      agent: "agent-1",
      from: 0,
      to: 10_000,
      chunk: CHUNK,
      rate: 5000,
      flushMs: 0,
      memoryBytesMax: 64 * 1024 * 1024,
      ...options,
    });
  }

  /** Numbers of the chunks that an agent's spool had. */
  chunks(): number[] {
    return Deno.readTextFileSync(this.journalPath).split("\n").filter(Boolean).map(Number);
  }

  /** Waits until spools have so many events more. */
  async progress(events: number): Promise<void> {
    const chunks = () => this.#hasJournal() ? this.chunks().length : 0;
    const before = chunks();
    await eventually(() => (chunks() - before) * CHUNK >= events, () => `${events} more events`);
  }

  #hasJournal(): boolean {
    try {
      return Deno.statSync(this.journalPath).isFile;
    } catch {
      return false;
    }
  }

  /** How often the store has each event. @throws when one is not as it was made */
  stored(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const { numbers, damaged, severity, sequence } of readBatches(this.storePath).batches) {
      assertEquals(damaged, 0, `batch ${severity} ${sequence}`);
      for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Every number from `from` to below `to` once, and nothing else. */
function assertExactly(stored: Map<number, number>, from: number, to: number): void {
  const missing: number[] = [];
  for (let n = from; n < to; n++) if (stored.get(n) !== 1) missing.push(n);
  assertEquals(missing, []);
  assertEquals(stored.size, to - from);
}

Deno.test("A server killed twenty times in mid-stream has every event once", async () => {
  await using fleet = await Fleet.create();
  let server = await fleet.server();
  await using agent = fleet.agent({ to: 60_000, rate: 5000 });
  try {
    for (let kills = 0; kills < 20; kills++) {
      await delay(200 + kills * 37 % 150);
      await server.end("SIGKILL");
      server = await fleet.server();
    }
    const { spool, link } = await agent.result();
    assertExactly(fleet.stored(), 0, 60_000);
    assertEquals(spool.events.acknowledged, 60_000);
    assertEquals(spool.events.spooled, 0);
    assertGreater(link.reconnects, 10);
  } finally {
    await server.end("SIGKILL");
  }
});

Deno.test("An agent killed again and again delivers what its spool had, once", async () => {
  await using fleet = await Fleet.create();
  await using _server = await fleet.server();
  const spool = { path: `${fleet.folder}/spool`, bytesMax: 64 * 1024 * 1024 };
  let from = 0;
  for (let kills = 0; kills < 8; kills++) {
    await using agent = fleet.agent({ from, to: 1_000_000, rate: 20_000, spool, journalPath: fleet.journalPath });
    await fleet.progress(2_000 + kills * 530);
    await agent.end("SIGKILL");
    // What was being made when it was killed may or may not be in the spool: it is not made again.
    from = Math.max(...fleet.chunks()) + 2 * CHUNK;
  }
  await using last = fleet.agent({ from, to: from + 1000, spool, journalPath: fleet.journalPath });
  const { spool: stats } = await last.result();
  assertEquals(stats.events.appended + stats.events.recovered, stats.events.acknowledged);
  const stored = fleet.stored();
  for (const chunk of fleet.chunks()) {
    for (let n = chunk; n < chunk + CHUNK; n++) assertEquals(stored.get(n), 1, `event ${n}`);
  }
  for (const [number, count] of stored) assertEquals(count, 1, `event ${number}`);
  assertGreater(stored.size, 10_000);
});

Deno.test("Agent and server killed together lose and repeat nothing", async () => {
  await using fleet = await Fleet.create();
  const spool = { path: `${fleet.folder}/spool`, bytesMax: 64 * 1024 * 1024 };
  let from = 0;
  for (let kills = 0; kills < 5; kills++) {
    await using server = await fleet.server();
    await using agent = fleet.agent({ from, to: 1_000_000, rate: 20_000, spool, journalPath: fleet.journalPath });
    await fleet.progress(3_000);
    await Promise.all([server.end("SIGKILL"), agent.end("SIGKILL")]);
    from = Math.max(...fleet.chunks()) + 2 * CHUNK;
  }
  await using _server = await fleet.server();
  await using last = fleet.agent({ from, to: from + 1000, spool, journalPath: fleet.journalPath });
  await last.result();
  const stored = fleet.stored();
  for (const chunk of fleet.chunks()) {
    for (let n = chunk; n < chunk + CHUNK; n++) assertEquals(stored.get(n), 1, `event ${n}`);
  }
  for (const [number, count] of stored) assertEquals(count, 1, `event ${number}`);
});

Deno.test("A server that is stopped for ten seconds gets everything once when it goes on", async () => {
  await using fleet = await Fleet.create();
  await using server = await fleet.server();
  await using agent = fleet.agent({ to: 36_000, rate: 3000 });
  await delay(1000);
  server.child.kill("SIGSTOP");
  await delay(10_000);
  server.child.kill("SIGCONT");
  const { spool } = await agent.result();
  assertExactly(fleet.stored(), 0, 36_000);
  assertEquals(spool.events.acknowledged, 36_000);
});

Deno.test("A spool on disk that overflows drops the least severe, counts it, and delivers the rest after a restart", async () => {
  await using fleet = await Fleet.create();
  const spool = { path: `${fleet.folder}/spool`, bytesMax: 2 * 1024 * 1024 };
  await using offline = fleet.agent({
    to: 40_000,
    rate: 0,
    spool,
    waitingMax: 1_000_000,
    journalPath: fleet.journalPath,
  });
  while (!fleetHas(fleet, 39_900)) await delay(20);
  await offline.end("SIGKILL");

  await using _server = await fleet.server();
  await using online = fleet.agent({ from: 40_000, to: 40_100, spool, memoryBytesMax: 100_000 });
  const { spool: stats } = await online.result();
  const { recovered, acknowledged, dropped, spooled } = stats.events;
  // The spool is still full when the second agent begins: it may have to drop more, but nothing that matters.
  assertEquals(recovered + 100, acknowledged + dropped.debug + dropped.info);
  assertEquals([dropped.critical, dropped.error, dropped.warning, spooled], [0, 0, 0, 0]);
  const stored = fleet.stored();
  assertEquals(stored.size, acknowledged);
  assert(recovered < 40_000 && recovered > 2000, `${recovered}`);
  for (let n = 0; n < 40_000; n++) {
    // In tests/support/fleet_events.ts one in ten is critical and one an error.
    if (n % 10 === 9 || n % 10 === 6) assertEquals(stored.get(n), 1, `event ${n} matters`);
  }
});

function fleetHas(fleet: Fleet, chunk: number): boolean {
  try {
    return fleet.chunks().includes(chunk);
  } catch {
    return false;
  }
}
