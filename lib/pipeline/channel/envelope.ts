/** Writes and reads the envelopes of event_batch.ts: the form in which every channel holds an event. */
import { EVENT } from "../../wire/layouts.gen.ts";
import { ENVELOPE_MAX_BYTES, type OutgoingRecord } from "./channel.ts";
import { ENVELOPE_BYTES, envelopeLength, type EventBatch } from "../../events/event_batch.ts";
import type { ProcessInfo } from "../../processes/process_info.ts";

/** Decodes a process from the bytes of a batch: decodeProcess() of process_codec.ts. */
export type DecodeProcess = (bytes: Uint8Array<ArrayBuffer>, start: number, end: number) => ProcessInfo;

/** The decoder of a channel whose records carry no process. @throws {TypeError} always */
export function refuseProcess(): never {
  throw new TypeError("Cannot decode a process: the channel was opened without decodeProcess");
}

const CATEGORY_SHIFT = 4;
const RING_MASK = (1 << CATEGORY_SHIFT) - 1;

/**
 * @returns bytes of a record in its envelope
 * @throws {RangeError} for a record that is too short or too long for a channel
 */
export function envelopeLengthOf(record: OutgoingRecord): number {
  const { lengthBytes, process } = record;
  const wholeBytes = envelopeLength(lengthBytes, process === null ? 0 : process.encoded.length);
  if (lengthBytes < EVENT.size || wholeBytes > ENVELOPE_MAX_BYTES) {
    throw new RangeError(
      `Cannot send a record of ${lengthBytes} bytes: it must have at least ${EVENT.size}, and ${ENVELOPE_MAX_BYTES} ` +
        `at most with its envelope and process; it has ${wholeBytes}`,
    );
  }
  return wholeBytes;
}

/** Writes envelopes into one slot or element. */
export class EnvelopeWriter {
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  readonly #words: Int32Array<ArrayBufferLike>;
  /** The memory of the last record, as words: a batch's records share theirs. */
  #source: Uint8Array<ArrayBuffer> | null = null;
  #sourceWords = new Int32Array(0);

  /** @param memory its start and its length are multiples of 8 */
  constructor(memory: Uint8Array<ArrayBufferLike>) {
    this.#bytes = memory;
    this.#words = new Int32Array(memory.buffer, memory.byteOffset, memory.length >> 2);
  }

  /** @param wholeBytes envelopeLengthOf(record) */
  write(record: OutgoingRecord, at: number, wholeBytes: number): void {
    const { data, offset, lengthBytes, process } = record;
    const words = this.#words;
    words[at >> 2] = wholeBytes;
    words[(at >> 2) + 1] = lengthBytes | record.ring << 16 | record.category << 16 + CATEGORY_SHIFT |
      record.priority << 24;
    const recordAt = at + ENVELOPE_BYTES;
    if (((offset + data.byteOffset | lengthBytes) & 3) === 0) {
      if (data !== this.#source) this.#use(data);
      // Word by word: faster than a view of each record and set(), which allocates.
      const source = this.#sourceWords;
      let from = (offset + data.byteOffset) >> 2;
      let to = recordAt >> 2;
      const end = to + (lengthBytes >> 2);
      while (to < end) words[to++] = source[from++];
    } else {
      this.#bytes.set(data.subarray(offset, offset + lengthBytes), recordAt);
    }
    if (process !== null) this.#bytes.set(process.encoded, recordAt + (lengthBytes + 7 & ~7));
  }

  #use(data: Uint8Array<ArrayBuffer>): void {
    this.#source = data;
    this.#sourceWords = new Int32Array(data.buffer, 0, data.buffer.byteLength >> 2);
  }
}

/**
 * Adds the event whose envelope is at `at` in the batch's memory to its columns.
 *
 * @returns where the next envelope starts
 */
export function addEvent(batch: EventBatch, at: number, decodeProcess: DecodeProcess): number {
  const { data } = batch;
  const wholeBytes = data.getUint32(at, true);
  const packed = data.getUint32(at + 4, true);
  const lengthBytes = packed & 0xffff;
  const recordAt = at + ENVELOPE_BYTES;
  const processAt = recordAt + (lengthBytes + 7 & ~7);
  const end = at + wholeBytes;
  const i = batch.count++;
  batch.offsets[i] = recordAt;
  batch.lengths[i] = lengthBytes;
  batch.ring[i] = packed >> 16 & RING_MASK;
  batch.category[i] = packed >> 16 + CATEGORY_SHIFT & RING_MASK;
  batch.priority[i] = packed >>> 24;
  batch.process[i] = processAt < end ? decodeProcess(batch.bytes, processAt, end) : null;
  return end;
}
