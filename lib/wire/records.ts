/** Packed C records as they leave the kernel; borrowed from the reader until its next call. */

/** Keys and values of one batch of a map, packed one after another. */
export interface MapBatch {
  count: number;
  keys: Uint8Array<ArrayBuffer>;
  values: Uint8Array<ArrayBuffer>;
}

/** `struct packet_counters` of one interface slot and direction: consecutive structs, one a CPU. */
export interface CounterBlock {
  slot: number;
  /** enum flow_direction */
  direction: number;
  bytes: ArrayBuffer;
  byteOffset: number;
  cpus: number;
  strideBytes: number;
}

/** What the kernel kept of flows without room, of one side. */
export interface OverflowMemory {
  /** A `struct count_min`. */
  sketch: { bytes: ArrayBuffer; byteOffset: number };
  /** A `struct candidates` a CPU. */
  candidates: { bytes: ArrayBuffer; byteOffset: number; cpus: number; strideBytes: number };
}

/** The exact clock and the tick counter, read together in the kernel. */
export interface ClockSample {
  monotonicNs: bigint;
  jiffies: bigint;
}
