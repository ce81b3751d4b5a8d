/** A batch as a server received it. Types only. */
import type { Batch } from "./proto/ebpfmon.gen.ts";
import type { Lane } from "./fleet_types.ts";

/** Where a batch comes from. Sequences belong to a spool of an agent. */
export interface BatchSource {
  agent: string;
  /** 32 hexadecimal digits. */
  spool: string;
  host: string;
  version: string;
  bootId: string;
}

export interface ReceivedBatch extends BatchSource {
  lane: Lane;
  sequence: number;
  events: number;
  content: Batch;
  /** `content` as it came, where it came in one piece: nobody has to encode it again. */
  encoded?: Uint8Array<ArrayBuffer>;
  receivedUnixMs: number;
}
