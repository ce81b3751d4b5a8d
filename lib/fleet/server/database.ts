/**
 * The fleet's store: each batch of the agents once, and what was derived from the batches. It is synchronous and
 * belongs to one thread.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { Direction } from "../../wire/traffic.ts";
import { type BySeverity, bySeverity } from "../by_severity.ts";
import type { FleetAlert } from "../fleet_alert.ts";
import { SEVERITIES } from "../../events/event.ts";
import type { BatchSource } from "../received_batch.ts";
import type {
  Checkpoint,
  FleetStoreOptions,
  FlowQuery,
  GroupQuery,
  LoggedBatch,
  NewBatch,
  StoreCounts,
  StoredAgent,
  StoredGroup,
  TopFlow,
  UntracedGroup,
} from "./store_messages.ts";
import { openFleetStore, usedBytes } from "./schema.ts";

const ALERTS_MAX = 10_000;
/** Batches that are evicted at a time. */
const EVICT_BATCHES = 256;
/** The time between two checks of the limits. */
const LIMIT_MS = 1000;
/** A spool that nobody has sent from for so long is forgotten. */
const SPOOL_KEEP_MS = 30 * 86_400_000;

/** The name of the reader for correlation. Batches before its position are no longer needed. */
export const CORRELATION_READER = "correlation";

export class FleetDatabase implements Disposable {
  readonly #db: DatabaseSync;
  readonly #options: FleetStoreOptions;
  readonly #prepared = new Map<string, StatementSync>();
  #counts = {
    commits: 0,
    commitSeconds: 0,
    batches: 0,
    events: 0,
    duplicates: 0,
    evictedBatches: 0,
    evictedUnread: 0,
  };
  #limitsDueMs = 0;
  #lastPosition: number;
  /** The last position of the groups without traces that earlier runs left. */
  readonly #lastUntraced: number;

  /** @throws {StoreError} */
  constructor(options: FleetStoreOptions) {
    this.#options = options;
    this.#db = openFleetStore(options.path);
    this.#lastPosition = Number(this.#statement("SELECT max(position) AS last FROM batch").get()!.last ?? 0);
    this.#lastUntraced = Number(this.#statement("SELECT max(position) AS last FROM untraced").get()!.last ?? 0);
    this.#run("DELETE FROM sequence WHERE used_ms < ?", Date.now() - SPOOL_KEEP_MS);
  }

  /**
   * Stores all of the batches or none; batches that are stored already are left out.
   *
   * @param position for batches from another log, the position up to which that log has been read
   * @returns the last position of this store's log
   */
  accept(batches: readonly NewBatch[], position: Checkpoint | null): number {
    this.#transaction(() => {
      for (const batch of batches) this.#accept(batch);
      if (position !== null) this.#setCheckpoint(position);
    });
    this.#keepLimits();
    return this.#lastPosition;
  }

  lastSequences({ agent, spool }: BatchSource): BySeverity {
    const last = bySeverity(0);
    const rows = this.#statement("SELECT lane, last FROM sequence WHERE agent = ? AND spool = ?").all(agent, spool);
    for (const row of rows) last[SEVERITIES[row.lane as number]] = row.last as number;
    return last;
  }

  read(after: number, limit: number): LoggedBatch[] {
    return this.#statement(
      `SELECT position, agent, lane, sequence, received_ms, content
       FROM batch WHERE position > ? ORDER BY position LIMIT ?`,
    ).all(after, limit).map((row) => ({
      position: row.position as number,
      agent: row.agent as string,
      severity: SEVERITIES[row.lane as number],
      sequence: row.sequence as number,
      receivedUnixMs: row.received_ms as number,
      content: row.content as Uint8Array<ArrayBuffer>,
    }));
  }

  /**
   * Stores groups, together with the position up to which the log was read for them, and with what is needed to send
   * their traces.
   *
   * @returns ids of the groups that are new
   */
  addGroups(groups: readonly StoredGroup[], checkpoint: Checkpoint | null): string[] {
    const added: string[] = [];
    this.#transaction(() => {
      for (const { id, rule, severity, endUnixNs, agents, json, untraced } of groups) {
        const { changes } = this.#run(
          "INSERT OR IGNORE INTO correlated VALUES (?, ?, ?, ?, ?, ?)",
          id,
          rule,
          SEVERITIES.indexOf(severity),
          endUnixNs,
          JSON.stringify(agents),
          json,
        );
        if (Number(changes) === 0) continue;
        added.push(id);
        if (untraced !== undefined) this.#run("INSERT OR IGNORE INTO untraced (id, body) VALUES (?, ?)", id, untraced);
      }
      if (checkpoint !== null) this.#setCheckpoint(checkpoint);
    });
    return added;
  }

  /** Groups whose traces earlier runs have left to be sent, the oldest first. */
  untraced(after: number, limit: number): UntracedGroup[] {
    return this.#statement(
      "SELECT position, body FROM untraced WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
    ).all(after, this.#lastUntraced, limit).map(({ position, body }) => ({
      position: position as number,
      body: body as string,
    }));
  }

  /** Notes that the traces of these groups need not be sent any more. */
  traced(ids: readonly string[]): void {
    this.#transaction(() => {
      for (const id of ids) this.#run("DELETE FROM untraced WHERE id = ?", id);
    });
  }

  forgetUntraced(): void {
    this.#run("DELETE FROM untraced");
  }

  checkpoint(reader: string): Checkpoint | null {
    const row = this.#statement("SELECT position, state FROM reader WHERE reader = ?").get(reader);
    return row === undefined ? null : { reader, position: row.position as number, state: row.state as string };
  }

  agents(): StoredAgent[] {
    return this.#statement("SELECT * FROM agent ORDER BY agent").all().map((row) => ({
      agent: row.agent as string,
      host: row.host as string,
      version: row.version as string,
      bootId: row.boot_id as string,
      firstSeenUnixMs: row.first_seen_ms as number,
      lastSeenUnixMs: row.last_seen_ms as number,
      batches: row.batches as number,
      events: row.events as number,
    }));
  }

  /** Queries groups, the one that ended last first. @returns JSON objects */
  groups({ limit, agent, rule, severity, beforeUnixNs }: GroupQuery): string[] {
    const statement = this.#statement(
      `SELECT body FROM correlated
       WHERE (?1 IS NULL OR end_ns < ?1) AND (?2 IS NULL OR rule = ?2) AND severity <= ?3
         AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(agents) WHERE value = ?4))
       ORDER BY end_ns DESC, id LIMIT ?5`,
    );
    const least = severity === null ? SEVERITIES.length : SEVERITIES.indexOf(severity);
    return statement.all(beforeUnixNs, rule, least, agent, limit).map(({ body }) => body as string);
  }

  /**
   * The largest flows of the last minutes over the whole fleet. A flow between two hosts of the fleet is in the rows of
   * both.
   */
  topFlows({ minutes, limit, agent, rank }: FlowQuery): TopFlow[] {
    const since = Math.floor(Date.now() / 60_000) - minutes;
    return this.#statement(
      `SELECT agent, iface, direction, src, dst, sport, dport, proto, sum(packets) AS packets, sum(bytes) AS bytes
       FROM flow WHERE minute > ?1 AND (?2 IS NULL OR agent = ?2)
       GROUP BY agent, iface, direction, src, dst, sport, dport, proto
       ORDER BY ${rank} DESC, agent, src, dst, sport, dport LIMIT ?3`,
    ).all(since, agent, limit).map((row) => ({
      agent: row.agent as string,
      iface: row.iface as string,
      direction: row.direction as Direction,
      src: row.src as string,
      dst: row.dst as string,
      sport: row.sport as number,
      dport: row.dport as number,
      proto: row.proto as number,
      packets: row.packets as number,
      bytes: row.bytes as number,
    }));
  }

  /** The latest alerts, the newest first. */
  alerts(limit: number): (FleetAlert & { agent: string })[] {
    const statement = this.#statement("SELECT * FROM alert ORDER BY id DESC LIMIT ?");
    statement.setReadBigInts(true);
    return statement.all(limit).map((row) => ({
      agent: row.agent as string,
      alert: row.alert as string,
      level: row.level as FleetAlert["level"],
      message: row.message as string,
      fields: JSON.parse(row.fields as string),
      unixNs: row.unix_ns as bigint,
    }));
  }

  counts(): StoreCounts {
    return { ...this.#counts, sizeBytes: usedBytes(this.#db) };
  }

  #accept({ source, severity, sequence, events, receivedUnixMs, content, flows, alerts }: NewBatch): void {
    const { agent, spool, host, version, bootId } = source;
    const rank = SEVERITIES.indexOf(severity);
    const { changes, lastInsertRowid } = this.#run(
      `INSERT INTO batch (agent, spool, lane, sequence, events, received_ms, content) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (agent, spool, lane, sequence) DO NOTHING`,
      agent,
      spool,
      rank,
      sequence,
      events,
      receivedUnixMs,
      content,
    );
    if (Number(changes) === 0) {
      this.#counts.duplicates++;
      return;
    }
    this.#lastPosition = Number(lastInsertRowid);
    this.#counts.batches++;
    this.#counts.events += events;
    this.#run(
      `INSERT INTO sequence VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET last = max(last, excluded.last), used_ms = excluded.used_ms`,
      agent,
      spool,
      rank,
      sequence,
      receivedUnixMs,
    );
    this.#run(
      `INSERT INTO agent VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1, ?6)
       ON CONFLICT DO UPDATE SET host = ?2, version = ?3, boot_id = ?4, last_seen_ms = max(last_seen_ms, ?5),
         batches = batches + 1, events = events + ?6`,
      agent,
      host,
      version,
      bootId,
      receivedUnixMs,
      events,
    );
    for (const flow of flows) {
      this.#run(
        `INSERT INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET packets = packets + excluded.packets, bytes = bytes + excluded.bytes`,
        flow.minute,
        agent,
        flow.iface,
        flow.direction,
        flow.src,
        flow.dst,
        flow.sport,
        flow.dport,
        flow.proto,
        flow.packets,
        flow.bytes,
      );
    }
    for (const { unixNs, alert, level, message, fields } of alerts) {
      this.#run(
        "INSERT INTO alert (agent, unix_ns, alert, level, message, fields) VALUES (?, ?, ?, ?, ?, ?)",
        agent,
        unixNs,
        alert,
        level,
        message,
        JSON.stringify(fields),
      );
    }
  }

  #setCheckpoint({ reader, position, state }: Checkpoint): void {
    this.#run(
      `INSERT INTO reader VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET position = excluded.position, state = excluded.state`,
      reader,
      position,
      state,
    );
  }

  /**
   * Evicts what exceeds the limits. It runs only once in a while, because counting rows takes longer than storing them.
   */
  #keepLimits(): void {
    if (performance.now() < this.#limitsDueMs) return;
    this.#limitsDueMs = performance.now() + LIMIT_MS;
    const { bytesMax, flowRowsMax, groupsMax } = this.#options;
    while (usedBytes(this.#db) > bytesMax && this.#evictBatches()) { /* until there is room, or nothing to give */ }
    this.#transaction(() => {
      this.#run("DELETE FROM alert WHERE id <= (SELECT max(id) FROM alert) - ?", ALERTS_MAX);
      while ((this.#statement("SELECT count(*) AS rows FROM flow").get()!.rows as number) > flowRowsMax) {
        this.#run("DELETE FROM flow WHERE minute = (SELECT min(minute) FROM flow)");
      }
      this.#run(
        `DELETE FROM correlated WHERE id IN (
           SELECT id FROM correlated ORDER BY end_ns DESC, id LIMIT -1 OFFSET ?)`,
        groupsMax,
      );
    });
  }

  /** @returns false when there was none */
  #evictBatches(): boolean {
    const read = this.checkpoint(CORRELATION_READER)?.position ?? 0;
    const bound = this.#statement(
      "SELECT max(position) AS last, count(*) AS batches, sum(position > ?) AS unread FROM " +
        "(SELECT position FROM batch ORDER BY position LIMIT ?)",
    ).get(read, EVICT_BATCHES)!;
    if (bound.last === null) return false;
    this.#run("DELETE FROM batch WHERE position <= ?", bound.last);
    this.#counts.evictedBatches += bound.batches as number;
    this.#counts.evictedUnread += bound.unread as number;
    return true;
  }

  #transaction(action: () => void): void {
    const startMs = performance.now();
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      action();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
    this.#counts.commits++;
    this.#counts.commitSeconds += (performance.now() - startMs) / 1000;
  }

  #run(sql: string, ...values: SQLInputValue[]): ReturnType<StatementSync["run"]> {
    return this.#statement(sql).run(...values);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) this.#prepared.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
