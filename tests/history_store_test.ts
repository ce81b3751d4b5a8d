/** The store: sums, levels, limits, and what happens to it when everything else fails. */
import { DatabaseSync } from "node:sqlite";
import { formatAddress } from "../lib/net/address.ts";
import { LEVELS, TRAFFIC_CLASSES } from "../lib/history/levels.ts";
import { parseFlowFilter } from "../lib/filter/language.ts";
import { History } from "../lib/history/history.ts";
import { queryFlows, querySeries, queryTop } from "../lib/history/query.ts";
import { HistoryReader } from "../lib/history/reader.ts";
import { SCHEMA_VERSION } from "../lib/history/schema.ts";
import { StoreError } from "../lib/history/store_error.ts";
import { HistoryWriter } from "../lib/history/writer.ts";
import { WorkerError } from "../lib/runtime/worker_handle.ts";
import { assert, assertEquals, assertGreater, assertLess, assertRejects, assertThrows } from "./assert.ts";
import { ALL, ALWAYS, assertWhole, STORE, StoreDir, storedWindow, sumsOf, windowsAt } from "./support/history_store.ts";
import { DAY_START_NS, type MadeWindow, madeWindow, NS_PER_S } from "./support/history_windows.ts";
import { linesOf } from "./support/lines.ts";
import { delay } from "../lib/runtime/timers.ts";
import { Random } from "./support/random.ts";
import { flowRow, flowWindow, interfaceTraffic } from "./support/windows.ts";

const SEED = Random.freshSeed();
const TOP = { rank: "packets", limit: 10 } as const;

function store(path: string, windows: MadeWindow[], options = STORE): void {
  using writer = new HistoryWriter({ ...options, path });
  for (let at = 0; at < windows.length; at += 50) writer.store(windows.slice(at, at + 50).map(({ window }) => window));
}

Deno.test("every answer at every level adds up to what was counted", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  // Five hours past midnight and some, in windows of about 20 s that keep to no grid.
  let startUnixNs = DAY_START_NS + 20n * 3600n * NS_PER_S;
  const windows = Array.from({ length: 1_000 }, (_, sequence) => {
    const lengthNs = 15n * NS_PER_S + BigInt(random.below(10_000)) * 1_000_000n;
    const it = madeWindow(random, { startUnixNs, lengthNs, sequence, flows: 30, topMax: 30, pool: 200 });
    startUnixNs += lengthNs;
    return it;
  });
  store(dir.path, windows);
  const levels = assertWhole(dir.path);
  assertEquals([levels[0], levels[3]], [1_000, 1], `seed ${SEED}`);

  const whole = sumsOf(windows);
  using reader = new HistoryReader(dir.path);
  for (const level of [null, ...LEVELS.keys()]) {
    const selection = { ...ALL, level };
    const { summary, groups, beyond } = queryTop(reader, selection, "src", TOP);
    for (const name of TRAFFIC_CLASSES) {
      if (name !== "rest") assertEquals(summary.classes[name], whole[name], `${name}, seed ${SEED}`);
    }
    const named = groups.reduce((sum, group) => sum + group.packets, beyond.packets);
    assertEquals(named, summary.selected.packets);
    assertEquals(named + summary.classes.rest.packets, whole.flows.packets, `seed ${SEED}`);

    const series = querySeries(reader, selection, "port", { rank: "bytes", limit: 1_000 });
    assertEquals(series.points.reduce((sum, { classes }) => sum + classes.seen.bytes, 0n), whole.seen.bytes);
    series.points.forEach(({ selected }, i) => {
      assertEquals(series.groups.reduce((sum, { traffic }) => sum + traffic[i].bytes, 0n), selected.bytes);
    });

    const { flows, beyond: more } = queryFlows(reader, selection, TOP);
    assertEquals(flows.reduce((sum, flow) => sum + flow.packets, more.packets), named);
  }
});

Deno.test("what an estimate names is counted once, at every level, and lies within its bounds", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const shape = { lengthNs: 15n * NS_PER_S, flows: 20, topMax: 20, withoutRoom: 12, pool: 120 };
  const windows = Array.from(
    { length: 500 },
    (_, sequence) =>
      madeWindow(random, { ...shape, startUnixNs: DAY_START_NS + BigInt(sequence) * shape.lengthNs, sequence }),
  );
  // Room for every flow that is named, so that each is no more than its bounds and what no estimate names.
  store(dir.path, windows, { ...STORE, rowsMax: 120 });
  assertWhole(dir.path);
  const whole = sumsOf(windows);
  const truth = new Map<string, number>();
  for (const { iface, src, sport, dport, packets } of windows.flatMap((it) => [...it.flows, ...it.withoutRoom])) {
    const key = `${iface} ${src} ${sport} ${dport}`;
    truth.set(key, (truth.get(key) ?? 0) + packets);
  }
  using reader = new HistoryReader(dir.path);
  for (const level of LEVELS.keys()) {
    const selection = { ...ALL, level };
    const { summary, groups, beyond } = queryTop(reader, selection, "src", TOP);
    const { classes, estimated, selected } = summary;
    for (const name of TRAFFIC_CLASSES) {
      if (name !== "rest") assertEquals(classes[name], whole[name], `${name}, seed ${SEED}`);
    }
    assertGreater(estimated.packets, 0n);
    for (const unit of ["packets", "bytes"] as const) {
      assert(estimated[unit] <= classes.overflow[unit], `seed ${SEED}`);
      assertEquals(selected[unit] - estimated[unit] + classes.rest[unit], classes.flows[unit], `seed ${SEED}`);
      assertEquals(groups.reduce((sum, group) => sum + group[unit], beyond[unit]), selected[unit]);
    }
    assertEquals([selected.errorPackets, selected.errorBytes], [estimated.errorPackets, estimated.errorBytes]);

    const { points, groups: courses } = querySeries(reader, selection, "proto", { rank: "packets", limit: 100 });
    assertEquals(points.reduce((sum, point) => sum + point.selected.packets, 0n), selected.packets);
    for (const { traffic, errorPackets } of courses) {
      assertEquals(traffic.reduce((sum, it) => sum + (it.errorPackets ?? 0n), 0n), errorPackets ?? 0n);
    }

    const unnamed = classes.overflow.packets - estimated.packets;
    const { flows } = queryFlows(reader, selection, { ...TOP, limit: 1_000 });
    for (const { iface, src, sport, dport, packets, errorPackets = 0n } of flows) {
      const had = BigInt(truth.get(`${iface} ${formatAddress(src)} ${sport} ${dport}`)!);
      assert(packets <= had && had <= packets + errorPackets + unnamed, `${packets} of ${had}, seed ${SEED}`);
    }
    const where = parseFlowFilter("udp");
    const udp = queryTop(reader, { ...selection, where }, "proto", TOP);
    assertEquals([udp.groups.length, udp.summary.estimated], [1, estimated]);
    assertLess(udp.summary.selected.errorPackets!, selected.errorPackets!);
  }
});

Deno.test("a range that begins and ends anywhere is exact to a window of the finest level", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const windows = Array.from({ length: 8_000 }, (_, sequence) => storedWindow(random, sequence));
  store(dir.path, windows);
  using reader = new HistoryReader(dir.path);
  for (let round = 0; round < 20; round++) {
    const [a, b] = [random.below(8_000), random.below(8_000)].sort((a, b) => a - b);
    const range = {
      fromNs: DAY_START_NS + BigInt(a) * NS_PER_S - 500_000_000n,
      toNs: DAY_START_NS + BigInt(b) * NS_PER_S + 500_000_000n,
    };
    const { summary } = queryTop(reader, { ...ALL, range, level: 2 }, "proto", TOP);
    const wanted = sumsOf(windows.slice(a, b + 1));
    assertEquals(summary.classes.seen, wanted.seen, `seed ${SEED}`);
    if (b - a > 7_200) assertGreater(summary.windows["1h"] ?? 0, 0);
  }
});

Deno.test("where every flow is named, answers with a filter or in a group are what a recount gives", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const windows = Array.from({ length: 300 }, (_, sequence) =>
    madeWindow(random, {
      startUnixNs: DAY_START_NS + BigInt(sequence) * NS_PER_S,
      lengthNs: NS_PER_S,
      sequence,
      flows: 20,
      topMax: 20,
      pool: 40,
    }));
  store(dir.path, windows);
  const recount = (accepts: (flow: MadeWindow["flows"][number]) => boolean) =>
    windows.flatMap(({ flows }) => flows).filter(accepts).reduce((sum, { packets }) => sum + packets, 0);
  using reader = new HistoryReader(dir.path);
  for (const level of [0, 1]) {
    const where = parseFlowFilter("udp and ingress");
    const udp = queryTop(reader, { ...ALL, level, where }, "flow", TOP).summary;
    assertEquals(udp.selected.packets, BigInt(recount((it) => it.proto === 17 && it.direction === "ingress")));
    assertEquals([udp.floorPackets, udp.classes.rest.packets], [0n, 0n]);
    const within = { by: "process", label: "command 3 (103)" } as const;
    const { summary, flows } = queryFlows(reader, { ...ALL, level, within }, { ...TOP, limit: 1_000 });
    assertEquals(summary.selected.packets, BigInt(recount((it) => it.comm === "command 3" && it.pid === 103)));
    assert(flows.every(({ comm, firstNs, lastNs }) => comm === "command 3" && firstNs < lastNs));
  }
});

Deno.test("a minute cut in two by a restart is one window, and so is one that a crash cut", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const windows = Array.from({ length: 130 }, (_, sequence) => storedWindow(random, sequence));
  store(dir.path, windows.slice(0, 30));
  store(dir.path, windows.slice(30));
  assertEquals(windowsAt(dir.path, 1).map(({ windows }) => windows), [60, 60]);
  assertEquals(windowsAt(dir.path, 1)[0].startNs, DAY_START_NS);
});

Deno.test("a clock set forward or back makes windows of their own, and no count is lost", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const starts = [0, 1, 2, 3_600, 3_601, 1, 2, 61, 7_200].map((s) => DAY_START_NS + BigInt(s) * NS_PER_S);
  const windows = starts.map((startUnixNs, sequence) =>
    madeWindow(random, { startUnixNs, lengthNs: NS_PER_S, sequence, flows: 9, topMax: 9, pool: 50 })
  );
  store(dir.path, windows);
  assertEquals(assertWhole(dir.path), [9, 4, 3, 0]);
  using reader = new HistoryReader(dir.path);
  for (const level of [0, 1, 2, 3]) {
    const { classes } = queryTop(reader, { ...ALL, level }, "iface", TOP).summary;
    assertEquals(classes.seen, sumsOf(windows).seen, `level ${level}`);
  }
});

Deno.test("windows go when they are too old, the finest first, and the coarser ones still know", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const windows = Array.from({ length: 1_000 }, (_, sequence) => storedWindow(random, sequence));
  const keepNs = [120n, 600n, 86_400n, 86_400n].map((s) => s * NS_PER_S);
  store(dir.path, windows, { ...STORE, keepNs });
  const levels = assertWhole(dir.path);
  // Minutes of the hour that has not ended yet stay: nothing else knows what was in them.
  assertEquals(levels, [121, 16, 0, 0]);
  using reader = new HistoryReader(dir.path);
  assertEquals(queryTop(reader, { ...ALL, level: 0 }, "iface", TOP).summary.classes.seen, sumsOf(windows).seen);
});

Deno.test("a day of windows keeps to the size limit, and every minute of it to its sums", () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const bytesMax = 24_000_000;
  const flows = 12;
  const templates = Array.from(
    { length: 120 },
    (_, sequence) =>
      madeWindow(random, {
        startUnixNs: DAY_START_NS,
        lengthNs: NS_PER_S,
        sequence,
        flows,
        topMax: flows,
        pool: 2_000,
      }),
  );
  let largest = 0;
  let seen = 0n;
  {
    using writer = new HistoryWriter({ ...STORE, rowsMax: flows, bytesMax, path: dir.path });
    for (let second = 0; second <= 86_400; second += 60) {
      const batch = Array.from({ length: 60 }, (_, i) => {
        const { window } = templates[(second * 7 + i) % templates.length];
        return { ...window, endUnixNs: DAY_START_NS + BigInt(second + i + 1) * NS_PER_S };
      });
      writer.store(batch);
      if (second < 86_400) {
        seen += BigInt(batch.flatMap((it) => it.interfaces).reduce((sum, it) => sum + it.seen.packets, 0));
      }
      if (second % 600 === 0) {
        const files = [dir.path, `${dir.path}-wal`].map((path) => Deno.statSync(path).size);
        largest = Math.max(largest, files[0] + files[1]);
      }
    }
  }
  assertLess(largest, bytesMax);
  assertGreater(largest, bytesMax / 2);
  const levels = assertWhole(dir.path);
  assertLess(levels[0], 86_400);
  assertEquals(levels.slice(1), [1_440, 24, 1]);
  using reader = new HistoryReader(dir.path);
  const range = { fromNs: DAY_START_NS, toNs: DAY_START_NS + 86_400n * NS_PER_S };
  for (const level of [1, 2, 3]) {
    assertEquals(queryTop(reader, { ...ALL, range, level }, "net", TOP).summary.classes.seen.packets, seen);
  }
});

Deno.test("a store whose writer is killed in mid-write is never damaged, and keeps what was committed", async () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  const script = new URL("support/history_writer_script.ts", import.meta.url).pathname;
  let committed = 0;
  for (let kill = 0; kill < 20; kill++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--allow-all", script, dir.path, `${SEED + kill}`, `${committed}`],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const line of linesOf(child.stdout)) {
      timer ??= setTimeout(() => child.kill("SIGKILL"), random.below(120));
      committed = Number(line);
    }
    const { signal } = await child.status;
    clearTimeout(timer);
    assertEquals(signal, "SIGKILL", `seed ${SEED}`);
    const [stored] = assertWhole(dir.path);
    // What was committed after the last line came through is there too.
    assert(stored >= committed, `${stored} of ${committed} windows, seed ${SEED}`);
    committed = stored;
  }
  const windows = windowsAt(dir.path, 0);
  assertEquals(windows.at(-1)!.startNs, DAY_START_NS + BigInt(committed - 1) * NS_PER_S);
  for (const minute of windowsAt(dir.path, 1)) assertEquals(minute.windows, 60, `seed ${SEED}`);
});

Deno.test("a full disk is said once, costs what came meanwhile, and heals by itself", async () => {
  using dir = new StoreDir();
  const mount = `${dir.dir}/disk`;
  Deno.mkdirSync(mount);
  const run = async (command: string, ...args: string[]) => {
    const { success, stderr } = await new Deno.Command(command, { args }).output();
    assert(success, new TextDecoder().decode(stderr));
  };
  await run("mount", "-t", "tmpfs", "-o", "size=6m", "ebpfmon-test", mount);
  try {
    const ballast = `${mount}/ballast`;
    Deno.writeFileSync(ballast, new Uint8Array(4_500_000));
    const path = `${mount}/store.db`;
    const notices: string[] = [];
    const random = new Random(SEED);
    let sequence = 0;
    {
      using history = await History.open({ ...STORE, path }, { notice: (text) => notices.push(text) });
      const pump = async (until: () => boolean) => {
        for (let tries = 0; !until(); tries++) {
          assert(tries < 20_000, `it does not come, seed ${SEED}: ${JSON.stringify(history.counts)}`);
          history.add(storedWindow(random, sequence++).window);
          const settled = () => history.counts.windowsStored + history.counts.windowsDropped === sequence;
          while (sequence % 20 === 0 && !settled()) await delay(1);
        }
      };
      await pump(() => history.counts.windowsDropped > 100);
      assertEquals(notices.length, 1);
      assert(/^history is not stored: .*full/.test(notices[0]), notices[0]);
      Deno.removeSync(ballast);
      const { windowsStored } = history.counts;
      await pump(() => history.counts.windowsStored > windowsStored + 100);
      assertEquals(notices.length, 2);
      assert(notices[1].startsWith("history is stored again; windows lost: "), notices[1]);
      await history.close();
      const { windowsDropped, rowsDropped, windowsStored: stored } = history.counts;
      assertEquals(windowsDropped + stored, sequence);
      assertGreater(rowsDropped, windowsDropped);
      assertEquals(assertWhole(path)[0], stored);
    }
  } finally {
    await run("umount", "--lazy", mount);
  }
});

Deno.test("a store that is removed or damaged while it is written to is made anew", async () => {
  using dir = new StoreDir();
  const notices: string[] = [];
  using history = await History.open({ ...STORE, path: dir.path }, { notice: (text) => notices.push(text) });
  const random = new Random(SEED);
  let sequence = 0;
  const settle = async () => {
    history.add(storedWindow(random, sequence++).window);
    while (history.counts.windowsStored + history.counts.windowsDropped < sequence) await delay(1);
  };
  const removeAll = () =>
    ["", "-wal", "-shm"].forEach((end) => {
      try {
        Deno.removeSync(dir.path + end);
      } catch (error) {
        assert(error instanceof Deno.errors.NotFound);
      }
    });
  await settle();
  removeAll();
  await settle();
  assertEquals([history.counts.windowsStored, notices], [2, []]);

  removeAll();
  Deno.writeTextFileSync(dir.path, "not a database ".repeat(1_000));
  await settle();
  await settle();
  assertEquals(history.counts.windowsDropped, 2);
  assert(notices[0].includes("it is not a database"), notices[0]);
  removeAll();
  await settle();
  await history.close();
  assertEquals([history.counts.windowsStored, notices.length], [3, 2]);
  assertEquals(assertWhole(dir.path), [1, 0, 0, 0]);
});

Deno.test("windows that find no place in the queue are dropped, counted and said once", async () => {
  using dir = new StoreDir();
  const notices: string[] = [];
  using history = await History.open({ ...STORE, path: dir.path }, { notice: (text) => notices.push(text) }, 2);
  const random = new Random(SEED);
  for (let sequence = 0; sequence < 50; sequence++) history.add(storedWindow(random, sequence).window);
  await history.close();
  const { windowsStored, windowsDropped } = history.counts;
  assertEquals([windowsStored, windowsDropped], [3, 47]); // one batch of one on its way, two that waited
  assert(notices[0].startsWith("history is not stored: the store does not keep up"), notices[0]);
  history.add(storedWindow(random, 50).window);
  assertEquals(history.counts.windowsDropped, 48);
});

Deno.test("a notice that nobody can print is thrown when the history is closed, and every window is counted once", async () => {
  using dir = new StoreDir();
  const unprintable = (text: string) => {
    if (text.startsWith("history is stored again")) throw new Error("nobody reads this");
  };
  using history = await History.open({ ...STORE, path: dir.path }, { notice: unprintable }, 2);
  const random = new Random(SEED);
  for (let sequence = 0; sequence < 5; sequence++) history.add(storedWindow(random, sequence).window);
  await delay(500); // long enough for it to become an unhandled rejection
  await assertRejects(() => history.close(), Error, "nobody reads this");
  const { windowsStored, windowsDropped } = history.counts;
  assertEquals([windowsStored, windowsDropped], [1, 4]);
});

Deno.test("one process writes to a store; another is told, and so is one with a path that cannot be", async () => {
  using dir = new StoreDir();
  const handlers = { notice() {} };
  {
    using _writer = new HistoryWriter({ ...STORE, path: dir.path });
    await assertRejects(
      () => History.open({ ...STORE, path: dir.path }, handlers),
      WorkerError,
      "another ebpfmon writes to it",
    );
  }
  using _writer = new HistoryWriter({ ...STORE, path: dir.path });
  const nowhere = `${dir.dir}/none/store.db`;
  await assertRejects(() => History.open({ ...STORE, path: nowhere }, handlers), WorkerError, nowhere);
  // Which would be waited for.
  const pipe = `${dir.dir}/pipe`;
  assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
  await assertRejects(() => History.open({ ...STORE, path: pipe }, handlers), WorkerError, "it is not a file");
});

Deno.test("a store is in the file of its name, whatever SQLite would make of it", () => {
  using dir = new StoreDir();
  const before = Deno.cwd();
  Deno.chdir(dir.dir);
  try {
    const random = new Random(SEED);
    for (const path of [":memory:", "file:some?mode=memory"]) {
      store(path, [storedWindow(random, 0)]);
      using reader = new HistoryReader(path);
      assertEquals(queryTop(reader, ALL, "flow", TOP).summary.windows, { "1s": 1 });
    }
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("a store is read while it is written to, and each answer is of one moment", async () => {
  using dir = new StoreDir();
  const random = new Random(SEED);
  using history = await History.open({ ...STORE, path: dir.path }, { notice: (text) => assert(false, text) });
  history.add(storedWindow(random, 0).window);
  while (history.counts.windowsStored === 0) await delay(5);
  let before = 0n;
  {
    // A reader that is open keeps the last pages in the log.
    using reader = new HistoryReader(dir.path);
    for (let sequence = 1; sequence < 400; sequence++) {
      history.add(storedWindow(random, sequence).window);
      if (sequence % 10 !== 0) continue;
      const { summary } = reader.snapshot(() => queryTop(reader, { ...ALL, level: 1 }, "src", TOP));
      const { flows, rest, seen } = summary.classes;
      assertEquals(flows.packets, summary.selected.packets + rest.packets);
      assert(seen.packets >= before);
      before = seen.packets;
      await delay(5);
    }
  }
  await history.close();
  assertGreater(before, 0n);
  const { windowsDropped, windowsEvicted, sizeBytes } = history.counts;
  assertEquals([windowsDropped, windowsEvicted], [0, 0]);
  assertEquals(sizeBytes, Deno.statSync(dir.path).size);
});

Deno.test("names of any kind come back as they were", () => {
  using dir = new StoreDir();
  const names = [
    "'); DROP TABLE window; --",
    '"',
    "a\0b",
    "line\nbreak\r",
    "\x1b[2J",
    "\u202eevil",
    "=1+1",
    "héé😀",
    "",
  ];
  const much = { packets: 1_000, bytes: 100_000 };
  const window = flowWindow({
    interfaces: names.map((iface) => interfaceTraffic({ iface, flows: much })),
    top: names.map((name) => ({ ...flowRow({ iface: name, packets: 10 }), comm: name, container: name, pid: 1 })),
  });
  using writer = new HistoryWriter({ ...STORE, path: dir.path });
  writer.store([window]);
  using reader = new HistoryReader(dir.path);
  const { flows } = queryFlows(reader, ALL, TOP);
  for (const field of ["iface", "comm", "container"] as const) {
    assertEquals(flows.map((flow) => flow[field]).sort(), names.toSorted());
  }
  const { summary } = queryTop(reader, { ...ALL, within: { by: "iface", label: names[0] } }, "process", TOP);
  assertEquals(summary.selected.packets, 10n);
});

/** What version 1 was, with one window in it. */
const VERSION_1 = `
  PRAGMA application_id = ${0x45425046};
  PRAGMA user_version = 1;
  CREATE TABLE window (id INTEGER PRIMARY KEY AUTOINCREMENT, level INTEGER NOT NULL, start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL, covered_ns INTEGER NOT NULL, windows INTEGER NOT NULL, flows INTEGER NOT NULL,
    floor_packets INTEGER NOT NULL, parent INTEGER) STRICT;
  CREATE INDEX window_by_time ON window (level, start_ns);
  CREATE TABLE traffic (window INTEGER NOT NULL, iface TEXT NOT NULL, direction TEXT NOT NULL,
    seen_packets INTEGER NOT NULL, seen_bytes INTEGER NOT NULL, flows_packets INTEGER NOT NULL,
    flows_bytes INTEGER NOT NULL, overflow_packets INTEGER NOT NULL, overflow_bytes INTEGER NOT NULL,
    non_ip_packets INTEGER NOT NULL, non_ip_bytes INTEGER NOT NULL, truncated_packets INTEGER NOT NULL,
    truncated_bytes INTEGER NOT NULL, malformed_packets INTEGER NOT NULL, malformed_bytes INTEGER NOT NULL,
    fragment_packets INTEGER NOT NULL, fragment_bytes INTEGER NOT NULL, rest_packets INTEGER NOT NULL,
    rest_bytes INTEGER NOT NULL, PRIMARY KEY (window, iface, direction)) STRICT, WITHOUT ROWID;
  CREATE TABLE flow_rows (window INTEGER PRIMARY KEY, rows INTEGER NOT NULL, packed BLOB NOT NULL) STRICT;
  INSERT INTO window VALUES (1, 0, ${DAY_START_NS}, ${DAY_START_NS + NS_PER_S}, ${NS_PER_S}, 1, 3, 5, NULL);
  INSERT INTO traffic VALUES (1, 'eth0', 'ingress', 100, 9000, 90, 8000, 4, 400, 1, 100, 2, 200, 3, 300, 0, 0, 30, 2000);
  INSERT INTO flow_rows VALUES (1, 1, x'0101046574683000000601020304050607080035c3503cf02e');`;

function fixture(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

Deno.test("a store of version 1 is brought up to date with what is in it", () => {
  using dir = new StoreDir();
  fixture(dir.path, VERSION_1);
  assertThrows(() => new HistoryReader(dir.path), StoreError, "it is of version 1");
  const random = new Random(SEED);
  const later = Array.from({ length: 61 }, (_, sequence) => storedWindow(random, sequence + 1));
  store(dir.path, later);
  assertEquals(assertWhole(dir.path), [62, 1, 0, 0]);
  using reader = new HistoryReader(dir.path);
  const { classes } = queryTop(reader, { ...ALL, level: 1 }, "src", TOP).summary;
  assertEquals(classes.seen.packets, sumsOf(later).seen.packets + 100n);
  assertEquals(windowsAt(dir.path, 1)[0].startNs, DAY_START_NS);
  const where = parseFlowFilter("host 1.2.3.4");
  assertEquals(queryTop(reader, { ...ALL, where, level: 0 }, "dst", TOP).groups, [{
    label: "5.6.7.8",
    packets: 60n,
    bytes: 6000n,
  }]);
});

Deno.test("a store of version 2 keeps its flows as they are, and takes estimates from then on", () => {
  using dir = new StoreDir();
  const index = "CREATE INDEX window_by_parent ON window (parent, level, start_ns)";
  fixture(dir.path, `${VERSION_1} ${index}; PRAGMA user_version = 2`);
  assertThrows(() => new HistoryReader(dir.path), StoreError, "it is of version 2");
  const packed = () => {
    const db = new DatabaseSync(dir.path, { readOnly: true });
    const found = db.prepare("SELECT hex(packed) AS packed FROM flow_rows WHERE window = 1").get()!.packed;
    db.close();
    return found;
  };
  const before = packed();
  const shape = {
    startUnixNs: DAY_START_NS + NS_PER_S,
    lengthNs: NS_PER_S,
    sequence: 1,
    flows: 9,
    topMax: 9,
    pool: 50,
  };
  const later = madeWindow(new Random(SEED), { ...shape, withoutRoom: 8 });
  store(dir.path, [later]);
  assertEquals([assertWhole(dir.path)[0], packed()], [2, before]);
  using reader = new HistoryReader(dir.path);
  const { estimated, selected, classes } = queryTop(reader, ALL, "src", TOP).summary;
  assertEquals(selected.packets - estimated.packets + classes.rest.packets, sumsOf([later]).flows.packets + 90n);
  assertGreater(estimated.packets, 0n);
});

Deno.test("what is no store, or one of a newer program, is refused and left as it was", () => {
  using dir = new StoreDir();
  const refused = (sql: string, message: string) => {
    fixture(dir.path, sql);
    const before = Deno.readFileSync(dir.path);
    assertThrows(() => new HistoryReader(dir.path), StoreError, message);
    assertThrows(() => new HistoryWriter({ ...STORE, path: dir.path }), StoreError, message);
    assertEquals(Deno.readFileSync(dir.path), before);
    Deno.removeSync(dir.path);
  };
  const next = SCHEMA_VERSION + 1;
  refused(
    `CREATE TABLE t (a); PRAGMA application_id = ${0x45425046}; PRAGMA user_version = ${next}`,
    `version ${next}`,
  );
  refused("CREATE TABLE window (id INTEGER)", "no store of ebpfmon");
  Deno.writeTextFileSync(dir.path, "not a database ".repeat(1_000));
  for (const open of [() => new HistoryReader(dir.path), () => new HistoryWriter({ ...STORE, path: dir.path })]) {
    assertThrows(open, StoreError, "it is not a database");
  }
  assertThrows(() => new HistoryReader(`${dir.dir}/none.db`), StoreError, "there is no such file");
  assertThrows(() => new HistoryReader(dir.dir), StoreError, "it is not a file");
  Deno.writeTextFileSync(`${dir.dir}/empty.db`, "");
  assertThrows(() => new HistoryReader(`${dir.dir}/empty.db`), StoreError, "nothing was ever stored");
});

Deno.test("only its owner may read a store", () => {
  using dir = new StoreDir();
  store(dir.path, [storedWindow(new Random(SEED), 0)]);
  assertEquals(Deno.statSync(dir.path).mode! & 0o777, 0o600);
  using reader = new HistoryReader(dir.path);
  assertEquals(reader.span(), { fromNs: DAY_START_NS, toNs: DAY_START_NS + NS_PER_S });
  assertEquals(queryTop(reader, { ...ALL, range: { ...ALWAYS, fromNs: DAY_START_NS + 1n } }, "src", TOP).groups, []);
});
