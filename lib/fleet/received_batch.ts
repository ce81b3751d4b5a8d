/** A batch as a server received it. Types only. */
import type { Batch } from "./proto/ebpfmon.gen.ts";
import type { Severity } from "../events/event.ts";

/** The origin of a batch. Sequences of batches are unique within a spool of an agent. */
export interface BatchSource {
  agent: string;
  /** 32 hexadecimal digits. */
  spool: string;
  host: string;
  version: string;
  bootId: string;
}

export interface ReceivedBatch extends BatchSource {
  severity: Severity;
  sequence: number;
  events: number;
  content: Batch;
  /** The encoded `content` as it was received; absent where it was not received in one piece. */
  encoded?: Uint8Array<ArrayBuffer>;
  receivedUnixMs: number;
}
