/**
 * The tables of a fleet's store. The log of batches is the one truth; what stands beside it is made from it, in the same
 * transaction.
 *
 * `synchronous = FULL`: an agent forgets what has been acknowledged, so an acknowledgement has to outlive a loss of power.
 * That costs one flush of the disk a commit, and what arrives while one goes on shares the next.
 */
import { DatabaseSync } from "node:sqlite";
import { explained, migrate, pragma, type StoreSchema, versionOf } from "../../history/schema_steps.ts";

/** Of our files, in the header: "EBFL". */
const APPLICATION_ID = 0x4542464c;
const WAL_PAGES = 1024;

const STEPS = [
  `
  CREATE TABLE agent (
    agent TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    batches INTEGER NOT NULL,
    events INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE sequence (            -- outlives the batches: what was stored once is not stored again
    agent TEXT NOT NULL,
    spool TEXT NOT NULL,
    lane INTEGER NOT NULL,           -- severity, 0 for critical
    last INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    PRIMARY KEY (agent, spool, lane)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE batch (
    position INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, not even after a deletion
    agent TEXT NOT NULL,
    spool TEXT NOT NULL,
    lane INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    events INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    content BLOB NOT NULL            -- ebpfmon.v1.Batch
  ) STRICT;
  CREATE UNIQUE INDEX batch_once ON batch (agent, spool, lane, sequence);
  CREATE TABLE flow (                -- sums by minute, of what agents name
    minute INTEGER NOT NULL,
    agent TEXT NOT NULL,
    iface TEXT NOT NULL,
    direction TEXT NOT NULL,
    src TEXT NOT NULL,
    dst TEXT NOT NULL,
    sport INTEGER NOT NULL,
    dport INTEGER NOT NULL,
    proto INTEGER NOT NULL,
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (minute, agent, iface, direction, src, dst, sport, dport, proto)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE alert (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent TEXT NOT NULL,
    unix_ns INTEGER NOT NULL,
    alert TEXT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT NOT NULL             -- JSON
  ) STRICT;
  CREATE TABLE correlated (
    id TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    severity INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    agents TEXT NOT NULL,            -- JSON
    body TEXT NOT NULL               -- JSON
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX correlated_by_time ON correlated (end_ns);
  CREATE TABLE reader (              -- of the log, or of the one that feeds it
    reader TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    state TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;`,
  `
  CREATE TABLE untraced (            -- groups whose traces are still to be sent
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL               -- the group whole, as correlation/state_text.ts writes it
  ) STRICT;`,
];
const SCHEMA: StoreSchema = { name: "store of ebpfmon serve", applicationId: APPLICATION_ID, steps: STEPS };

/** What the store takes, without pages that are free again. */
export function usedBytes(db: DatabaseSync): number {
  return (pragma(db, "page_count") - pragma(db, "freelist_count")) * pragma(db, "page_size");
}

/**
 * Opens a fleet's store; makes it, or brings it up to date, where need be. Only its owner may read a new one.
 *
 * @throws {StoreError}
 */
export function openFleetStore(path: string): DatabaseSync {
  return explained(path, "open", () => {
    Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
    const db = new DatabaseSync(path);
    try {
      prepare(db, path);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

function prepare(db: DatabaseSync, path: string): void {
  // The lock is for the whole run: two servers on one store would acknowledge what the other has to keep.
  db.exec("PRAGMA busy_timeout = 1000; PRAGMA locking_mode = EXCLUSIVE");
  const version = versionOf(db, path, SCHEMA);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${WAL_PAGES}`);
  migrate(db, version, SCHEMA);
}
