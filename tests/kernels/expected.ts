/** What is expected of each kernel: expected.json, which `make test-kernels UPDATE=1` writes anew from what it saw. */
import json from "./expected.json" with { type: "json" };

/** The way in which a feature works; false where it does not. */
export type FeatureState = string | false;

/** Row, then kernel. */
export type Table<T> = Record<string, Record<string, T>>;

export interface Expected {
  /** Kernel to who ships it, for people who know their distribution and not its kernel. */
  distributions: Record<string, string>;
  /** What `ebpfmon doctor --json` says of each feature. */
  features: Table<FeatureState>;
  /** Its verdict on each command. */
  commands: Table<string>;
  /** Exit codes by command. */
  exit: Table<number>;
  /** Why a kernel refuses a program, `OBJECT PROGRAM`; all others load. */
  refused: Table<string>;
}

export const EXPECTED: Expected = json;

/** How `seen` differs from what `table` says of a kernel, a line a row. */
export function differences<T>(table: Table<T>, kernel: string, seen: Record<string, T>): string[] {
  const expected = (row: string): T | undefined => table[row]?.[kernel];
  const rows = new Set([...Object.keys(table).filter((row) => expected(row) !== undefined), ...Object.keys(seen)]);
  return [...rows].filter((row) => expected(row) !== seen[row]).map((row) =>
    `${row}: expected ${JSON.stringify(expected(row)) ?? "no such line"}, got ${
      JSON.stringify(seen[row]) ?? "no such line"
    }`
  );
}

/** `table` with a kernel's column replaced by `seen`; rows that no kernel has any more go. */
export function withColumn<T>(table: Table<T>, kernel: string, seen: Record<string, T>): Table<T> {
  const updated: Table<T> = {};
  for (const row of [...Object.keys(table), ...Object.keys(seen).filter((row) => !(row in table))]) {
    const columns = { ...table[row] };
    delete columns[kernel];
    if (row in seen) columns[kernel] = seen[row];
    if (Object.keys(columns).length > 0) updated[row] = columns;
  }
  return updated;
}
