/**
 * Gathers an agent's events into batches of one severity each: of a hundred events, and up to a thousand under load. No
 * event waits for longer than the flush interval; critical events are sent at once.
 */
import type { FlowWindow } from "../../aggregate/windows/flow_window.ts";
import { Batch } from "../proto/ebpfmon.gen.ts";
import { encodeAlert, encodeHealth, severityNumber } from "../codec.ts";
import { encodeEvent } from "../event_codec.ts";
import { encodeWindow } from "../window_codec.ts";
import { BATCH_RECORDS_MAX } from "../sequences.ts";
import type { EnrichedEvent } from "../enriched_event.ts";
import type { FleetAlert } from "../fleet_alert.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import type { HealthReport } from "../../router/router_messages.ts";
import type { Spool } from "./spool.ts";

/** The two clocks at one time. */
export interface ClockSample {
  unixNs: bigint;
  /** CLOCK_REALTIME minus CLOCK_MONOTONIC. */
  bootUnixNs: bigint;
}

export interface BatcherOptions {
  /** The longest that an event waits; 0 makes batches of the events of each call. */
  flushMs: number;
  /** The greatest length of a batch: longer ones are split. A batch of a single event may be longer. */
  bytesMax: number;
  clock: () => ClockSample;
  /** Called when the spool has a new batch. */
  onBatch: () => void;
}

const EVENTS_MIN = 50;
const EVENTS_FIRST = 100;
/** A batch that fills up in one part in this many of the flush interval should have been larger. */
const FAST_SHARE = 10;

/** Windows and health reports are sent as information, alerts as critical. */
const SUMMARY_LANE = "info";
const ALERT_LANE = "critical";

type BatchContent = Partial<Pick<Batch, "events" | "windows" | "health" | "alerts" | "raw" | "rawEvents">>;

interface Gathering {
  events: EnrichedEvent[];
  /** The number of events that makes a batch now. */
  target: number;
  sinceMs: number;
}

export class Batcher implements Disposable {
  readonly #spool: Pick<Spool, "append">;
  readonly #options: BatcherOptions;
  readonly #gathering: Record<Severity, Gathering>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(spool: Pick<Spool, "append">, options: BatcherOptions) {
    this.#spool = spool;
    this.#options = options;
    const gathering = (): Gathering => ({ events: [], target: EVENTS_FIRST, sinceMs: performance.now() });
    this.#gathering = {
      critical: gathering(),
      error: gathering(),
      warning: gathering(),
      info: gathering(),
      debug: gathering(),
    };
  }

  /** The number of events that makes a batch of this severity now. */
  target(severity: Severity): number {
    return this.#gathering[severity].target;
  }

  add(events: readonly EnrichedEvent[]): void {
    for (const enriched of events) {
      const { severity } = enriched.event;
      const gathering = this.#gathering[severity];
      gathering.events.push(enriched);
      if (gathering.events.length >= gathering.target) this.#flushFull(severity);
    }
    if (this.#options.flushMs === 0) this.flush();
    else if (this.#gathering.critical.events.length > 0) this.#flushLane("critical");
    this.#arm();
  }

  addWindow(window: FlowWindow): void {
    for (const part of encodeWindow(window, BATCH_RECORDS_MAX)) this.#send(SUMMARY_LANE, { windows: [part] });
    this.#options.onBatch();
  }

  addHealth(health: HealthReport): void {
    this.#send(SUMMARY_LANE, { health: [encodeHealth(health)] });
    this.#options.onBatch();
  }

  addAlert(alert: FleetAlert): void {
    this.#send(ALERT_LANE, { alerts: [encodeAlert(alert)] });
    this.#options.onBatch();
  }

  /** Makes a batch of raw records. @param records as the kernel wrote them, one after another */
  addRaw(severity: Severity, records: Uint8Array<ArrayBuffer>, events: number): void {
    this.#send(severity, { raw: records, rawEvents: events });
    this.#options.onBatch();
  }

  /** Makes batches of all events that wait. */
  flush(): void {
    for (const severity of SEVERITIES) this.#flushLane(severity);
  }

  /** Makes batches of all events that wait, and stops the timer. */
  [Symbol.dispose](): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#options.flushMs === 0) return;
    if (SEVERITIES.every((severity) => this.#gathering[severity].events.length === 0)) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      for (const severity of SEVERITIES) {
        const gathering = this.#gathering[severity];
        if (gathering.events.length < gathering.target / 2) {
          gathering.target = Math.max(EVENTS_MIN, Math.floor(gathering.target / 2));
        }
        this.#flushLane(severity);
      }
    }, this.#options.flushMs);
  }

  #flushFull(severity: Severity): void {
    const gathering = this.#gathering[severity];
    const fast = performance.now() - gathering.sinceMs < this.#options.flushMs / FAST_SHARE;
    if (fast) gathering.target = Math.min(BATCH_RECORDS_MAX, gathering.target * 2);
    this.#flushLane(severity);
  }

  #flushLane(severity: Severity): void {
    const gathering = this.#gathering[severity];
    gathering.sinceMs = performance.now();
    if (gathering.events.length === 0) return;
    const { events } = gathering;
    gathering.events = [];
    this.#sendEvents(severity, events);
    this.#options.onBatch();
  }

  #sendEvents(severity: Severity, events: EnrichedEvent[]): void {
    const body = this.#encode({ events: events.map(encodeEvent) });
    if (body.length > this.#options.bytesMax && events.length > 1) {
      const middle = events.length >> 1;
      this.#sendEvents(severity, events.slice(0, middle));
      this.#sendEvents(severity, events.slice(middle));
    } else {
      this.#append(severity, events.length, body);
    }
  }

  #send(severity: Severity, content: BatchContent): void {
    this.#append(severity, content.rawEvents ?? 0, this.#encode(content));
  }

  #encode(content: BatchContent): Uint8Array<ArrayBuffer> {
    const { unixNs, bootUnixNs } = this.#options.clock();
    return encodeBatch({ bootUnixNs, createdUnixNs: unixNs, ...content });
  }

  /**
   * Adds a batch to the spool. Two encodings of a message, one after another, decode as one message with the fields of
   * both: so `body` need not be encoded again once the sequence is known.
   */
  #append(severity: Severity, events: number, body: Uint8Array<ArrayBuffer>): void {
    this.#spool.append(severity, events, (sequence) => {
      const head = encodeBatch({ sequence: BigInt(sequence), lane: severityNumber(severity) });
      const bytes = new Uint8Array(head.length + body.length);
      bytes.set(head);
      bytes.set(body, head.length);
      return bytes;
    });
  }
}

function encodeBatch(fields: Partial<Batch>): Uint8Array<ArrayBuffer> {
  return Batch.encode({
    sequence: 0n,
    lane: 0,
    bootUnixNs: 0n,
    createdUnixNs: 0n,
    events: [],
    windows: [],
    health: [],
    alerts: [],
    raw: new Uint8Array(0),
    rawEvents: 0,
    ...fields,
  }).finish();
}
