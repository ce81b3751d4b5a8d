/** What SQLite said, as far as it decides what is done next. */

/** Primary result codes: https://sqlite.org/rescode.html */
export const SQLITE_BUSY = 5, SQLITE_FULL = 13, SQLITE_NOTADB = 26;

/** The primary result code of an error that `node:sqlite` threw; undefined where there is none. */
export function sqliteCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : undefined;
}

/** The store cannot be used as it is: the message says which one, why, and what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}
