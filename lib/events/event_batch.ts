/**
 * Events on their way through the stages: the records as the kernel wrote them, and a column for each thing that a
 * stage finds out. Strings are made only of what somebody looks at.
 *
 * A channel carries each record behind an envelope of 8 bytes, padded to a multiple of 8:
 *
 *     u32 length of it all | u16 length of the record | u8 ring, category << 4 | u8 priority
 *     the record: struct event of bpf/event.h and its payload
 *     optional: what enrichment knows of the process (process_info.ts)
 */
import { EVENT } from "../wire/layouts.gen.ts";
import type { ProcessInfo } from "../processes/process_info.ts";

/** How soon an event is looked at: 1 is first, and 3 may be left out. 0 stands for an event that is not judged yet. */
export type Priority = 0 | 1 | 2 | 3;

export const ENVELOPE_BYTES = 8;

const TWO_32 = 2 ** 32;

/** Whole envelopes: what a record takes in a channel. */
export function envelopeLength(recordBytes: number, processBytes: number): number {
  return ENVELOPE_BYTES + (recordBytes + 7 & ~7) + (processBytes + 7 & ~7);
}

/**
 * The events of one batch. Stages look at events 0 to `count - 1` in order, keep their place in `next`, and `drop` what
 * goes no further.
 */
export class EventBatch {
  /** Memory of the records, private to this batch. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly data: DataView<ArrayBuffer>;
  /** Bytes of `bytes` that hold envelopes. */
  usedBytes = 0;
  /** Events in it, those dropped since the last `settle` included. */
  count = 0;
  /** The event that a stage is working on: where to go on after one that failed. */
  next = 0;
  /** Where each record starts, and its length; 0 for a dropped one. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** By event: index in RINGS of the ring it came through, index in CATEGORIES, priority. */
  readonly ring: Uint8Array<ArrayBuffer>;
  readonly category: Uint8Array<ArrayBuffer>;
  readonly priority: Uint8Array<ArrayBuffer>;
  /** By event: its index in the batch as it was received, before `settle` closed gaps. */
  readonly source: Uint32Array<ArrayBuffer>;
  /** By event: null before enrichment, or where nothing is known. */
  readonly process: (ProcessInfo | null)[] = [];
  /** How many workers died while they had this batch. */
  attempts = 0;
  /** When it was sent, on the clock of `performance.timeOrigin + performance.now()`; milliseconds. */
  sentMs = 0;
  #dropped = 0;

  /** @param capacityBytes of the envelopes it can hold */
  constructor(capacityBytes: number) {
    this.bytes = new Uint8Array(capacityBytes);
    this.data = new DataView(this.bytes.buffer);
    // No record is shorter than its header.
    const eventsMax = Math.ceil(capacityBytes / (ENVELOPE_BYTES + EVENT.size));
    this.offsets = new Uint32Array(eventsMax);
    this.lengths = new Uint32Array(eventsMax);
    this.ring = new Uint8Array(eventsMax);
    this.category = new Uint8Array(eventsMax);
    this.priority = new Uint8Array(eventsMax);
    this.source = new Uint32Array(eventsMax);
  }

  clear(): void {
    this.usedBytes = 0;
    this.count = 0;
    this.next = 0;
    this.attempts = 0;
    this.#dropped = 0;
    this.process.length = 0;
  }

  /** Event `i` goes no further. Its place stays until `settle`. */
  drop(i: number): void {
    if (this.lengths[i] === 0) return;
    this.lengths[i] = 0;
    this.#dropped++;
  }

  /** Closes the gaps that dropped events left and starts anew at the first. @returns events that were dropped */
  settle(): number {
    const dropped = this.#dropped;
    this.next = 0;
    if (dropped === 0) return 0;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.lengths[i] === 0) continue;
      this.offsets[kept] = this.offsets[i];
      this.lengths[kept] = this.lengths[i];
      this.ring[kept] = this.ring[i];
      this.category[kept] = this.category[i];
      this.priority[kept] = this.priority[i];
      this.source[kept] = this.source[i];
      this.process[kept] = this.process[i];
      kept++;
    }
    this.count = kept;
    this.process.length = Math.min(this.process.length, kept);
    this.#dropped = 0;
    return dropped;
  }

  // Members of a header that stages ask for, without a decoder.

  /** CLOCK_MONOTONIC nanoseconds; exact to a few ns after 104 days of uptime. */
  tsNs(i: number): number {
    const at = this.offsets[i] + EVENT.fields.ts_ns.offset;
    return this.data.getUint32(at + 4, true) * TWO_32 + this.data.getUint32(at, true);
  }

  type(i: number): number {
    return this.data.getUint16(this.offsets[i] + EVENT.fields.type.offset, true);
  }

  severity(i: number): number {
    return this.bytes[this.offsets[i] + EVENT.fields.severity.offset];
  }

  pid(i: number): number {
    return this.data.getUint32(this.offsets[i] + EVENT.fields.pid.offset, true);
  }

  uid(i: number): number {
    return this.data.getUint32(this.offsets[i] + EVENT.fields.uid.offset, true);
  }

  /** Bits of enum event_flag. */
  flags(i: number): number {
    return this.data.getUint16(this.offsets[i] + EVENT.fields.flags.offset, true);
  }

  weight(i: number): number {
    return this.data.getUint32(this.offsets[i] + EVENT.fields.weight.offset, true);
  }

  repeats(i: number): number {
    return this.data.getUint32(this.offsets[i] + EVENT.fields.repeats.offset, true);
  }
}
