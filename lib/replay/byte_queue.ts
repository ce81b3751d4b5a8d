/** Bytes of a stream that have come and are not read yet, in one piece, with their place in the stream. */

const CAPACITY_MIN = 256 * 1024;

export class ByteQueue {
  #bytes = new Uint8Array(CAPACITY_MIN);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;
  /** Of the first unread byte in the stream. */
  #offset = 0;
  /** Bytes to throw away that have not come yet. */
  #owed = 0;

  /** Where in the stream the next byte is. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes that can be read. */
  get available(): number {
    return this.#end - this.#start;
  }

  /** Copies the chunk; what `bytes` has lent is no longer valid. */
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

  /** Passes over bytes, those included that have not come yet. */
  skip(lenBytes: number): void {
    const now = Math.min(lenBytes, this.available);
    this.#start += now;
    this.#offset += now;
    this.#owed += lenBytes - now;
  }

  /** Whether bytes are still missing that were passed over. */
  get owes(): boolean {
    return this.#owed > 0;
  }

  /** The 32-bit number `at` bytes from here, which must have come. */
  u32(at: number, littleEndian: boolean): number {
    return this.#view.getUint32(this.#start + at, littleEndian);
  }

  u16(at: number, littleEndian: boolean): number {
    return this.#view.getUint16(this.#start + at, littleEndian);
  }

  u8(at: number): number {
    return this.#bytes[this.#start + at];
  }

  /** Lent until the next `push`: bytes from `at` on, which must have come. */
  bytes(at: number, lenBytes: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#start + at, this.#start + at + lenBytes);
  }
}
