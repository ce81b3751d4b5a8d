/**
 * The one writer of a store: takes windows, makes coarser ones of them as minutes, hours and days end, and keeps the
 * file within its limits.
 *
 * A batch of windows, the coarser windows that it completes, and the marks on their parts are one transaction. So what a
 * process that died had committed is whole, and the next one goes on where it ended: a minute that was cut in two by a
 * restart is one window all the same.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { alignedStart, levelOf, LEVELS, type LevelWindow, WindowMerger } from "./levels.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { packRows } from "./packed_rows.ts";
import type { StoreOptions } from "./history_messages.ts";
import { openForWriting, TRAFFIC_COLUMN_LIST, trafficValues } from "./schema.ts";
import { prepareExact, StoredWindows } from "./stored_window.ts";
import { StoreError } from "./store_error.ts";

/** Flows that a coarser window names, as a multiple of those of a window that was counted. */
const ROWS_FACTOR = [1, 5, 10, 10];

const TIME_MAX_NS = 2n ** 63n - 1n;

/** Where the write-ahead log is written back and starts again. */
const WAL_BYTES_MAX = 4 << 20;

/** What the limit leaves to the log, which one batch may take beyond that point. */
const LOG_RESERVE_BYTES = 2 * WAL_BYTES_MAX;

/**
 * Windows deleted a batch for being too old: far more than come in, yet little enough that a clock set forward for a
 * moment does not empty the store.
 */
const EXPIRED_A_BATCH_MAX = 64;

/** Windows deleted at once while the store is too large. */
const EVICTED_AT_ONCE = 64;

/** Pages given back to the file system a batch. */
const VACUUM_PAGES_MAX = 256;

/** What became of a batch. */
export interface StoredBatch {
  windows: number;
  rows: number;
  /** Of any level, for age or for size. */
  evictedWindows: number;
}

export class HistoryWriter implements Disposable {
  readonly #options: StoreOptions;
  readonly #lock: Deno.FsFile;
  readonly #db: DatabaseSync;
  readonly #stored: StoredWindows;
  readonly #insertWindow: StatementSync;
  readonly #insertTraffic: StatementSync;
  readonly #insertRows: StatementSync;
  readonly #adopt: StatementSync;
  readonly #deletes: StatementSync[];
  readonly #removable: StatementSync[];
  readonly #pageCount: StatementSync;
  readonly #freePages: StatementSync;
  readonly #pageBytes: number;
  readonly #inode: number | null;
  readonly #loose: ReturnType<StoredWindows["select"]>;
  /** undefined: to be looked up. */
  #lastStartNs: bigint | undefined;

  /** @throws {StoreError} when the file cannot be used, or somebody else writes to it */
  constructor(options: StoreOptions) {
    using stack = new DisposableStack();
    this.#options = options;
    this.#lock = stack.use(lockFor(options.path));
    this.#db = stack.use(openForWriting(options.path, WAL_BYTES_MAX));
    this.#stored = new StoredWindows(this.#db);
    this.#insertWindow = this.#prepare(
      `INSERT INTO window (level, start_ns, end_ns, covered_ns, windows, flows, floor_packets)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    const counts = trafficColumnMarks();
    this.#insertTraffic = this.#prepare(
      `INSERT INTO traffic (window, iface, direction, ${TRAFFIC_COLUMN_LIST}) VALUES (?, ?, ?, ${counts})`,
    );
    this.#insertRows = this.#prepare("INSERT INTO flow_rows (window, rows, packed) VALUES (?, ?, ?)");
    this.#adopt = this.#prepare("UPDATE window SET parent = ? WHERE parent IS NULL AND level = ?");
    this.#loose = this.#stored.select("parent IS NULL AND level = ? ORDER BY id");
    this.#deletes = ["flow_rows WHERE window", "traffic WHERE window", "window WHERE id"]
      .map((rest) => this.#prepare(`DELETE FROM ${rest} = ?`));
    this.#removable = LEVELS.map((_, level) =>
      this.#prepare(
        `SELECT id FROM window WHERE level = ? AND start_ns < ?
         ${level + 1 === LEVELS.length ? "" : "AND parent IS NOT NULL"}
         AND NOT EXISTS (SELECT 1 FROM window AS part WHERE part.parent = window.id) ORDER BY start_ns LIMIT ?`,
      )
    );
    this.#pageCount = this.#db.prepare("PRAGMA page_count");
    this.#freePages = this.#db.prepare("PRAGMA freelist_count");
    this.#pageBytes = this.#db.prepare("PRAGMA page_size").get()!.page_size as number;
    this.#inode = inodeOf(options.path);
    stack.move();
  }

  #prepare(sql: string): StatementSync {
    return prepareExact(this.#db, sql);
  }

  /**
   * Stores windows, oldest first, all of them or none.
   *
   * @throws {Error} of SQLite; `sqliteCode` tells which. The store is as it was before.
   */
  store(windows: readonly FlowWindow[]): StoredBatch {
    const batch: StoredBatch = { windows: windows.length, rows: 0, evictedWindows: 0 };
    if (windows.length === 0) return batch;
    this.#transaction(() => {
      for (const window of windows) {
        const level0 = levelOf(window, this.#options.rowsMax);
        batch.rows += level0.rows.length;
        this.#add(level0);
      }
      batch.evictedWindows = this.#expire() + this.#evict();
      this.#shrink();
    });
    return batch;
  }

  /** Whether the file was removed or replaced: then SQLite would go on writing to what no name leads to any more. */
  isGone(): boolean {
    return inodeOf(this.#options.path) !== this.#inode;
  }

  /** Bytes of the file, without the write-ahead log. */
  sizeBytes(): number {
    return this.#pages() * this.#pageBytes;
  }

  /** Statements rather than `exec`, whose errors carry no code. */
  #transaction(action: () => void): void {
    this.#db.prepare("BEGIN IMMEDIATE").run();
    try {
      action();
      this.#db.prepare("COMMIT").run();
    } catch (error) {
      this.#lastStartNs = undefined;
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** Where a window begins in another minute, hour or day than the one before, that one has ended. */
  #add(window: LevelWindow): void {
    this.#lastStartNs ??= this.#lastStart();
    for (let level = 0; level + 1 < LEVELS.length && this.#lastStartNs !== undefined; level++) {
      const ended = alignedStart(level + 1, this.#lastStartNs) !== alignedStart(level + 1, window.startNs);
      if (ended) this.#fold(level);
    }
    this.#insert(window);
    this.#lastStartNs = window.startNs;
  }

  #insert(window: LevelWindow): bigint {
    const { level, startNs, endNs, coveredNs, windows, flows, floorPackets, traffic } = window;
    const id = this.#insertWindow.run(level, startNs, endNs, coveredNs, windows, flows, floorPackets)
      .lastInsertRowid as bigint;
    for (const { iface, direction, classes } of traffic) {
      this.#insertTraffic.run(id, iface, direction, ...trafficValues(classes));
    }
    const rows = [...window.rows, ...window.estimates];
    this.#insertRows.run(id, rows.length, packRows(rows));
    return id;
  }

  /** Of the window that was stored last, or of the finest one that is left of its time; undefined where there is none. */
  #lastStart(): bigint | undefined {
    const last = this.#prepare("SELECT start_ns FROM window WHERE level = ? ORDER BY id DESC LIMIT 1");
    const starts = LEVELS.map((_, level) => last.get(level)?.start_ns as bigint | undefined);
    return starts.find((start) => start !== undefined);
  }

  /** Makes one window of those of `level` that are part of none yet. */
  #fold(level: number): void {
    const parts = this.#loose(level);
    if (parts.length === 0) return;
    const merger = new WindowMerger(level + 1);
    for (const { id, ...part } of parts) {
      merger.addWindow({ ...part, traffic: this.#stored.traffic(id) });
      this.#stored.forEachRow(id, (row) => merger.addRow(row));
    }
    const parent = this.#insert(merger.finish(this.#options.rowsMax * ROWS_FACTOR[level + 1]));
    this.#adopt.run(parent, level);
  }

  /** @returns windows deleted for their age, which is the last window's time less theirs */
  #expire(): number {
    let left = EXPIRED_A_BATCH_MAX;
    LEVELS.forEach((_, level) => {
      const before = this.#lastStartNs! - this.#options.keepNs[level];
      left -= this.#delete(this.#oldest(level, before, left));
    });
    return EXPIRED_A_BATCH_MAX - left;
  }

  /** Oldest windows of a level that hold nothing which a coarser one lacks, and that nothing finer is part of. */
  #oldest(level: number, beforeNs: bigint, limit: number): bigint[] {
    return this.#removable[level].all(level, beforeNs, limit).map(({ id }) => id as bigint);
  }

  #delete(ids: bigint[]): number {
    for (const id of ids) for (const statement of this.#deletes) statement.run(id);
    return ids.length;
  }

  /** @returns windows deleted so that the file keeps to its limit: oldest seconds first, then minutes, hours, days */
  #evict(): number {
    let evicted = 0;
    for (let level = 0; this.#liveBytes() > this.#options.bytesMax - LOG_RESERVE_BYTES && level < LEVELS.length;) {
      let ids = this.#oldest(level, TIME_MAX_NS, EVICTED_AT_ONCE);
      if (ids.length === 0 && level + 1 < LEVELS.length) {
        // Even what is not part of anything coarser yet has to go: it becomes part of something that is not full.
        this.#fold(level);
        ids = this.#oldest(level, TIME_MAX_NS, EVICTED_AT_ONCE);
      }
      evicted += this.#delete(ids);
      if (ids.length === 0) level++;
    }
    return evicted;
  }

  #liveBytes(): number {
    const free = this.#freePages.get()!.freelist_count as number;
    return (this.#pages() - free) * this.#pageBytes;
  }

  /** Free pages are used again; they go back to the file system only where the file is larger than it may be. */
  #shrink(): void {
    if (this.sizeBytes() <= this.#options.bytesMax - LOG_RESERVE_BYTES) return;
    this.#prepare(`PRAGMA incremental_vacuum(${VACUUM_PAGES_MAX})`).all();
  }

  #pages(): number {
    return this.#pageCount.get()!.page_count as number;
  }

  [Symbol.dispose](): void {
    try {
      this.#db.close();
    } finally {
      this.#lock.close();
    }
  }
}

/** null: there is no such file. */
function inodeOf(path: string): number | null {
  try {
    return Deno.statSync(path).ino;
  } catch {
    return null;
  }
}

function trafficColumnMarks(): string {
  return TRAFFIC_COLUMN_LIST.split(", ").map(() => "?").join(", ");
}

/** One writer: the lock ends with the process, however it ends. */
function lockFor(path: string): Deno.FsFile {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${path}.lock`, { create: true, write: true, mode: 0o600 });
  } catch (error) {
    throw new StoreError(`Cannot open the store ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!file.tryLockSync(true)) {
    file.close();
    throw new StoreError(`Cannot open the store ${path}: another ebpfmon writes to it`);
  }
  return file;
}
