/**
 * Bench 10: the store. Rows a second that go in, bytes a row, and how long the ten largest of an hour and of a day take;
 * beside it what a table of rows with an index takes for the same flows, in the same SQLite.
 */
import { DatabaseSync } from "node:sqlite";
import { queryTop } from "../lib/history/query.ts";
import { HistoryReader } from "../lib/history/reader.ts";
import { HistoryWriter } from "../lib/history/writer.ts";
import type { FlowWindow } from "../lib/aggregate/windows/flow_window.ts";
import { ALL, STORE, StoreDir } from "../tests/support/history_store.ts";
import { DAY_START_NS, madeWindow, NS_PER_S } from "../tests/support/history_windows.ts";
import { Random } from "../tests/support/random.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const ROWS = 100;
const BY_FLOW = "GROUP BY iface, direction, src, dst, sport, dport, proto";
const HOUR = 3_600;
/** A day is filled with longer windows; its minutes and hours, which are read, are as many as ever. */
const DAY_WINDOW_SECONDS = 10;
/** Windows a transaction: one, as they come, or as many as may wait. */
const BATCHES = [1, 60];

/** @returns windows of the day by number; so many come again and again, which no table of rows can tell */
function windowsOf(seconds: number, count: number): (number: number) => FlowWindow {
  const random = new Random(1);
  const lengthNs = BigInt(seconds) * NS_PER_S;
  const shape = { startUnixNs: DAY_START_NS, lengthNs, flows: 300, topMax: ROWS + 1, pool: 20_000 };
  const made = Array.from({ length: count }, (_, sequence) => madeWindow(random, { ...shape, sequence }).window);
  return (number) => ({
    ...made[number * 7 % made.length],
    endUnixNs: DAY_START_NS + BigInt(number + 1) * lengthNs,
  });
}

interface Fill {
  rowsPerSecond: number;
  bytesPerRow: number;
}

function fillOurs(path: string, windowAt: (number: number) => FlowWindow, windows: number, batch: number): Fill {
  using writer = new HistoryWriter({ ...STORE, rowsMax: ROWS, bytesMax: 2 ** 40, path });
  const start = performance.now();
  for (let number = 0; number < windows; number += batch) {
    writer.store(Array.from({ length: batch }, (_, i) => windowAt(number + i)));
  }
  const rowsPerSecond = windows * ROWS / (performance.now() - start) * 1000;
  return { rowsPerSecond, bytesPerRow: writer.sizeBytes() / (windows * ROWS) };
}

/** What one would write first: a row a flow, addresses as text, an index by time. */
function fillPlain(path: string, windowAt: (number: number) => FlowWindow, windows: number, batch: number): Fill {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    CREATE TABLE flow (time INTEGER, iface TEXT, direction TEXT, src TEXT, dst TEXT, sport INTEGER, dport INTEGER,
      proto INTEGER, packets INTEGER, bytes INTEGER, tcp_flags INTEGER);
    CREATE INDEX by_time ON flow (time)`);
  const insert = db.prepare("INSERT INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const start = performance.now();
  for (let number = 0; number < windows; number += batch) {
    db.exec("BEGIN");
    for (let i = 0; i < batch; i++) {
      const { top, endUnixNs } = windowAt(number + i);
      for (const it of top.slice(0, ROWS)) {
        const { iface, direction, src, dst, sport, dport, proto, packets, bytes, tcpFlags } = it;
        insert.run(endUnixNs, iface, direction, src, dst, sport, dport, proto, packets, bytes, tcpFlags);
      }
    }
    db.exec("COMMIT");
  }
  const rowsPerSecond = windows * ROWS / (performance.now() - start) * 1000;
  const size = Number(Object.values(db.prepare("PRAGMA page_count").get()!)[0]) * 4096;
  db.close();
  return { rowsPerSecond, bytesPerRow: size / (windows * ROWS) };
}

function timeOf(run: BenchRun, action: () => void): number {
  return median(Array.from({ length: run.pick(5, 1) }, () => {
    const start = performance.now();
    action();
    return performance.now() - start;
  }));
}

export function bench(run: BenchRun): void {
  run.report(`\n10. History: windows of ${ROWS} flows (ratio = ours / a table of rows)`);
  const made = run.pick(300, 30);
  const windowAt = windowsOf(1, made);
  const windows = run.pick(HOUR, 60);
  const dayWindows = run.pick(24 * HOUR / DAY_WINDOW_SECONDS, 60);
  for (const batch of BATCHES) {
    using dir = new StoreDir();
    const ours = fillOurs(dir.path, windowAt, windows, batch);
    const plain = fillPlain(`${dir.dir}/plain.db`, windowAt, windows, batch);
    checkSums(run, `${dir.dir}/plain.db`, dir.path);
    run.report(
      `   ${String(batch).padStart(2)} windows a transaction: ${
        (ours.rowsPerSecond / 1e3).toFixed(0)
      } k rows/s, ratio ` +
        `${(ours.rowsPerSecond / plain.rowsPerSecond).toFixed(2)}; ${
          ours.bytesPerRow.toFixed(1)
        } bytes a row with its ` +
        `minutes, ratio ${(ours.bytesPerRow / plain.bytesPerRow).toFixed(2)}`,
    );
    if (batch > 1) benchPlainQuery(run, `${dir.dir}/plain.db`, dir.path);
  }
  using dir = new StoreDir();
  fillOurs(dir.path, windowsOf(DAY_WINDOW_SECONDS, made), dayWindows, 60);
  using reader = new HistoryReader(dir.path);
  for (const [name, seconds] of [["an hour", HOUR], ["a day", 24 * HOUR]] as const) {
    const toNs = DAY_START_NS + BigInt(dayWindows * DAY_WINDOW_SECONDS) * NS_PER_S;
    const range = { fromNs: toNs - BigInt(seconds) * NS_PER_S, toNs };
    const ms = timeOf(run, () => void queryTop(reader, { ...ALL, range }, "flow", { rank: "packets", limit: 10 }));
    run.report(`   ten largest flows of ${name}: ${ms.toFixed(1)} ms`);
  }
}

/** Both have the same rows, and name the same largest flows. */
function checkSums(run: BenchRun, plainPath: string, path: string): void {
  using db = new DatabaseSync(plainPath);
  const sums = db.prepare("SELECT count(*) AS rows, sum(packets) AS packets, sum(bytes) AS bytes FROM flow").get()!;
  const largest = db.prepare(`SELECT sum(packets) AS packets FROM flow ${BY_FLOW} ORDER BY packets DESC LIMIT 10`)
    .all();
  using reader = new HistoryReader(path);
  const { groups, summary } = queryTop(reader, { ...ALL, level: 0 }, "flow", { rank: "packets", limit: 10 });
  run.equal("the number of windows", summary.windows["1s"]! * ROWS, Number(sums.rows));
  run.equal("the number of packets", summary.selected.packets, BigInt(sums.packets as number));
  run.equal("the number of bytes", summary.selected.bytes, BigInt(sums.bytes as number));
  run.equal(
    "the packets of the largest flows",
    groups.map((it) => it.packets).join(),
    largest.map((it) => it.packets).join(),
  );
}

/** Both answer from every row of the same hour. */
function benchPlainQuery(run: BenchRun, plainPath: string, path: string): void {
  const db = new DatabaseSync(plainPath);
  const statement = db.prepare(
    `SELECT sum(packets) AS packets, sum(bytes) FROM flow WHERE time > 0
     ${BY_FLOW} ORDER BY packets DESC LIMIT 10`,
  );
  const plain = timeOf(run, () => void statement.all());
  db.close();
  using reader = new HistoryReader(path);
  const limits = { rank: "packets", limit: 10 } as const;
  const [every, minutes] = [0, 1].map((level) =>
    timeOf(run, () => void queryTop(reader, { ...ALL, level }, "flow", limits))
  );
  run.report(
    `   ten largest flows of an hour: from every row ${every.toFixed(0)} ms, ratio ${(every / plain).toFixed(2)}; ` +
      `from minutes ${minutes.toFixed(0)} ms, ratio ${(minutes / plain).toFixed(2)}`,
  );
}
