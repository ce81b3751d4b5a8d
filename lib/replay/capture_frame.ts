/** One packet of a capture, and what reads them. */
import type { ByteQueue } from "./byte_queue.ts";

export interface CaptureFrame {
  /** Nanoseconds since the epoch. */
  timeNs: bigint;
  /** What the capture kept of it; lent until more of the file is read. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Its length before the snap length cut it. */
  wireBytes: number;
  /** LINKTYPE_ number of the header that `bytes` begins with. */
  linkType: number;
}

/** The decoder of one file format. */
export interface RecordReader {
  /** The next packet, or null until more bytes have come. @throws {Error} where the file is malformed */
  next(queue: ByteQueue): CaptureFrame | null;
}

/** Four times the largest snap length of libpcap: a longer packet is a misread length. */
export const PACKET_BYTES_MAX = 1 << 20;

export function malformed(offset: number, found: string): Error {
  return new Error(`Cannot read the capture: malformed at byte ${offset}: ${found}`);
}
