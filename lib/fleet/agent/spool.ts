/**
 * Batches from when they are made until a server has acknowledged them: in memory, and on disk where the spool has a
 * folder. With a folder every batch is written at once, so that a kill -9 loses none; its copy in memory only saves
 * reading it back. While the disk is full or fails, batches stay in memory.
 *
 *     appended + recovered batches = acknowledged + spooled + dropped          the same holds for their events
 *
 * At the limit the least severe batches are dropped first. Batches that are under way are dropped only where no other
 * batch is as little severe.
 */
import type { Position } from "../codec.ts";
import { bySeverity } from "../by_severity.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import { firstSequence } from "../sequences.ts";
import { BatchQueue, type SpoolEntry } from "./batch_queue.ts";
import type { Segment, SegmentRecord } from "./segment.ts";
import { SpoolFolder } from "./spool_folder.ts";
import { SPOOL_ID_BYTES } from "./spool_state.ts";
import { newSpoolCounts, type SpoolStats } from "./spool_stats.ts";

export interface SpoolOptions {
  /** The most bytes of batches in memory. Without a folder this is the spool's limit. */
  memoryBytesMax: number;
  /** A folder for this agent alone, made if need be, and the most that its files may take. */
  directory?: { path: string; bytesMax: number };
  /** Is told each failure that does not end the run, in one line. */
  onNotice: (notice: string) => void;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** A batch that is to be sent. */
export interface SpooledBatch extends Position {
  events: number;
  bytes: Uint8Array;
}

export class Spool implements Disposable {
  /** 16 bytes. Sequences are unique among the batches of one id. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly #memoryBytesMax: number;
  readonly #folder: SpoolFolder | null;
  readonly #queues: Record<Severity, BatchQueue>;
  readonly #batches = newSpoolCounts();
  readonly #events = newSpoolCounts();
  /** Bytes of batches that are in memory only. */
  #memoryOnlyBytes = 0;
  /** Bytes of copies in memory of batches that are on disk. */
  #copiedBytes = 0;

  /** @throws {Error} when the folder cannot be used, or another agent uses it */
  constructor({ memoryBytesMax, directory, onNotice, now = Date.now }: SpoolOptions) {
    this.#memoryBytesMax = memoryBytesMax;
    const first = firstSequence(now());
    this.#folder = directory ? new SpoolFolder({ ...directory, onNotice, now }, first) : null;
    this.id = this.#folder?.id ?? crypto.getRandomValues(new Uint8Array(SPOOL_ID_BYTES));
    const start = this.#folder?.start ?? bySeverity(first);
    this.#queues = {
      critical: new BatchQueue(start.critical),
      error: new BatchQueue(start.error),
      warning: new BatchQueue(start.warning),
      info: new BatchQueue(start.info),
      debug: new BatchQueue(start.debug),
    };
    try {
      this.#folder?.recover((segment, record) => this.#addRecovered(segment, record));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Adds a batch. At the limit this batch, or less severe ones, are dropped and counted.
   *
   * @param encode makes the batch once its sequence is known
   */
  append(severity: Severity, events: number, encode: (sequence: number) => Uint8Array): void {
    const queue = this.#queues[severity];
    const sequence = queue.nextSequence++;
    const bytes = encode(sequence);
    this.#batches.appended++;
    this.#events.appended += events;
    const lengthBytes = bytes.length;
    const entry: SpoolEntry = { severity, sequence, events, lengthBytes, bytes, segment: null, offset: 0 };
    this.#folder?.reserve(severity, sequence);
    if (!this.#writeToDisk(entry, bytes)) return this.#countDropped(entry);
    if (entry.segment === null) {
      while (this.#memoryOnlyBytes + lengthBytes > this.#memoryBytesMax) {
        if (!this.#dropFromMemory(severity)) return this.#countDropped(entry);
      }
      this.#memoryOnlyBytes += lengthBytes;
      if (this.#memoryOnlyBytes + this.#copiedBytes > this.#memoryBytesMax) this.#dropCopies();
    } else if (this.#memoryOnlyBytes + this.#copiedBytes + lengthBytes > this.#memoryBytesMax) {
      entry.bytes = null;
    } else {
      this.#copiedBytes += lengthBytes;
    }
    queue.push(entry);
    this.#countSpooled(entry, 1);
  }

  /** Length of the batch that `take` would return; null where there is none. */
  nextBytes(): number | null {
    return this.#nextQueue()?.firstWaiting?.lengthBytes ?? null;
  }

  /**
   * The next batch to send, the most severe first; null where there is none. The batch is under way from now on, until it
   * is acknowledged or rejected, or until `rewind`.
   */
  take(): SpooledBatch | null {
    for (;;) {
      const queue = this.#nextQueue();
      const entry = queue?.firstWaiting;
      if (!queue || !entry) return null;
      const bytes = this.#bytesOf(entry);
      if (bytes !== null) {
        queue.markSent();
        return { severity: entry.severity, sequence: entry.sequence, events: entry.events, bytes };
      }
      this.#drop(queue.removeFirstWaiting());
    }
  }

  /**
   * Notes that a server has stored the batches of a severity up to and including a sequence.
   *
   * @returns bytes of the batches that were in the spool until now
   */
  acknowledge(severity: Severity, sequence: number): number {
    const queue = this.#queues[severity];
    let bytes = 0;
    while (queue.first !== undefined && queue.first.sequence <= sequence) {
      const entry = queue.removeFirst();
      this.#countSpooled(entry, -1);
      this.#release(entry);
      this.#batches.acknowledged++;
      this.#events.acknowledged += entry.events;
      bytes += entry.lengthBytes;
    }
    return bytes;
  }

  /** Notes that the server will never take a batch that `take` returned: the batch is dropped and counted. */
  reject({ severity, sequence }: Position): void {
    const entry = this.#queues[severity].remove(sequence);
    if (entry !== null) this.#drop(entry);
  }

  /** Notes that the stream has ended: everything that was under way is to be sent again. */
  rewind(): void {
    for (const severity of SEVERITIES) this.#queues[severity].rewind();
  }

  get stats(): SpoolStats {
    return {
      batches: { ...this.#batches, dropped: { ...this.#batches.dropped } },
      events: { ...this.#events, dropped: { ...this.#events.dropped } },
      memoryBytes: this.#memoryOnlyBytes + this.#copiedBytes,
      diskBytes: this.#folder?.sizeBytes ?? 0,
      diskFailed: this.#folder?.hasFailed ?? false,
    };
  }

  /** Closes the files. The batches in them stay for the next run. */
  [Symbol.dispose](): void {
    this.#folder?.[Symbol.dispose]();
  }

  #nextQueue(): BatchQueue | null {
    for (const severity of SEVERITIES) {
      const queue = this.#queues[severity];
      if (queue.firstWaiting !== undefined) return queue;
    }
    return null;
  }

  #bytesOf(entry: SpoolEntry): Uint8Array | null {
    const { bytes, segment } = entry;
    if (bytes !== null || segment === null || this.#folder === null) return bytes;
    return this.#folder.read({ ...entry, segment });
  }

  #addRecovered(segment: Segment, { sequence, events, offset, lengthBytes }: SegmentRecord): void {
    const { severity } = segment;
    const entry: SpoolEntry = { severity, sequence, events, lengthBytes, bytes: null, segment, offset };
    const queue = this.#queues[severity];
    queue.push(entry);
    queue.nextSequence = Math.max(queue.nextSequence, sequence + 1);
    this.#batches.recovered++;
    this.#events.recovered += events;
    this.#countSpooled(entry, 1);
  }

  /**
   * Writes a batch to the folder, where there is one that works, and drops less severe files to make room.
   *
   * @returns false where no room can be made
   */
  #writeToDisk(entry: SpoolEntry, bytes: Uint8Array): boolean {
    const folder = this.#folder;
    if (folder === null || !folder.isUsable) return true;
    while (!folder.hasRoom(bytes.length)) {
      if (!this.#dropSegment(folder, entry.severity)) return false;
    }
    folder.write(entry, bytes);
    return true;
  }

  /** Makes room in memory for a batch. @returns false where there is no batch at most as severe to drop */
  #dropFromMemory(severity: Severity): boolean {
    for (const candidate of lessSevere(severity)) {
      const entry = this.#queues[candidate].removeFromMemory();
      if (entry === null) continue;
      this.#drop(entry);
      return true;
    }
    return false;
  }

  /** Makes room on disk for a batch: drops the oldest file, at most as severe, that holds no batch under way. */
  #dropSegment(folder: SpoolFolder, severity: Severity): boolean {
    for (const candidate of lessSevere(severity)) {
      const queue = this.#queues[candidate];
      const victim = folder.oldest(candidate, new Set(queue.underWay.map(({ segment }) => segment)));
      if (victim === undefined) continue;
      for (const entry of queue.removeOf(victim)) {
        this.#countSpooled(entry, -1);
        if (entry.bytes !== null) this.#copiedBytes -= entry.lengthBytes;
        entry.bytes = null;
        this.#countDropped(entry);
      }
      folder.remove(victim);
      return true;
    }
    return false;
  }

  /** Gives up a batch that was removed from its queue. */
  #drop(entry: SpoolEntry): void {
    this.#countSpooled(entry, -1);
    this.#release(entry);
    this.#countDropped(entry);
  }

  /** Gives back the memory and the space on disk of a batch that was removed from its queue. */
  #release(entry: SpoolEntry): void {
    const { bytes, lengthBytes, segment } = entry;
    // The queue still has the entry, before its head.
    entry.bytes = null;
    if (segment === null) {
      this.#memoryOnlyBytes -= lengthBytes;
      return;
    }
    if (bytes !== null) this.#copiedBytes -= lengthBytes;
    this.#folder?.release(segment);
  }

  /** Makes room in memory for batches that are on no disk; copies of batches on disk can be read back. */
  #dropCopies(): void {
    for (const severity of SEVERITIES) this.#queues[severity].dropCopies();
    this.#copiedBytes = 0;
  }

  #countSpooled(entry: SpoolEntry, sign: 1 | -1): void {
    this.#batches.spooled += sign;
    this.#events.spooled += sign * entry.events;
  }

  #countDropped(entry: SpoolEntry): void {
    this.#batches.dropped[entry.severity]++;
    this.#events.dropped[entry.severity] += entry.events;
  }
}

/** The severities from the least severe one up to and including this one. */
function lessSevere(severity: Severity): Severity[] {
  return SEVERITIES.slice(SEVERITIES.indexOf(severity)).reverse();
}
