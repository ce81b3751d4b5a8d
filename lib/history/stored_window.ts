/** Windows as they lie in a store: what its writer and its readers both take from there. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { type LevelRow, type LevelTraffic, type LevelWindow, TRAFFIC_CLASSES, type TrafficClass } from "./levels.ts";
import type { Direction } from "../wire/traffic.ts";
import type { TrafficTotal } from "../aggregate/flows/totals.ts";
import { forEachRow } from "./packed_rows.ts";
import { TRAFFIC_COLUMN_LIST } from "./schema.ts";

/** A window without what was counted in it. */
export interface WindowRecord extends Omit<LevelWindow, "traffic" | "rows" | "estimates"> {
  id: bigint;
}

const RECORD_COLUMNS = "id, level, start_ns, end_ns, covered_ns, windows, flows, floor_packets";

type Columns = Record<string, unknown>;

function recordOf(columns: Columns): WindowRecord {
  return {
    id: columns.id as bigint,
    level: Number(columns.level),
    startNs: columns.start_ns as bigint,
    endNs: columns.end_ns as bigint,
    coveredNs: columns.covered_ns as bigint,
    windows: Number(columns.windows),
    flows: columns.flows as bigint,
    floorPackets: columns.floor_packets as bigint,
  };
}

function trafficOf(columns: Columns): LevelTraffic {
  const classes = TRAFFIC_CLASSES.map((name) => [
    name,
    { packets: columns[`${name}_packets`], bytes: columns[`${name}_bytes`] },
  ]);
  return {
    iface: columns.iface as string,
    direction: columns.direction as Direction,
    classes: Object.fromEntries(classes) as Record<TrafficClass, TrafficTotal>,
  };
}

/** Prepares a statement whose integers are bigints: a count may be beyond 2^53. */
export function prepareExact(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

/** Looks up windows and what was counted in them. It belongs to one connection. */
export class StoredWindows {
  readonly #db: DatabaseSync;
  readonly #traffic: StatementSync;
  readonly #packed: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#traffic = prepareExact(db, `SELECT iface, direction, ${TRAFFIC_COLUMN_LIST} FROM traffic WHERE window = ?`);
    this.#packed = prepareExact(db, "SELECT packed FROM flow_rows WHERE window = ?");
  }

  /** @param where SQL that follows WHERE, with its order */
  select(where: string): (...values: SQLInputValue[]) => WindowRecord[] {
    const statement = prepareExact(this.#db, `SELECT ${RECORD_COLUMNS} FROM window WHERE ${where}`);
    return (...values) => statement.all(...values).map(recordOf);
  }

  traffic(id: bigint): LevelTraffic[] {
    return this.#traffic.all(id).map(trafficOf);
  }

  /** Hands out a window's flows and its estimates, lent. @throws {RangeError} when they are damaged */
  forEachRow(id: bigint, visit: (row: LevelRow) => void): void {
    const found = this.#packed.get(id);
    if (found !== undefined) forEachRow(found.packed as Uint8Array, visit);
  }
}
