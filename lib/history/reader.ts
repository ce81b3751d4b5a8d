/**
 * Reads a store while it is written to, or not. A range of time is covered by the coarsest windows that lie in it
 * whole, and at its ends by finer ones, so that its sums are exact to one window of the finest level still kept.
 */
import type { DatabaseSync } from "node:sqlite";
import { type LevelRow, LEVELS, type LevelTraffic } from "./levels.ts";
import { openForReading } from "./schema.ts";
import { StoredWindows, type WindowRecord } from "./stored_window.ts";

/** From `fromNs` on, before `toNs`; nanoseconds since the epoch. */
export interface TimeRange {
  fromNs: bigint;
  toNs: bigint;
}

/** With fewer windows than this a series has no shape, and the ends of a range weigh too much. */
const WINDOWS_MIN = 24n;

/** The coarsest level that divides a range into enough windows. */
export function levelFor({ fromNs, toNs }: TimeRange): number {
  const longest = (toNs - fromNs) / WINDOWS_MIN;
  return Math.max(0, LEVELS.findLastIndex(({ lengthNs }) => lengthNs <= longest));
}

const OVERLAPS = "start_ns < ? AND (end_ns > ? OR start_ns >= ?)";

export class HistoryReader implements Disposable {
  readonly #db: DatabaseSync;
  readonly #windows: StoredWindows;
  readonly #roots: ReturnType<StoredWindows["select"]>;
  readonly #parts: ReturnType<StoredWindows["select"]>;

  /** @throws {StoreError} */
  constructor(path: string) {
    this.#db = openForReading(path);
    this.#windows = new StoredWindows(this.#db);
    this.#roots = this.#windows.select(`parent IS NULL AND ${OVERLAPS} ORDER BY start_ns, id`);
    this.#parts = this.#windows.select("parent = ? ORDER BY start_ns, id");
  }

  /** Runs `action` on one state of the store, whatever is written meanwhile. */
  snapshot<T>(action: () => T): T {
    this.#db.exec("BEGIN");
    try {
      return action();
    } finally {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    }
  }

  /**
   * Windows that cover a range, each packet's once. A window belongs to the range when it begins in it.
   *
   * @param levelMax none coarser, unless the finer ones are no longer kept
   */
  *cover(range: TimeRange, levelMax: number): Generator<WindowRecord> {
    const { fromNs, toNs } = range;
    for (const root of this.#roots(toNs, fromNs, fromNs)) yield* this.#coverOne(root, range, levelMax);
  }

  *#coverOne(window: WindowRecord, range: TimeRange, levelMax: number): Generator<WindowRecord> {
    const { fromNs, toNs } = range;
    if (window.endNs < fromNs || window.startNs >= toNs) return;
    if (window.level > levelMax || window.startNs < fromNs || window.endNs > toNs) {
      const parts = this.#parts(window.id);
      // The oldest parts go first: when some are missing, only the whole still adds up.
      if (parts.reduce((sum, part) => sum + part.windows, 0) === window.windows) {
        for (const part of parts) yield* this.#coverOne(part, range, levelMax);
        return;
      }
    }
    if (window.startNs >= fromNs) yield window;
  }

  traffic(window: WindowRecord): LevelTraffic[] {
    return this.#windows.traffic(window.id);
  }

  /** Hands out a window's flows and its estimates, lent. */
  forEachRow(window: WindowRecord, visit: (row: LevelRow) => void): void {
    this.#windows.forEachRow(window.id, visit);
  }

  /** Start of the first window and end of the last one; null where there is none. */
  span(): TimeRange | null {
    const statement = this.#db.prepare("SELECT min(start_ns) AS first, max(end_ns) AS last FROM window");
    statement.setReadBigInts(true);
    const { first, last } = statement.get()!;
    return first === null ? null : { fromNs: first as bigint, toNs: last as bigint };
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
