/** The spooled batches of one severity, in the order of their sequences. The first of them may be under way. */
import type { Severity } from "../../events/event.ts";
import type { Segment } from "./segment.ts";

/** A batch in the spool. */
export interface SpoolEntry {
  readonly severity: Severity;
  readonly sequence: number;
  readonly events: number;
  readonly lengthBytes: number;
  /** The batch; null where it is on disk only. */
  bytes: Uint8Array | null;
  /** The file that the batch is in; null where it is in memory only. */
  segment: Segment | null;
  /** Where the batch begins in its file. */
  offset: number;
}

/** Places before the head that are kept at least, so that entries are moved rarely. */
const DONE_MIN = 1024;

export class BatchQueue {
  /** The sequence of the next new batch. */
  nextSequence: number;
  readonly #entries: SpoolEntry[] = [];
  /** Index of the first entry: those before it are done with. */
  #head = 0;
  #inFlight = 0;

  constructor(nextSequence: number) {
    this.nextSequence = nextSequence;
  }

  /** The first batch; undefined where there is none. */
  get first(): SpoolEntry | undefined {
    return this.#entries[this.#head];
  }

  /** The first batch that is not under way; undefined where there is none. */
  get firstWaiting(): SpoolEntry | undefined {
    return this.#entries[this.#head + this.#inFlight];
  }

  get underWay(): SpoolEntry[] {
    return this.#entries.slice(this.#head, this.#head + this.#inFlight);
  }

  push(entry: SpoolEntry): void {
    this.#entries.push(entry);
  }

  /** Notes that `firstWaiting` is under way. */
  markSent(): void {
    this.#inFlight++;
  }

  /** Notes that no batch is under way any more. */
  rewind(): void {
    this.#inFlight = 0;
  }

  removeFirst(): SpoolEntry {
    return this.#removeAt(this.#head);
  }

  removeFirstWaiting(): SpoolEntry {
    return this.#removeAt(this.#head + this.#inFlight);
  }

  /** Removes the batch with this sequence. @returns null where there is none */
  remove(sequence: number): SpoolEntry | null {
    const index = this.#entries.findIndex((entry, i) => i >= this.#head && entry.sequence === sequence);
    return index < 0 ? null : this.#removeAt(index);
  }

  /** Removes the first batch that is in memory only and not under way. @returns null where there is none */
  removeFromMemory(): SpoolEntry | null {
    const waiting = this.#head + this.#inFlight;
    const index = this.#entries.findIndex((entry, i) => i >= waiting && entry.segment === null);
    return index < 0 ? null : this.#removeAt(index);
  }

  /** Removes the batches of one file. */
  removeOf(segment: Segment): SpoolEntry[] {
    const removed: SpoolEntry[] = [];
    for (let i = this.#entries.length - 1; i >= this.#head; i--) {
      if (this.#entries[i].segment === segment) removed.push(this.#removeAt(i));
    }
    return removed;
  }

  /** Drops the copies in memory of batches that are on disk. */
  dropCopies(): void {
    for (const entry of this.#entries) {
      if (entry.segment !== null) entry.bytes = null;
    }
  }

  #removeAt(index: number): SpoolEntry {
    const entry = this.#entries[index];
    if (index < this.#head + this.#inFlight) this.#inFlight--;
    if (index > this.#head) {
      this.#entries.splice(index, 1);
      return entry;
    }
    this.#head++;
    if (this.#head > DONE_MIN && this.#head * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
    return entry;
  }
}
