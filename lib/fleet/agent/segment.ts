/**
 * A file of a spool: batches of one severity, one behind the other. It only grows, and goes as a whole when none of them is
 * needed any more.
 *
 *     8 bytes magic, then records:
 *     u32 length of the batch | u32 CRC-32C of all that follows | u64 sequence | u32 events | the batch
 */
import { crc32c } from "../crc32c.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";
import { readAt, writeAt } from "./spool_state.ts";

const MAGIC = new TextEncoder().encode("EBPFSEG1");
const RECORD_HEADER_BYTES = 20;
const CHECKED_AT = 8;

/** The bytes that a batch takes in a file beyond its own length. */
export const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES;

export interface SegmentRecord {
  sequence: number;
  events: number;
  /** Where the batch itself begins, in bytes from the start of the file. */
  offset: number;
  lengthBytes: number;
}

const NAME = /^([0-9])-([0-9]{16})\.spool$/;

/** @returns null for a file that is not a segment */
export function severityOfSegment(name: string): Severity | null {
  const match = NAME.exec(name);
  return match ? SEVERITIES[Number(match[1])] ?? null : null;
}

export class Segment {
  readonly severity: Severity;
  readonly path: string;
  /** Batches in the file that are still needed. */
  live = 0;
  readonly #file: Deno.FsFile;
  #sizeBytes: number;

  private constructor(severity: Severity, path: string, file: Deno.FsFile, sizeBytes: number) {
    this.severity = severity;
    this.path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  /** @param sequence of the first batch that will be in it @throws when the file cannot be made */
  static create(directory: string, severity: Severity, sequence: number): Segment {
    const path = `${directory}/${SEVERITIES.indexOf(severity)}-${String(sequence).padStart(16, "0")}.spool`;
    const file = Deno.openSync(path, { read: true, write: true, createNew: true, mode: 0o600 });
    try {
      writeAt(file, 0, MAGIC);
      return new Segment(severity, path, file, MAGIC.length);
    } catch (error) {
      file.close();
      Deno.removeSync(path);
      throw error;
    }
  }

  /**
   * Opens a file that an earlier run left, and cuts off an unfinished write at its end, which the checksums reveal.
   *
   * @returns the batches in the file, and how many bytes were cut off
   */
  static recover(path: string, severity: Severity): { segment: Segment; records: SegmentRecord[]; tornBytes: number } {
    const file = Deno.openSync(path, { read: true, write: true });
    try {
      const bytes = new Uint8Array(file.statSync().size);
      readAt(file, 0, bytes);
      const { records, end } = parse(bytes);
      if (end < bytes.length) file.truncateSync(end);
      return { segment: new Segment(severity, path, file, end), records, tornBytes: bytes.length - end };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * @returns where the batch is
   * @throws when the disk is full, or fails; the file is then as it was before
   */
  append(sequence: number, events: number, batch: Uint8Array): SegmentRecord {
    const record = new Uint8Array(RECORD_HEADER_BYTES + batch.length);
    const view = new DataView(record.buffer);
    view.setUint32(0, batch.length, true);
    view.setBigUint64(8, BigInt(sequence), true);
    view.setUint32(16, events, true);
    record.set(batch, RECORD_HEADER_BYTES);
    view.setUint32(4, crc32c(record.subarray(CHECKED_AT)), true);
    try {
      writeAt(this.#file, this.#sizeBytes, record);
    } catch (error) {
      this.#file.truncateSync(this.#sizeBytes);
      throw error;
    }
    const offset = this.#sizeBytes + RECORD_HEADER_BYTES;
    this.#sizeBytes += record.length;
    this.live++;
    return { sequence, events, offset, lengthBytes: batch.length };
  }

  /** @throws when the disk fails, or somebody shortened the file */
  read(offset: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(lengthBytes);
    if (readAt(this.#file, offset, bytes) < lengthBytes) throw new Error("the file is shorter than it was");
    return bytes;
  }

  /** Removes every batch from the file, but keeps the file. */
  clear(): void {
    this.#file.truncateSync(MAGIC.length);
    this.#sizeBytes = MAGIC.length;
  }

  close(): void {
    this.#file.close();
  }

  remove(): void {
    this.#file.close();
    Deno.removeSync(this.path);
  }
}

function parse(bytes: Uint8Array<ArrayBuffer>): { records: SegmentRecord[]; end: number } {
  const records: SegmentRecord[] = [];
  if (bytes.length < MAGIC.length || MAGIC.some((byte, i) => bytes[i] !== byte)) return { records, end: 0 };
  const view = new DataView(bytes.buffer);
  let end = MAGIC.length;
  while (end + RECORD_HEADER_BYTES <= bytes.length) {
    const lengthBytes = view.getUint32(end, true);
    const next = end + RECORD_HEADER_BYTES + lengthBytes;
    if (next > bytes.length || crc32c(bytes.subarray(end + CHECKED_AT, next)) !== view.getUint32(end + 4, true)) break;
    records.push({
      sequence: Number(view.getBigUint64(end + 8, true)),
      events: view.getUint32(end + 16, true),
      offset: end + RECORD_HEADER_BYTES,
      lengthBytes,
    });
    end = next;
  }
  return { records, end };
}
