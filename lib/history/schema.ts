/**
 * The tables of a store, and the steps by which an older one becomes a current one.
 *
 * Totals by window, interface and direction are in tables that any SQLite client reads; the flows of a window are one
 * packed value (packed_rows.ts).
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { TRAFFIC_CLASSES, type TrafficClass } from "./levels.ts";
import { explained, migrate, pragma, type StoreSchema, versionOf } from "./schema_steps.ts";
import { StoreError } from "./store_error.ts";

/** Of our files, in the header: "EBPF". */
const APPLICATION_ID = 0x45425046;

/** A window of a hundred flows is 2 kB, one of a thousand 20 kB: with small pages half of each page would stay empty. */
const PAGE_BYTES = 32_768;

const TRAFFIC_COLUMNS = TRAFFIC_CLASSES.flatMap((name) => [`${name}_packets`, `${name}_bytes`]);

const STEPS: readonly string[] = [
  `CREATE TABLE window (
     id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, not even after a deletion
     level INTEGER NOT NULL,               -- 0: as it was counted, 1: minute, 2: hour, 3: day
     start_ns INTEGER NOT NULL,            -- since the epoch
     end_ns INTEGER NOT NULL,
     covered_ns INTEGER NOT NULL,
     windows INTEGER NOT NULL,             -- of level 0
     flows INTEGER NOT NULL,
     floor_packets INTEGER NOT NULL,
     parent INTEGER                        -- the coarser window that it is part of; NULL until there is one
   ) STRICT;
   CREATE INDEX window_by_time ON window (level, start_ns);
   CREATE TABLE traffic (
     window INTEGER NOT NULL,
     iface TEXT NOT NULL,
     direction TEXT NOT NULL,
     ${TRAFFIC_COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ")},
     PRIMARY KEY (window, iface, direction)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE flow_rows (window INTEGER PRIMARY KEY, rows INTEGER NOT NULL, packed BLOB NOT NULL) STRICT;`,
  `CREATE INDEX window_by_parent ON window (parent, level, start_ns);`,
  // Packed rows may be estimates: a program that takes them for flows would count what is in the overflow twice.
  "",
];

const SCHEMA: StoreSchema = { name: "store of ebpfmon", applicationId: APPLICATION_ID, steps: STEPS };

/** Version of the stores that this program writes. */
export const SCHEMA_VERSION = STEPS.length;

/** Columns of `traffic` that hold counts, two a class. */
export const TRAFFIC_COLUMN_LIST = TRAFFIC_COLUMNS.join(", ");

/** Values of these columns, in their order. */
export function trafficValues(classes: Record<TrafficClass, { packets: bigint; bytes: bigint }>): SQLInputValue[] {
  return TRAFFIC_CLASSES.flatMap((name) => [classes[name].packets, classes[name].bytes]);
}

/**
 * Opens a store for writing; makes it, or brings it up to date, where need be. Only its owner may read a new one: it
 * tells who talked to whom.
 *
 * Write-ahead log with `synchronous = NORMAL`: a process that dies loses nothing that was committed; a machine that
 * loses power may lose the last seconds, and never the whole.
 *
 * @throws {StoreError}
 */
export function openForWriting(path: string, walBytesMax: number): DatabaseSync {
  return explained(path, "open", () => {
    // To open a pipe would wait for whoever reads it.
    if (isOtherThanFile(path)) throw new StoreError(`Cannot open the store ${path}: it is not a file`);
    Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
    const db = new DatabaseSync(nameOfFile(path));
    try {
      const version = versionOf(db, path, SCHEMA);
      db.exec(`PRAGMA busy_timeout = 1000`);
      if (version === 0) db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL`);
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL`);
      const pageBytes = pragma(db, "page_size");
      db.exec(`PRAGMA wal_autocheckpoint = ${Math.ceil(walBytesMax / pageBytes)};
               PRAGMA journal_size_limit = ${walBytesMax}`);
      migrate(db, version, SCHEMA);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** A path that SQLite takes for nothing else: `:memory:` and `file:...` mean something to it. */
function nameOfFile(path: string): string {
  return path.startsWith("/") ? path : `./${path}`;
}

function isOtherThanFile(path: string): boolean {
  try {
    return !Deno.statSync(path).isFile;
  } catch {
    return false; // whatever is wrong with it, opening it says so
  }
}

/**
 * Opens a store for reading, while something writes to it or not.
 *
 * @throws {StoreError}
 */
export function openForReading(path: string): DatabaseSync {
  const stat = explained(path, "read", () => {
    try {
      return Deno.statSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) {
        throw new StoreError(`Cannot read the store ${path}: there is no such file; ebpfmon monitor --store makes one`);
      }
      throw error;
    }
  });
  if (!stat.isFile) throw new StoreError(`Cannot read the store ${path}: it is not a file`);
  return explained(path, "read", () => {
    const db = new DatabaseSync(nameOfFile(path), { readOnly: true });
    try {
      const version = versionOf(db, path, SCHEMA);
      if (version === 0) throw new StoreError(`Cannot read the store ${path}: nothing was ever stored in it`);
      if (version < SCHEMA_VERSION) {
        throw new StoreError(
          `Cannot read the store ${path}: it is of version ${version}, this program reads ${SCHEMA_VERSION}; ` +
            "ebpfmon monitor --store brings it up to date",
        );
      }
      db.exec("PRAGMA busy_timeout = 1000");
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}
