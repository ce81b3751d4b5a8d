/**
 * Walks the records of a BPF ring buffer in memory: positions, headers, wrap-around. ring_reader.ts maps the memory.
 * The layout is that of kernel/bpf/ringbuf.c: a consumer page, a producer page, then the data area mapped twice in a
 * row, so that a record is contiguous even where it wraps around.
 */

/**
 * Takes a sample, which is lent: it has to be copied to be kept after the call. Returning false leaves this sample and
 * all later ones in the ring.
 */
export type TakeSample = (data: DataView<ArrayBuffer>, offset: number, lengthBytes: number) => unknown;

export interface RingMemory {
  /** Starts with `consumer_pos`; writable. */
  consumer: ArrayBuffer;
  /** Starts with `producer_pos`. */
  producer: ArrayBuffer;
  /** Where in `producer` the data area starts: one page. */
  dataOffset: number;
  /** Bytes of the ring, a power of two; the data area holds it twice. */
  sizeBytes: number;
}

/** Running totals, exact up to 2^53, and the state of the ring. */
export interface RingStats {
  /** Samples handed out. */
  consumed: number;
  /** Their bytes, without headers. */
  consumedBytes: number;
  /** Records that the program gave up with bpf_ringbuf_discard(). */
  discarded: number;
  /** Bytes from the last record read to the producer's position, over the ring's size: 0 to 1. */
  fill: number;
}

/** struct bpf_ringbuf_hdr: u32 len with two flags in its upper bits, u32 pg_off. */
const HEADER_BYTES = 8;
const BUSY_BIT = 1 << 31;
const DISCARD_BIT = 1 << 30;
const LENGTH_MASK = DISCARD_BIT - 1;

/**
 * How often a full ring's room is given back to the producers while it is read: doing so each record costs a bigint.
 */
const RELEASES_PER_RING = 8;

export class RingCursor {
  readonly #consumerPos: BigUint64Array<ArrayBuffer>;
  readonly #producerPos: BigUint64Array<ArrayBuffer>;
  readonly #data: DataView<ArrayBuffer>;
  /** The data area again, for headers: Atomics need an integer array. */
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #sizeBytes: number;
  #consumed = 0;
  #consumedBytes = 0;
  #discarded = 0;

  /** @throws {RangeError} when the data area does not hold the ring twice, or its size is not a power of two */
  constructor(memory: RingMemory) {
    const { consumer, producer, dataOffset, sizeBytes } = memory;
    if (!(sizeBytes >= HEADER_BYTES) || (sizeBytes & (sizeBytes - 1)) !== 0) {
      throw new RangeError(`Cannot read a ring of ${sizeBytes} bytes: its size must be a power of two`);
    }
    this.#consumerPos = new BigUint64Array(consumer, 0, 1);
    this.#producerPos = new BigUint64Array(producer, 0, 1);
    this.#data = new DataView(producer, dataOffset, 2 * sizeBytes);
    this.#words = new Int32Array(producer, dataOffset, 2 * sizeBytes / 4);
    this.#sizeBytes = sizeBytes;
  }

  /**
   * Hands out every sample that was submitted when the call began, in order, up to the first one that a program still
   * writes. A sample is consumed even when `take` throws; it is not when `take` returns false.
   *
   * @param samplesMax hands out no more than these; the rest stays for the next call
   * @returns samples handed out
   */
  read(take: TakeSample, samplesMax = Infinity): number {
    // Pairs with smp_store_release(&rb->producer_pos) of __bpf_ringbuf_reserve(). Positions are unsigned longs that
    // may pass 2^53, or wrap; what lies between them is at most the ring's size, so only that becomes a number.
    const producer = Atomics.load(this.#producerPos, 0);
    const consumer = Atomics.load(this.#consumerPos, 0);
    const availableBytes = Number(BigInt.asUintN(64, producer - consumer));
    const start = Number(consumer & BigInt(this.#sizeBytes - 1));
    const consumedBefore = this.#consumed;
    let readBytes = 0;
    let releaseAt = this.#sizeBytes / RELEASES_PER_RING;
    try {
      while (readBytes < availableBytes && this.#consumed - consumedBefore < samplesMax) {
        // Only the start is wrapped: a record that reaches past the ring's end goes on in the second mapping.
        const at = (start + readBytes) & (this.#sizeBytes - 1);
        // Pairs with the xchg(&hdr->len) of bpf_ringbuf_commit(), which publishes the sample.
        const header = Atomics.load(this.#words, at >> 2);
        if ((header & BUSY_BIT) !== 0) break;
        const lengthBytes = header & LENGTH_MASK;
        const spanBytes = (lengthBytes + HEADER_BYTES + 7) & ~7;
        readBytes += spanBytes;
        if ((header & DISCARD_BIT) !== 0) {
          this.#discarded++;
        } else {
          this.#consumed++;
          this.#consumedBytes += lengthBytes;
          if (take(this.#data, at + HEADER_BYTES, lengthBytes) === false) {
            this.#consumed--;
            this.#consumedBytes -= lengthBytes;
            readBytes -= spanBytes;
            break;
          }
        }
        if (readBytes >= releaseAt) {
          this.#release(consumer, readBytes);
          releaseAt = readBytes + this.#sizeBytes / RELEASES_PER_RING;
        }
      }
    } finally {
      this.#release(consumer, readBytes);
    }
    return this.#consumed - consumedBefore;
  }

  #release(consumer: bigint, readBytes: number): void {
    // Pairs with smp_load_acquire(&rb->consumer_pos) of __bpf_ringbuf_reserve(): the room is free from here on.
    Atomics.store(this.#consumerPos, 0, BigInt.asUintN(64, consumer + BigInt(readBytes)));
  }

  get stats(): RingStats {
    const unread = Atomics.load(this.#producerPos, 0) - Atomics.load(this.#consumerPos, 0);
    return {
      consumed: this.#consumed,
      consumedBytes: this.#consumedBytes,
      discarded: this.#discarded,
      fill: Number(BigInt.asUintN(64, unread)) / this.#sizeBytes,
    };
  }
}
