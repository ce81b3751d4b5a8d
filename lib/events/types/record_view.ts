/** One record in memory, as the decoders of lib/events/types/ look at it, and what they all read from one. */
import type { Machine } from "../../wire/syscalls.ts";
import { TextCache } from "./text_cache.ts";

const TWO_32 = 2 ** 32;
/** Most paths are shorter; 1,024 of them take 128 KiB. */
const TEXT_CACHE_SLOTS = 1024;
const TEXT_CACHE_LENGTH_MAX = 128;

/** A decoder has one view and points it at one record after another, so that a record costs no object of its own. */
export class RecordView {
  /** The machine whose system call numbers the records hold. */
  readonly machine: Machine;
  /** The same memory as `data`. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  data: DataView<ArrayBuffer> = new DataView(this.bytes.buffer);
  /** Where the payload starts, behind `struct event`. */
  payload = 0;
  /** Behind the last byte of the record. */
  end = 0;
  /** Whether the kernel cut the text of the payload off. */
  truncated = false;
  readonly #texts = new TextCache(TEXT_CACHE_SLOTS, TEXT_CACHE_LENGTH_MAX);

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Points the view at a record. `payload` and `end` are offsets in `data`. */
  set(data: DataView<ArrayBuffer>, payload: number, end: number, truncated: boolean): void {
    // One array of bytes for as long as the memory stays the same: a ring's records come thousands at a time.
    if (this.bytes.buffer !== data.buffer || this.bytes.byteOffset !== data.byteOffset) {
      this.bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
    this.data = data;
    this.payload = payload;
    this.end = end;
    this.truncated = truncated;
  }

  /** The text between two offsets. Bytes that are no UTF-8 become U+FFFD. */
  text(start: number, end: number): string {
    return this.#texts.decode(this.bytes, start, end);
  }

  /** The text from `start` to the first NUL, or to `end` where there is none. */
  textUpToNul(start: number, end: number): string {
    let nul = start;
    while (nul < end && this.bytes[nul] !== 0) nul++;
    return this.text(start, nul);
  }

  /** A 64-bit number with a sign. It is exact between -2^53 and 2^53, which holds every result of a system call. */
  signed64(at: number): number {
    return this.data.getInt32(at + 4, true) * TWO_32 + this.data.getUint32(at, true);
  }

  /** A 64-bit number without a sign, which is exact below 2^53. */
  unsigned64(at: number): number {
    return this.data.getUint32(at + 4, true) * TWO_32 + this.data.getUint32(at, true);
  }
}
