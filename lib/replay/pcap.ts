/** The pcap format: a file header, then a header before each packet. Both byte orders, micro- and nanoseconds. */
import type { ByteQueue } from "./byte_queue.ts";
import { type CaptureFrame, malformed, PACKET_BYTES_MAX, type RecordReader } from "./capture_frame.ts";

const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const NS_PER_S = 1_000_000_000n;
/** The upper bits of the link type hold the length of the frame check sequence. */
const LINK_TYPE_MASK = 0xffff;

/** True for the first four bytes of a pcap file, read as a little-endian number. */
export function isPcap(magic: number): boolean {
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, magic);
  return [magic, swapped.getUint32(0, true)].some((it) => it === MAGIC_MICROSECONDS || it === MAGIC_NANOSECONDS);
}

export class PcapReader implements RecordReader {
  #littleEndian = true;
  #fractionNs = 1n;
  /** null until the file's header has been read. */
  #linkType: number | null = null;

  next(queue: ByteQueue): CaptureFrame | null {
    if (this.#linkType === null) {
      if (queue.available < FILE_HEADER_BYTES) return null;
      this.#littleEndian = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS].includes(queue.u32(0, true));
      this.#fractionNs = queue.u32(0, this.#littleEndian) === MAGIC_NANOSECONDS ? 1n : 1_000n;
      this.#linkType = queue.u32(20, this.#littleEndian) & LINK_TYPE_MASK;
      queue.skip(FILE_HEADER_BYTES);
    }
    if (queue.available < RECORD_HEADER_BYTES) return null;
    const keptBytes = queue.u32(8, this.#littleEndian);
    if (keptBytes > PACKET_BYTES_MAX) throw malformed(queue.offset, `a packet of ${keptBytes} bytes`);
    if (queue.available < RECORD_HEADER_BYTES + keptBytes) return null;
    const seconds = BigInt(queue.u32(0, this.#littleEndian));
    const frame = {
      timeNs: seconds * NS_PER_S + BigInt(queue.u32(4, this.#littleEndian)) * this.#fractionNs,
      bytes: queue.bytes(RECORD_HEADER_BYTES, keptBytes),
      // Some writers leave the original length zero.
      wireBytes: Math.max(queue.u32(12, this.#littleEndian), keptBytes),
      linkType: this.#linkType,
    };
    queue.skip(RECORD_HEADER_BYTES + keptBytes);
    return frame;
  }
}
