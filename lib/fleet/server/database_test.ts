import { DatabaseSync } from "node:sqlite";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { assertEquals, assertGreater, assertThrows } from "../../../tests/assert.ts";
import { bySeverity } from "../by_severity.ts";
import { StoreError } from "../../history/store_error.ts";
import { CORRELATION_READER, FleetDatabase } from "./database.ts";
import type { FleetStoreOptions, FlowQuery, MinuteFlow, NewBatch, StoredGroup } from "./store_messages.ts";

/** Sequences of spools that nobody used for long are forgotten. */
const RECEIVED_MS = Date.now();

class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "ebpfmon-fleet-" });

  open(options: Partial<FleetStoreOptions> = {}): FleetDatabase {
    return new FleetDatabase({
      path: `${this.path}/fleet.db`,
      bytesMax: 100_000_000,
      flowRowsMax: 1000,
      groupsMax: 1000,
      ...options,
    });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

function batch(sequence: number, overrides: Partial<NewBatch> = {}, agent = "a"): NewBatch {
  return {
    source: { agent, spool: "s", host: `host of ${agent}`, version: "1", bootId: "b" },
    severity: "info",
    sequence,
    events: 10,
    receivedUnixMs: RECEIVED_MS + sequence,
    content: new Uint8Array([sequence]),
    flows: [],
    alerts: [],
    ...overrides,
  };
}

function flow(overrides: Partial<MinuteFlow> = {}): MinuteFlow {
  const minute = Math.floor(Date.now() / 60_000);
  return {
    ...{ minute, iface: "eth0", direction: "egress", src: "192.0.2.1", dst: "192.0.2.2", sport: 1, dport: 443 },
    ...{ proto: 6, packets: 1, bytes: 100 },
    ...overrides,
  };
}

function group(id: string, overrides: Partial<StoredGroup> = {}): StoredGroup {
  return { id, rule: "r", severity: "info", agents: ["a"], endUnixNs: 1n, json: `{"id":"${id}"}`, ...overrides };
}

const ALL = { limit: 100, agent: null, rule: null, severity: null, beforeUnixNs: null };

Deno.test("FleetDatabase stores a batch once, and knows that after it was opened again", () => {
  using folder = new Folder();
  {
    using database = folder.open();
    assertEquals(database.accept([batch(1), batch(2), batch(1, { severity: "debug" })], null), 3);
    assertEquals(database.accept([batch(2)], null), 3);
    assertEquals(database.counts().duplicates, 1);
  }
  using database = folder.open();
  const { source } = batch(0);
  assertEquals(database.lastSequences(source), { ...bySeverity(0), info: 2, debug: 1 });
  assertEquals(database.lastSequences({ ...source, spool: "another" }), bySeverity(0));
  assertEquals(database.read(1, 10).map(({ position, sequence, content }) => [position, sequence, ...content]), [
    [2, 2, 2],
    [3, 1, 1],
  ]);
  const [agent] = database.agents();
  assertEquals([agent.host, agent.batches, agent.events, agent.firstSeenUnixMs, agent.lastSeenUnixMs], [
    "host of a",
    3,
    30,
    RECEIVED_MS + 1,
    RECEIVED_MS + 2,
  ]);
});

Deno.test("FleetDatabase stores all of a call or nothing", () => {
  using folder = new Folder();
  using database = folder.open();
  const wrong = batch(2, { content: null as unknown as Uint8Array<ArrayBuffer> });
  assertThrows(() => database.accept([batch(1), wrong], { reader: "r", position: 5, state: "" }));
  assertEquals(database.read(0, 10), []);
  assertEquals(database.checkpoint("r"), null);
  database.accept([batch(1)], { reader: "r", position: 6, state: "x" });
  assertEquals(database.checkpoint("r"), { reader: "r", position: 6, state: "x" });
});

Deno.test("FleetDatabase adds up flows by minute, over the fleet", () => {
  using folder = new Folder();
  using database = folder.open();
  const minute = flow().minute;
  database.accept([
    batch(1, { flows: [flow({ packets: 1, bytes: 1000 }), flow({ dport: 53, packets: 9, bytes: 90 })] }),
    batch(2, { flows: [flow({ packets: 2, bytes: 10 })] }),
    batch(1, { flows: [flow({ packets: 3, bytes: 20 }), flow({ minute: minute - 60, packets: 1000 })] }, "b"),
  ], null);
  const query: FlowQuery = { minutes: 5, limit: 2, agent: null, rank: "bytes" };
  const rows = (overrides: Partial<FlowQuery>) =>
    database.topFlows({ ...query, ...overrides }).map((
      { agent, dport, packets, bytes },
    ) => [agent, dport, packets, bytes]);
  assertEquals(rows({}), [["a", 443, 3, 1010], ["a", 53, 9, 90]]);
  assertEquals(rows({ rank: "packets" }), [["a", 53, 9, 90], ["a", 443, 3, 1010]]);
  assertEquals(rows({ agent: "b" }), [["b", 443, 3, 20]]);
  assertEquals(rows({ minutes: 100, limit: 1, rank: "packets" }), [["b", 443, 1003, 120]]);
});

Deno.test("FleetDatabase records a group once, and finds groups", () => {
  using folder = new Folder();
  using database = folder.open({ groupsMax: 3 });
  const groups = [
    group("1", { endUnixNs: 10n }),
    group("2", { endUnixNs: 30n, severity: "error", agents: ["a", "b"] }),
    group("3", { endUnixNs: 20n, rule: "q" }),
  ];
  assertEquals(database.addGroups(groups, { reader: CORRELATION_READER, position: 7, state: "s" }), ["1", "2", "3"]);
  assertEquals(database.addGroups([groups[1], group("4", { endUnixNs: 5n })], null), ["4"]);
  const ids = (overrides: Partial<Parameters<FleetDatabase["groups"]>[0]>) =>
    database.groups({ ...ALL, ...overrides }).map((json) => JSON.parse(json).id);
  assertEquals(ids({}), ["2", "3", "1", "4"]);
  assertEquals(ids({ limit: 1 }), ["2"]);
  assertEquals(ids({ agent: "b" }), ["2"]);
  assertEquals(ids({ rule: "q" }), ["3"]);
  assertEquals(ids({ severity: "warning" }), ["2"]);
  assertEquals(ids({ beforeUnixNs: 20n }), ["1", "4"]);
  assertEquals(database.checkpoint(CORRELATION_READER)?.position, 7);
});

Deno.test("FleetDatabase keeps to its size, the oldest batches go first, and unread ones are counted", async () => {
  using time = new FakeTime();
  using folder = new Folder();
  using database = folder.open({ bytesMax: 1_000_000 });
  const content = new Uint8Array(10_000);
  for (let i = 0; i < 400; i++) database.accept([batch(i, { content })], null);
  // The limits are looked at once a second.
  await time.pass(1_001);
  database.accept([batch(400, { content })], null);
  const { evictedBatches, evictedUnread, sizeBytes } = database.counts();
  assertGreater(evictedBatches, 0);
  assertEquals(evictedUnread, evictedBatches);
  assertGreater(1_000_001, sizeBytes);
  const positions = database.read(0, 1_000_000).map(({ position }) => position);
  assertEquals(positions.every((position) => position > evictedBatches), true);
});

Deno.test("FleetDatabase shares its file with nobody, and takes no other database for its own", () => {
  using folder = new Folder();
  {
    using _database = folder.open();
    assertThrows(() => folder.open(), StoreError, "database is locked");
  }
  Deno.writeTextFileSync(`${folder.path}/fleet.db`, "no database at all, but long enough to be looked at".repeat(99));
  assertThrows(() => folder.open(), StoreError, "it is not a database");
});

Deno.test("FleetDatabase tells which groups earlier runs left untraced, and forgets those that were traced", () => {
  using folder = new Folder();
  {
    using database = folder.open();
    const groups = ["1", "2", "3", "4"].map((id) => group(id, { untraced: `body ${id}` }));
    database.addGroups([...groups, group("5")], null);
    assertEquals(database.addGroups([groups[0]], null), []);
    assertEquals(database.untraced(0, 10), []);
    database.traced(["2", "unknown"]);
  }
  {
    using database = folder.open();
    database.addGroups([group("6", { untraced: "of this run" })], null);
    assertEquals(database.untraced(0, 2), [{ position: 1, body: "body 1" }, { position: 3, body: "body 3" }]);
    assertEquals(database.untraced(3, 2), [{ position: 4, body: "body 4" }]);
    database.traced(["1", "3"]);
  }
  {
    using database = folder.open();
    assertEquals(database.untraced(0, 10).map(({ body }) => body), ["body 4", "of this run"]);
    database.forgetUntraced();
  }
  using database = folder.open();
  assertEquals(database.untraced(0, 10), []);
  assertEquals(database.groups(ALL).length, 6);
});

Deno.test("FleetDatabase brings the store of an older version up to date, and leaves a newer one alone", () => {
  using folder = new Folder();
  const change = (sql: string) => {
    using db = new DatabaseSync(`${folder.path}/fleet.db`);
    db.exec(sql);
  };
  {
    using database = folder.open();
    database.addGroups([group("1")], null);
  }
  change("DROP TABLE untraced; PRAGMA user_version = 1");
  {
    using database = folder.open();
    assertEquals(database.addGroups([group("1"), group("2", { untraced: "body" })], null), ["2"]);
  }
  change("PRAGMA user_version = 3");
  assertThrows(() => folder.open(), StoreError, "a newer ebpfmon made it, version 3; this one knows 2");
});
