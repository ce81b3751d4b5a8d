/**
 * The folder of a spool: files of batches, each with batches of one severity, and the file of sequences. A disk that is
 * full, or that fails, is tried again after a while; each failure and each recovery is told once.
 */
import type { Severity } from "../../events/event.ts";
import type { BySeverity } from "../by_severity.ts";
import type { SpoolEntry } from "./batch_queue.ts";
import { RECORD_OVERHEAD_BYTES, Segment, type SegmentRecord, severityOfSegment } from "./segment.ts";
import { SpoolState } from "./spool_state.ts";

export interface SpoolFolderOptions {
  /** The folder, for one agent alone; it is made if need be. */
  path: string;
  /** The most that files of batches may take. */
  bytesMax: number;
  /** Is told each failure that does not end the run, in one line. */
  onNotice: (notice: string) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
}

const SEGMENT_BYTES_MIN = 64 * 1024;
const SEGMENT_BYTES_MAX = 4 * 1024 * 1024;
/** The most that a folder holds is reached to about one part in this many: space comes back a file at a time. */
const SEGMENTS_MIN = 64;
const RETRY_MS = 5000;

export class SpoolFolder implements Disposable {
  readonly #options: SpoolFolderOptions;
  readonly #state: SpoolState;
  readonly #segments = new Set<Segment>();
  /** The file of each severity that new batches are appended to. */
  readonly #active = new Map<Severity, Segment>();
  readonly #segmentBytes: number;
  #sizeBytes = 0;
  /** When the disk may be tried again; 0 while it works. */
  #retryMs = 0;

  /**
   * @param first the first sequence of each severity where the folder is new
   * @throws {Error} when the folder cannot be used, or another agent uses it
   */
  constructor(options: SpoolFolderOptions, first: number) {
    this.#options = options;
    this.#segmentBytes = Math.max(
      SEGMENT_BYTES_MIN,
      Math.min(SEGMENT_BYTES_MAX, Math.floor(options.bytesMax / SEGMENTS_MIN)),
    );
    this.#state = openState(options.path, first);
    if (this.#state.wasDamaged) options.onNotice(`The spool in ${options.path} had lost its sequences`);
  }

  /** The spool's id, 16 bytes. */
  get id(): Uint8Array<ArrayBuffer> {
    return this.#state.id;
  }

  /** The next sequence of each severity, as far as the file of sequences tells. */
  get start(): Readonly<BySeverity> {
    return this.#state.start;
  }

  /** Bytes of the files of batches. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** True from a failure of the disk until a batch could be written again. */
  get hasFailed(): boolean {
    return this.#retryMs > 0;
  }

  /** False for some seconds after a failure of the disk. */
  get isUsable(): boolean {
    return this.#retryMs <= this.#options.now();
  }

  /**
   * Reads the files that earlier runs left, in the order of their sequences within each severity.
   *
   * @param found is told of each batch
   * @throws {Error} when a file cannot be read
   */
  recover(found: (segment: Segment, record: SegmentRecord) => void): void {
    const { path: folder, onNotice } = this.#options;
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
    for (const name of names) {
      const severity = severityOfSegment(name);
      if (severity === null) continue;
      const path = `${folder}/${name}`;
      const { segment, records, tornBytes } = Segment.recover(path, severity);
      this.#segments.add(segment);
      this.#sizeBytes += segment.sizeBytes;
      if (tornBytes > 0) onNotice(`Dropped ${tornBytes} bytes of an unfinished write from ${path}`);
      segment.live = records.length;
      for (const record of records) found(segment, record);
      if (segment.live === 0) this.remove(segment);
    }
  }

  /** Writes down that a sequence may have been used. */
  reserve(severity: Severity, sequence: number): void {
    try {
      this.#state.reserve(severity, sequence);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Whether one more batch stays below the limit. */
  hasRoom(lengthBytes: number): boolean {
    return this.#sizeBytes + lengthBytes + RECORD_OVERHEAD_BYTES <= this.#options.bytesMax;
  }

  /** Appends a batch to a file, and sets in the entry where it is. @returns false when the disk fails */
  write(entry: SpoolEntry, bytes: Uint8Array): boolean {
    const { path, onNotice } = this.#options;
    try {
      let active = this.#active.get(entry.severity);
      if (active === undefined || active.sizeBytes >= this.#segmentBytes) {
        active = Segment.create(path, entry.severity, entry.sequence);
        this.#active.set(entry.severity, active);
        this.#segments.add(active);
        this.#sizeBytes += active.sizeBytes;
      }
      const { offset } = active.append(entry.sequence, entry.events, bytes);
      this.#sizeBytes += bytes.length + RECORD_OVERHEAD_BYTES;
      entry.segment = active;
      entry.offset = offset;
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.#retryMs > 0) {
      this.#retryMs = 0;
      onNotice(`The spool in ${path} can be written to again`);
    }
    return true;
  }

  /** Reads a batch back. @returns null where it cannot be read, which is told */
  read({ segment, offset, lengthBytes }: SpoolEntry & { segment: Segment }): Uint8Array | null {
    try {
      return segment.read(offset, lengthBytes);
    } catch (error) {
      this.#options.onNotice(`Cannot read a batch from ${segment.path}: ${messageOf(error)}`);
      return null;
    }
  }

  /** The oldest file of a severity, other than these; undefined where there is none. */
  oldest(severity: Severity, others: ReadonlySet<Segment | null>): Segment | undefined {
    return [...this.#segments].find((segment) => segment.severity === severity && !others.has(segment));
  }

  /** Notes that one batch of a file is not needed any more; a file without any gives its space back. */
  release(segment: Segment): void {
    segment.live--;
    if (segment.live > 0) return;
    if (this.#active.get(segment.severity) !== segment) this.remove(segment);
    else if (segment.sizeBytes >= this.#segmentBytes / 4) this.#clear(segment);
  }

  /** Removes a file, whatever is in it. */
  remove(segment: Segment): void {
    this.#segments.delete(segment);
    this.#sizeBytes -= segment.sizeBytes;
    if (this.#active.get(segment.severity) === segment) this.#active.delete(segment.severity);
    try {
      segment.remove();
    } catch (error) {
      this.#options.onNotice(`Cannot remove ${segment.path}: ${messageOf(error)}`);
    }
  }

  /** Closes the files. The batches in them stay for the next run. */
  [Symbol.dispose](): void {
    for (const segment of this.#segments) {
      if (segment.live === 0) segment.remove();
      else segment.close();
    }
    this.#segments.clear();
    this.#state[Symbol.dispose]();
  }

  #clear(segment: Segment): void {
    const before = segment.sizeBytes;
    try {
      segment.clear();
      this.#sizeBytes -= before - segment.sizeBytes;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const { path, onNotice, now } = this.#options;
    if (this.#retryMs === 0) {
      onNotice(`Cannot write to the spool in ${path}: ${messageOf(error)}; batches stay in memory`);
    }
    this.#retryMs = now() + RETRY_MS;
  }
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
