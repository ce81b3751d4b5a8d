/** Stores for tests: their folder, what goes into them, and whether they are whole. */
import { DatabaseSync } from "node:sqlite";
import { addClasses, LEVELS, noClasses, TRAFFIC_CLASSES, type TrafficClass } from "../../lib/history/levels.ts";
import type { TrafficTotal } from "../../lib/aggregate/flows/totals.ts";
import type { StoreOptions } from "../../lib/history/history_messages.ts";
import type { Selection } from "../../lib/history/query.ts";
import type { TimeRange } from "../../lib/history/reader.ts";
import { StoredWindows, type WindowRecord } from "../../lib/history/stored_window.ts";
import { DAY_START_NS, type MadeWindow, madeWindow, NS_PER_S } from "./history_windows.ts";
import type { Random } from "./random.ts";

const DAY_NS = 86_400n * NS_PER_S;

export const STORE: Omit<StoreOptions, "path"> = {
  bytesMax: 512_000_000,
  rowsMax: 20,
  keepNs: [DAY_NS, 7n * DAY_NS, 90n * DAY_NS, 1825n * DAY_NS],
};

/** Everything. */
export const ALWAYS: TimeRange = { fromNs: 0n, toNs: 2n ** 63n - 1n };

export const ALL: Selection = { range: ALWAYS, level: null, where: null, within: null, networks: [] };

/** A folder of the test's own. */
export class StoreDir implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "ebpfmon_history_" });
  readonly path = `${this.dir}/store.db`;

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** One second of the day, the next one of which has the next sequence. */
export function storedWindow(random: Random, sequence: number): MadeWindow {
  return madeWindow(random, {
    startUnixNs: DAY_START_NS + BigInt(sequence) * NS_PER_S,
    lengthNs: NS_PER_S,
    sequence,
    flows: 1 + random.below(40),
    topMax: 30,
    pool: 300,
  });
}

/** Sums over windows as they were counted; without `rest`, which depends on what is named. */
export function sumsOf(windows: MadeWindow[]): Record<Exclude<TrafficClass, "rest">, TrafficTotal> {
  const { rest: _rest, ...sums } = noClasses();
  for (const { window } of windows) {
    for (const { seen, flows, overflow, other } of window.interfaces) {
      for (const [name, { packets, bytes }] of Object.entries({ seen, flows, overflow, ...other })) {
        sums[name as keyof typeof sums].packets += BigInt(packets);
        sums[name as keyof typeof sums].bytes += BigInt(bytes);
      }
    }
  }
  return sums;
}

/** Every window of a level, in order of time. */
export function windowsAt(path: string, level: number): WindowRecord[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return new StoredWindows(db).select("level = ? ORDER BY start_ns, id")(level);
  } finally {
    db.close();
  }
}

/** @throws {Error} when SQLite or the law finds anything wrong with a store @returns windows of each level */
export function assertWhole(path: string): number[] {
  const db = new DatabaseSync(path);
  try {
    const [{ integrity_check: verdict }] = db.prepare("PRAGMA integrity_check").all();
    if (verdict !== "ok") throw new Error(`The store is damaged: ${verdict}`);
    const stored = new StoredWindows(db);
    return LEVELS.map((_, level) => {
      const windows = windowsAt(path, level);
      for (const window of windows) assertWindow(stored, window);
      return windows.length;
    });
  } finally {
    db.close();
  }
}

/** seen = flows + overflow + other, flows = rows + rest; estimates are no more than the overflow. */
function assertWindow(stored: StoredWindows, { id, level }: WindowRecord): void {
  const sums = noClasses();
  for (const { classes } of stored.traffic(id)) addClasses(sums, classes);
  const named = { packets: 0n, bytes: 0n };
  const estimated = { packets: 0n, bytes: 0n };
  stored.forEachRow(id, (row) => {
    const sum = row.errorPackets === undefined ? named : estimated;
    sum.packets += row.packets;
    sum.bytes += row.bytes;
  });
  for (const unit of ["packets", "bytes"] as const) {
    const parts = TRAFFIC_CLASSES.filter((name) => name !== "seen" && name !== "rest");
    const sum = parts.reduce((sum, name) => sum + sums[name][unit], 0n);
    const isSum = sums.seen[unit] === sum && sums.flows[unit] === named[unit] + sums.rest[unit] && sum > 0n;
    if (!isSum || sums.overflow[unit] < estimated[unit]) {
      throw new Error(`Window ${id} of level ${level} is not whole`);
    }
  }
}
