/** A packet of a capture, and the contract of the decoders. */
import type { ByteQueue } from "./byte_queue.ts";

export interface CaptureFrame {
  /** Time of capture, nanoseconds since the epoch. */
  timeNs: bigint;
  /** The bytes that the capture kept. They are valid until more of the file is read. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Length of the packet before it was cut to the snap length. */
  wireBytes: number;
  /** LINKTYPE_ number of the header that `bytes` begins with. */
  linkType: number;
}

/** The decoder of one file format. */
export interface RecordReader {
  /** The next packet, or null until more bytes have come. @throws {Error} where the file is malformed */
  next(queue: ByteQueue): CaptureFrame | null;
}

/** Upper bound of a packet: four times the largest snap length of libpcap. A greater length is a malformed file. */
export const PACKET_BYTES_MAX = 1 << 20;

/** The error for a malformed file. @param offset where in the file @param found what is wrong there */
export function malformed(offset: number, found: string): Error {
  return new Error(`Cannot read the capture: malformed at byte ${offset}: ${found}`);
}
