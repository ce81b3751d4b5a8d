/** Captures of frames that tests make up. */
import { type Bytes, concat } from "./frames.ts";

export interface WrittenFrame {
  bytes: Bytes;
  /** Nanoseconds since the epoch. */
  timeNs: bigint;
  /** On the wire; as long as it is where that is left out. */
  wireBytes?: number;
}

const MAGIC_NANOSECONDS = 0xa1b2_3c4d;

/** A classic capture with nanoseconds. */
export function writePcap(frames: WrittenFrame[], linkType = 1): Bytes {
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const header = words(MAGIC_NANOSECONDS, 2 | 4 << 16, 0, 0, 262_144, linkType);
  return concat(
    header,
    ...frames.flatMap(({ bytes, timeNs, wireBytes = bytes.length }) => [
      words(Number(timeNs / 1_000_000_000n), Number(timeNs % 1_000_000_000n), bytes.length, wireBytes),
      bytes,
    ]),
  );
}
