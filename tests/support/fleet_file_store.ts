/**
 * A store that survives its process: a line for every batch, with the numbers of its events. Each event is compared with
 * the one that the agent made.
 */
import { Event } from "../../lib/fleet/proto/ebpfmon.gen.ts";
import { decodeEvent, encodeEvent } from "../../lib/fleet/event_codec.ts";
import { type BySeverity, bySeverity } from "../../lib/fleet/by_severity.ts";
import type { Severity } from "../../lib/events/event.ts";
import type { BatchSource, ReceivedBatch } from "../../lib/fleet/received_batch.ts";
import type { FleetStore } from "../../lib/fleet/server/fleet_store.ts";
import { fleetEvent, fleetEventNumber } from "./fleet_events.ts";

export interface StoredBatch {
  agent: string;
  spool: string;
  severity: Severity;
  sequence: number;
  numbers: number[];
  /** Events that are not as they were made. */
  damaged: number;
}

export class FileStore implements FleetStore, Disposable {
  readonly #file: Deno.FsFile;
  readonly #last = new Map<string, BySeverity>();

  constructor(path: string) {
    this.#file = Deno.openSync(path, { read: true, append: true, create: true });
    const { batches, end } = readBatches(path);
    // What was being written when the process was killed had not been acknowledged.
    this.#file.truncateSync(end);
    for (const batch of batches) this.#note(batch);
  }

  lastSequences(source: BatchSource): Promise<BySeverity> {
    return Promise.resolve(this.#last.get(`${source.agent} ${source.spool}`) ?? bySeverity(0));
  }

  accept(batches: readonly ReceivedBatch[]): Promise<void> {
    const lines = batches.map(({ agent, spool, severity, sequence, content }) => {
      const numbers: number[] = [];
      let damaged = 0;
      for (const message of content.events) {
        const decoded = decodeEvent(message);
        const number = decoded ? fleetEventNumber(decoded) : -1;
        numbers.push(number);
        if (number < 0 || !sameBytes(message, encodeEvent(fleetEvent(number)))) damaged++;
      }
      return `${JSON.stringify({ agent, spool, severity, sequence, numbers, damaged } satisfies StoredBatch)}\n`;
    });
    const bytes = new TextEncoder().encode(lines.join(""));
    for (let written = 0; written < bytes.length;) written += this.#file.writeSync(bytes.subarray(written));
    for (const batch of batches) this.#note(batch);
    return Promise.resolve();
  }

  #note({ agent, spool, severity, sequence }: Pick<ReceivedBatch, "agent" | "spool" | "severity" | "sequence">): void {
    const key = `${agent} ${spool}`;
    const last = this.#last.get(key) ?? bySeverity(0);
    last[severity] = sequence;
    this.#last.set(key, last);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function sameBytes(a: Event, b: Event): boolean {
  const left = Event.encode(a).finish();
  const right = Event.encode(b).finish();
  return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

/** What a store holds, and how long the whole lines are that say so. */
export function readBatches(path: string): { batches: StoredBatch[]; end: number } {
  const text = Deno.readTextFileSync(path);
  const end = text.lastIndexOf("\n") + 1;
  // Every line is ASCII: characters are bytes.
  return { batches: text.slice(0, end).split("\n").filter(Boolean).map((line) => JSON.parse(line)), end };
}
