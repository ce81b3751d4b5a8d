/** A queue of bytes from a stream. The unread bytes lie in one piece of memory and know their offset in the stream. */
const CAPACITY_MIN = 256 * 1024;

export class ByteQueue {
  #bytes = new Uint8Array(CAPACITY_MIN);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  /** Offset of the first unread byte in the stream. */
  #offset = 0;
  /** Bytes to be skipped that have not come yet. */
  #owed = 0;

  /** Offset of the next byte in the stream. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes that can be read. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** Adds a copy of the chunk. Views that `bytes` has lent are no longer valid. */
  push(chunk: Uint8Array): void {
    const owed = Math.min(this.#owed, chunk.length);
    this.#owed -= owed;
    this.#offset += owed;
    const rest = chunk.subarray(owed);
    this.#makeRoom(rest.length);
    this.#bytes.set(rest, this.#end);
    this.#end += rest.length;
  }

  #makeRoom(lenBytes: number): void {
    if (this.#end + lenBytes <= this.#bytes.length) return;
    const needed = this.available + lenBytes;
    const bytes = needed <= this.#bytes.length ? this.#bytes : new Uint8Array(2 ** Math.ceil(Math.log2(needed)));
    bytes.set(this.#bytes.subarray(this.#start, this.#end));
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Skips bytes, also those that have not come yet. */
  skip(lenBytes: number): void {
    const now = Math.min(lenBytes, this.available);
    this.#start += now;
    this.#offset += now;
    this.#owed += lenBytes - now;
  }

  /** True while skipped bytes have not come yet. */
  get owes(): boolean {
    return this.#owed > 0;
  }

  /** The 32-bit number at offset `at` of the unread bytes, which must be `available`. */
  u32(at: number, littleEndian: boolean): number {
    return this.#view.getUint32(this.#start + at, littleEndian);
  }

  u16(at: number, littleEndian: boolean): number {
    return this.#view.getUint16(this.#start + at, littleEndian);
  }

  u8(at: number): number {
    return this.#bytes[this.#start + at];
  }

  /** A view of `lenBytes` unread bytes from `at` on, which must be `available`. It is valid until the next `push`. */
  bytes(at: number, lenBytes: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#start + at, this.#start + at + lenBytes);
  }
}
