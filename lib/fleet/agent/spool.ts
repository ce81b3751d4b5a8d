/**
 * Batches from when they are made until a server has acknowledged them: in memory, and on disk where there is a folder
 * for them. With a folder every batch is written at once, so that a kill -9 costs none; memory then only saves reading
 * it back. A disk that is full or fails is left aside for a while, and said so.
 *
 *     batches = acknowledged + still spooled + dropped          the same in events; recovered ones are on the left too
 *
 * At the limit the least severe severity gives first: never what is under way as long as there is something else.
 */
import type { Position } from "../codec.ts";
import { type BySeverity, bySeverity } from "../by_severity.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import { firstSequence } from "../sequences.ts";
import { RECORD_OVERHEAD_BYTES, Segment, severityOfSegment } from "./segment.ts";
import { SPOOL_ID_BYTES, SpoolState } from "./spool_state.ts";

export interface SpoolOptions {
  /** Of batches held in memory. Without a folder this is the spool's limit. */
  memoryBytesMax: number;
  /** Folder for this agent alone, made if need be, and the most that its files may take. */
  directory?: { path: string; bytesMax: number };
  /** One line each: what went wrong and does not end the run. */
  onNotice: (notice: string) => void;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** A batch that is to be sent. */
export interface SpooledBatch extends Position {
  events: number;
  bytes: Uint8Array;
}

/** Counts since the spool was opened. */
export interface SpoolCounts {
  appended: number;
  /** Found on disk when the spool was opened. */
  recovered: number;
  acknowledged: number;
  dropped: BySeverity;
  spooled: number;
}

export interface SpoolStats {
  batches: SpoolCounts;
  events: SpoolCounts;
  memoryBytes: number;
  diskBytes: number;
  /** There is a folder, and it can not be written to. */
  diskFailed: boolean;
}

interface Entry {
  severity: Severity;
  sequence: number;
  events: number;
  lengthBytes: number;
  /** null: on disk only. */
  bytes: Uint8Array | null;
  /** null: in memory only. */
  segment: Segment | null;
  offset: number;
}

/** A severity's batches in order. The first `inFlight` of them have been sent. */
interface BatchQueue {
  entries: Entry[];
  /** Where in `entries` the queue starts: what lies before it is done with. */
  head: number;
  inFlight: number;
  next: number;
  /** Where new batches go. */
  active: Segment | null;
}

const SEGMENT_BYTES_MIN = 64 * 1024;
const SEGMENT_BYTES_MAX = 4 * 1024 * 1024;
/** A limit is kept to about this share: space comes back a file at a time. */
const SEGMENTS_MIN = 64;
const DISK_RETRY_MS = 5000;

export class Spool implements Disposable {
  /** 16 bytes: whose sequences these are. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly #options: SpoolOptions;
  readonly #state: SpoolState | null;
  readonly #queues: Record<Severity, BatchQueue>;
  readonly #segments = new Set<Segment>();
  readonly #segmentBytes: number;
  readonly #batches = newCounts();
  readonly #events = newCounts();
  /** Of batches that are only in memory, and of copies of those on disk. */
  #memoryOnlyBytes = 0;
  #copiedBytes = 0;
  #diskBytes = 0;
  /** When the disk may be tried again; 0 while it works. */
  #diskRetryMs = 0;

  /** @throws when the folder cannot be used, or another agent uses it */
  constructor(options: SpoolOptions) {
    this.#options = options;
    const first = firstSequence(this.#now());
    this.#segmentBytes = Math.max(
      SEGMENT_BYTES_MIN,
      Math.min(SEGMENT_BYTES_MAX, Math.floor((options.directory?.bytesMax ?? 0) / SEGMENTS_MIN)),
    );
    this.#state = options.directory ? openState(options.directory.path, first) : null;
    this.id = this.#state?.id ?? crypto.getRandomValues(new Uint8Array(SPOOL_ID_BYTES));
    const start = this.#state?.start ?? bySeverity(first);
    const queue = (severity: Severity): BatchQueue => ({
      entries: [],
      head: 0,
      inFlight: 0,
      next: start[severity],
      active: null,
    });
    this.#queues = {
      critical: queue("critical"),
      error: queue("error"),
      warning: queue("warning"),
      info: queue("info"),
      debug: queue("debug"),
    };
    if (!options.directory) return;
    try {
      if (this.#state?.wasDamaged) options.onNotice(`The spool in ${options.directory.path} had lost its sequences`);
      this.#recover(options.directory.path);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Takes a batch; at the limit it, or something less severe, is dropped and counted.
   *
   * @param encode makes the batch once its sequence is known
   */
  append(severity: Severity, events: number, encode: (sequence: number) => Uint8Array): void {
    const queue = this.#queues[severity];
    const sequence = queue.next++;
    const bytes = encode(sequence);
    this.#batches.appended++;
    this.#events.appended += events;
    const entry: Entry = { severity, sequence, events, lengthBytes: bytes.length, bytes, segment: null, offset: 0 };
    this.#reserve(severity, sequence);
    if (this.#toDisk(entry, bytes) === "dropped") return;
    if (entry.segment === null) {
      while (this.#memoryOnlyBytes + entry.lengthBytes > this.#options.memoryBytesMax) {
        if (!this.#dropFromMemory(severity)) return this.#countDropped(entry);
      }
      this.#memoryOnlyBytes += entry.lengthBytes;
      if (this.#memoryOnlyBytes + this.#copiedBytes > this.#options.memoryBytesMax) this.#dropCopies();
    } else if (this.#memoryOnlyBytes + this.#copiedBytes + entry.lengthBytes > this.#options.memoryBytesMax) {
      entry.bytes = null;
    } else {
      this.#copiedBytes += entry.lengthBytes;
    }
    queue.entries.push(entry);
    this.#countSpooled(entry, 1);
  }

  /** Length of the batch that `take` would give; null when there is none. */
  nextBytes(): number | null {
    return this.#nextQueue()?.entry.lengthBytes ?? null;
  }

  /** The next batch that is to be sent, most severe first. It is under way until acknowledged, or until `rewind`. */
  take(): SpooledBatch | null {
    for (;;) {
      const next = this.#nextQueue();
      if (next === null) return null;
      const { queue, entry } = next;
      const bytes = this.#bytesOf(entry);
      if (bytes === null) {
        this.#remove(queue, queue.head + queue.inFlight);
        this.#release(entry);
        this.#countDropped(entry);
        continue;
      }
      queue.inFlight++;
      return { severity: entry.severity, sequence: entry.sequence, events: entry.events, bytes };
    }
  }

  /** The server has this severity up to and with this sequence. @returns bytes of the batches that this is news about */
  acknowledge(severity: Severity, sequence: number): number {
    const queue = this.#queues[severity];
    let bytes = 0;
    while (queue.head < queue.entries.length && queue.entries[queue.head].sequence <= sequence) {
      const entry = queue.entries[queue.head];
      this.#remove(queue, queue.head);
      this.#release(entry);
      this.#batches.acknowledged++;
      this.#events.acknowledged += entry.events;
      bytes += entry.lengthBytes;
    }
    return bytes;
  }

  /** The server will never take this batch, which `take` gave out: it is dropped and counted. */
  reject({ severity, sequence }: Position): void {
    const queue = this.#queues[severity];
    const index = queue.entries.findIndex((entry, i) => i >= queue.head && entry.sequence === sequence);
    if (index < 0) return;
    const entry = queue.entries[index];
    this.#remove(queue, index);
    this.#release(entry);
    this.#countDropped(entry);
  }

  /** The stream is gone: everything that was under way is to be sent again. */
  rewind(): void {
    for (const severity of SEVERITIES) this.#queues[severity].inFlight = 0;
  }

  /** The lowest sequence of each severity that may still be sent. */
  positions(): Position[] {
    return SEVERITIES.map((severity) => {
      const queue = this.#queues[severity];
      return { severity, sequence: queue.entries[queue.head]?.sequence ?? queue.next };
    });
  }

  get stats(): SpoolStats {
    return {
      batches: { ...this.#batches, dropped: { ...this.#batches.dropped } },
      events: { ...this.#events, dropped: { ...this.#events.dropped } },
      memoryBytes: this.#memoryOnlyBytes + this.#copiedBytes,
      diskBytes: this.#diskBytes,
      diskFailed: this.#diskRetryMs > 0,
    };
  }

  /** Closes the files. What they hold stays for the next run. */
  [Symbol.dispose](): void {
    for (const segment of this.#segments) {
      if (segment.live === 0) segment.remove();
      else segment.close();
    }
    this.#segments.clear();
    this.#state?.[Symbol.dispose]();
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #nextQueue(): { queue: BatchQueue; entry: Entry } | null {
    for (const severity of SEVERITIES) {
      const queue = this.#queues[severity];
      const entry = queue.entries[queue.head + queue.inFlight];
      if (entry !== undefined) return { queue, entry };
    }
    return null;
  }

  #bytesOf(entry: Entry): Uint8Array | null {
    if (entry.bytes !== null || entry.segment === null) return entry.bytes;
    try {
      return entry.segment.read(entry.offset, entry.lengthBytes);
    } catch (error) {
      this.#options.onNotice(`Cannot read a batch from ${entry.segment.path}: ${messageOf(error)}`);
      return null;
    }
  }

  #recover(directory: string): void {
    const names = Array.from(Deno.readDirSync(directory), ({ name }) => name).sort();
    for (const name of names) {
      const severity = severityOfSegment(name);
      if (severity === null) continue;
      const path = `${directory}/${name}`;
      const { segment, records, tornBytes } = Segment.recover(path, severity);
      this.#segments.add(segment);
      this.#diskBytes += segment.sizeBytes;
      if (tornBytes > 0) this.#options.onNotice(`Dropped ${tornBytes} bytes of an unfinished write from ${path}`);
      const queue = this.#queues[severity];
      for (const { sequence, events, offset, lengthBytes } of records) {
        const entry: Entry = { severity, sequence, events, lengthBytes, bytes: null, segment, offset };
        segment.live++;
        queue.entries.push(entry);
        this.#batches.recovered++;
        this.#events.recovered += events;
        this.#countSpooled(entry, 1);
        queue.next = Math.max(queue.next, sequence + 1);
      }
      if (segment.live === 0) this.#removeSegment(segment);
    }
  }

  #reserve(severity: Severity, sequence: number): void {
    try {
      this.#state?.reserve(severity, sequence);
    } catch (error) {
      this.#diskFailed(error);
    }
  }

  /** @returns `memory` when there is no disk, or none that works */
  #toDisk(entry: Entry, bytes: Uint8Array): "disk" | "memory" | "dropped" {
    const { directory } = this.#options;
    if (!directory || this.#diskRetryMs > this.#now()) return "memory";
    while (this.#diskBytes + bytes.length + RECORD_OVERHEAD_BYTES > directory.bytesMax) {
      if (!this.#dropSegment(entry.severity)) {
        this.#countDropped(entry);
        return "dropped";
      }
    }
    const queue = this.#queues[entry.severity];
    try {
      if (queue.active === null || queue.active.sizeBytes >= this.#segmentBytes) {
        queue.active = Segment.create(directory.path, entry.severity, entry.sequence);
        this.#segments.add(queue.active);
        this.#diskBytes += queue.active.sizeBytes;
      }
      const { offset } = queue.active.append(entry.sequence, entry.events, bytes);
      this.#diskBytes += bytes.length + RECORD_OVERHEAD_BYTES;
      entry.segment = queue.active;
      entry.offset = offset;
    } catch (error) {
      this.#diskFailed(error);
      return "memory";
    }
    if (this.#diskRetryMs > 0) {
      this.#diskRetryMs = 0;
      this.#options.onNotice(`The spool in ${directory.path} can be written to again`);
    }
    return "disk";
  }

  #diskFailed(error: unknown): void {
    if (this.#diskRetryMs === 0) {
      const path = this.#options.directory?.path;
      this.#options.onNotice(`Cannot write to the spool in ${path}: ${messageOf(error)}; batches stay in memory`);
    }
    this.#diskRetryMs = this.#now() + DISK_RETRY_MS;
  }

  /** Makes room in memory for a batch of `severity`. @returns false when there is nothing less or equally severe to drop */
  #dropFromMemory(severity: Severity): boolean {
    for (const candidate of lessSevere(severity)) {
      const queue = this.#queues[candidate];
      const waiting = queue.head + queue.inFlight;
      const index = queue.entries.findIndex((entry, i) => i >= waiting && entry.segment === null);
      if (index < 0) continue;
      const entry = queue.entries[index];
      this.#remove(queue, index);
      this.#release(entry);
      this.#countDropped(entry);
      return true;
    }
    return false;
  }

  /** Makes room on disk for a batch of `severity`: the oldest file goes that holds nothing under way. */
  #dropSegment(severity: Severity): boolean {
    for (const candidate of lessSevere(severity)) {
      const queue = this.#queues[candidate];
      const busy = new Set(queue.entries.slice(queue.head, queue.head + queue.inFlight).map(({ segment }) => segment));
      const victim = [...this.#segments].find((segment) => segment.severity === candidate && !busy.has(segment));
      if (victim === undefined) continue;
      for (let i = queue.entries.length - 1; i >= queue.head; i--) {
        const entry = queue.entries[i];
        if (entry.segment !== victim) continue;
        this.#remove(queue, i);
        if (entry.bytes !== null) this.#copiedBytes -= entry.lengthBytes;
        entry.bytes = null;
        this.#countDropped(entry);
      }
      this.#removeSegment(victim);
      return true;
    }
    return false;
  }

  /** Takes an entry out of its queue. */
  #remove(queue: BatchQueue, index: number): void {
    const entry = queue.entries[index];
    if (index < queue.head + queue.inFlight) queue.inFlight--;
    if (index === queue.head) {
      queue.head++;
      // Moved at times rather than each time.
      if (queue.head > 1024 && queue.head * 2 > queue.entries.length) {
        queue.entries.splice(0, queue.head);
        queue.head = 0;
      }
    } else {
      queue.entries.splice(index, 1);
    }
    this.#countSpooled(entry, -1);
  }

  /** Gives back what an entry that was taken out holds. */
  #release(entry: Entry): void {
    const held = entry.bytes !== null;
    // The queue still has the entry, before its head.
    entry.bytes = null;
    if (entry.segment === null) {
      this.#memoryOnlyBytes -= entry.lengthBytes;
      return;
    }
    if (held) this.#copiedBytes -= entry.lengthBytes;
    entry.segment.live--;
    if (entry.segment.live > 0) return;
    if (this.#queues[entry.severity].active !== entry.segment) this.#removeSegment(entry.segment);
    else if (entry.segment.sizeBytes >= this.#segmentBytes / 4) this.#clearSegment(entry.segment);
  }

  #clearSegment(segment: Segment): void {
    const before = segment.sizeBytes;
    try {
      segment.clear();
      this.#diskBytes -= before - segment.sizeBytes;
    } catch (error) {
      this.#diskFailed(error);
    }
  }

  #removeSegment(segment: Segment): void {
    this.#segments.delete(segment);
    this.#diskBytes -= segment.sizeBytes;
    const queue = this.#queues[segment.severity];
    if (queue.active === segment) queue.active = null;
    try {
      segment.remove();
    } catch (error) {
      this.#options.onNotice(`Cannot remove ${segment.path}: ${messageOf(error)}`);
    }
  }

  /** Room for batches that are nowhere else; the others can be read back. */
  #dropCopies(): void {
    for (const severity of SEVERITIES) {
      for (const entry of this.#queues[severity].entries) {
        if (entry.segment !== null) entry.bytes = null;
      }
    }
    this.#copiedBytes = 0;
  }

  #countSpooled(entry: Entry, sign: 1 | -1): void {
    this.#batches.spooled += sign;
    this.#events.spooled += sign * entry.events;
  }

  #countDropped(entry: Entry): void {
    this.#batches.dropped[entry.severity]++;
    this.#events.dropped[entry.severity] += entry.events;
  }
}

function newCounts(): SpoolCounts {
  return { appended: 0, recovered: 0, acknowledged: 0, dropped: bySeverity(0), spooled: 0 };
}

/** From the least severe severity up to and with `severity`. */
function lessSevere(severity: Severity): Severity[] {
  return SEVERITIES.slice(SEVERITIES.indexOf(severity)).reverse();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function openState(path: string, first: number): SpoolState {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & 0o022) !== 0) throw new Error("others may write to it");
    return new SpoolState(`${path}/sequences`, first);
  } catch (error) {
    throw new Error(`Cannot use the spool in ${path}: ${messageOf(error)}`, { cause: error });
  }
}
