/** What our SQLite files share: whose they are, and how an older one becomes a current one, stand in their header. */
import type { DatabaseSync } from "node:sqlite";
import { SQLITE_NOTADB, sqliteCode, StoreError } from "./store_error.ts";

/** A kind of file. */
export interface StoreSchema {
  /** As an error calls it. */
  name: string;
  /** `application_id` of the header. */
  applicationId: number;
  /** SQL. Steps are only ever added: the number of steps that a file has been through is its `user_version`. */
  steps: readonly string[];
}

export function pragma(db: DatabaseSync, name: string): number {
  return Number(Object.values(db.prepare(`PRAGMA ${name}`).get()!)[0]);
}

/** Throws what SQLite says about a file, in our words. */
export function explained<T>(path: string, verb: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const why = sqliteCode(error) === SQLITE_NOTADB ? "it is not a database" : (error as Error).message;
    throw new StoreError(`Cannot ${verb} the store ${path}: ${why}`, { cause: error });
  }
}

/**
 * @returns the version of a store of ours; 0 for an empty file
 * @throws {StoreError} for a file of somebody else, or of a newer program
 */
export function versionOf(db: DatabaseSync, path: string, { name, applicationId, steps }: StoreSchema): number {
  if (db.prepare("SELECT count(*) AS tables FROM sqlite_master").get()!.tables === 0) return 0;
  if (pragma(db, "application_id") !== applicationId) {
    throw new StoreError(`Cannot use ${path}: it is a database, but no ${name}`);
  }
  const version = pragma(db, "user_version");
  if (version > steps.length) {
    throw new StoreError(
      `Cannot use the store ${path}: a newer ebpfmon made it, version ${version}; this one knows ${steps.length}`,
    );
  }
  return version;
}

/** Takes a file from a version to the current one: all of a step, or nothing of it. */
export function migrate(db: DatabaseSync, version: number, { applicationId, steps }: StoreSchema): void {
  for (let step = version; step < steps.length; step++) {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(`${steps[step]} PRAGMA user_version = ${step + 1}; PRAGMA application_id = ${applicationId}`);
      db.exec("COMMIT");
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  }
}
