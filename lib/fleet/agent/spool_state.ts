/**
 * What a spool on disk must not forget even when it is empty: its id, and which sequences may have been used. Sequences
 * are reserved in blocks, so that a number is on disk long before it is given out; a restart goes on behind the block.
 *
 * Two slots, written in turns and in place: a write that is torn leaves the other one, and a full disk stops neither.
 *
 *     u64 magic | u32 generation | u32 zero | 16 bytes spool id | 5 x u64 first sequence not reserved | u32 CRC-32C
 */
import { crc32c } from "../crc32c.ts";
import { type BySeverity, bySeverity } from "../by_severity.ts";
import { SEVERITIES, type Severity } from "../../events/event.ts";

const MAGIC = 0x3153_4d46_5042_4521n; // "!EBPFMS1"
export const SPOOL_ID_BYTES = 16;
const SLOT_BYTES = 512;
const GENERATION_AT = 8;
const ID_AT = 16;
const RESERVED_AT = ID_AT + SPOOL_ID_BYTES;
const CRC_AT = RESERVED_AT + 8 * SEVERITIES.length;
const SLOT_USED = CRC_AT + 4;

/** Batches of a severity between two writes. */
const BLOCK = 4096;

interface Slot {
  generation: number;
  id: Uint8Array<ArrayBuffer>;
  reserved: BySeverity;
}

export class SpoolState implements Disposable {
  readonly id: Uint8Array<ArrayBuffer>;
  /** Whether what the file held could not be used. */
  readonly wasDamaged: boolean;
  readonly #file: Deno.FsFile;
  readonly #reserved: BySeverity;
  readonly #start: BySeverity;
  #generation: number;

  /**
   * @param first where the sequences of a new spool begin
   * @throws when another process holds the spool, or the file cannot be written
   */
  constructor(path: string, first: number) {
    this.#file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
    try {
      if (!this.#file.tryLockSync(true)) throw new Error(`Cannot use ${path}: another agent holds it`);
      const bytes = new Uint8Array(2 * SLOT_BYTES);
      const length = readAt(this.#file, 0, bytes);
      const slots = [0, 1].map((index) => parseSlot(bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES)));
      const newest = slots.filter((slot) => slot !== null).sort((a, b) => b.generation - a.generation).at(0);
      this.id = newest?.id ?? crypto.getRandomValues(new Uint8Array(SPOOL_ID_BYTES));
      this.wasDamaged = newest === undefined && length > 0;
      this.#generation = newest?.generation ?? 0;
      this.#reserved = newest ? { ...newest.reserved } : bySeverity(first);
      this.#start = { ...this.#reserved };
      // Both slots exist from here on: what follows overwrites, and needs no room.
      if (newest === undefined) {
        this.#write();
        this.#write();
      }
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Where each severity goes on: no sequence from here on has ever been given out. */
  get start(): Readonly<BySeverity> {
    return this.#start;
  }

  /** Makes sure that `sequence` will not be given out again after a restart. @throws when that cannot be written */
  reserve(severity: Severity, sequence: number): void {
    if (sequence < this.#reserved[severity]) return;
    const before = this.#reserved[severity];
    this.#reserved[severity] = sequence + BLOCK;
    try {
      this.#write();
    } catch (error) {
      this.#reserved[severity] = before;
      throw error;
    }
  }

  #write(): void {
    const generation = this.#generation + 1;
    const slot = new Uint8Array(SLOT_BYTES);
    const view = new DataView(slot.buffer);
    view.setBigUint64(0, MAGIC, true);
    view.setUint32(GENERATION_AT, generation, true);
    slot.set(this.id, ID_AT);
    SEVERITIES.forEach((severity, i) => view.setBigUint64(RESERVED_AT + 8 * i, BigInt(this.#reserved[severity]), true));
    view.setUint32(CRC_AT, crc32c(slot.subarray(0, CRC_AT)), true);
    writeAt(this.#file, generation % 2 * SLOT_BYTES, slot);
    // A machine that loses power must not use a sequence twice: its server would take the second batch for the first.
    this.#file.syncDataSync();
    this.#generation = generation;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function parseSlot(bytes: Uint8Array<ArrayBuffer>): Slot | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SLOT_USED);
  if (view.getBigUint64(0, true) !== MAGIC) return null;
  if (view.getUint32(CRC_AT, true) !== crc32c(bytes.subarray(0, CRC_AT))) return null;
  const reserved = bySeverity(0);
  SEVERITIES.forEach((severity, i) => reserved[severity] = Number(view.getBigUint64(RESERVED_AT + 8 * i, true)));
  return {
    generation: view.getUint32(GENERATION_AT, true),
    id: bytes.slice(ID_AT, ID_AT + SPOOL_ID_BYTES),
    reserved,
  };
}

/** Reads until `bytes` is full or the file ends. @returns bytes read */
export function readAt(file: Deno.FsFile, offset: number, bytes: Uint8Array): number {
  file.seekSync(offset, Deno.SeekMode.Start);
  let length = 0;
  while (length < bytes.length) {
    const n = file.readSync(bytes.subarray(length));
    if (n === null || n === 0) break;
    length += n;
  }
  return length;
}

/** Writes all of `bytes`. @throws when the disk is full, or fails: a part may have been written then */
export function writeAt(file: Deno.FsFile, offset: number, bytes: Uint8Array): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let written = 0; written < bytes.length;) {
    const n = file.writeSync(bytes.subarray(written));
    if (n === 0) throw new Error("nothing more can be written");
    written += n;
  }
}
