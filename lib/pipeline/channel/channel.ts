/**
 * The contract of a channel between two hops. A channel is bounded, counts its records, and has one or several senders
 * and receivers in different workers. shared_channel.ts (SharedArrayBuffer) and queue_channel.ts (a BPF queue map)
 * implement it.
 *
 *     sent = received + dropped + inFlight          in records, exact when nobody is inside a call
 *
 * A record counts as received once its receiver has committed it; until then it is in flight.
 */
import type { EventBatch } from "../../events/event_batch.ts";
import type { ProcessInfo } from "../../processes/process_info.ts";

/**
 * What a full channel does with the next record: `block` refuses it, so that the sender waits; `drop_newest` drops it;
 * `drop_oldest` drops what has waited longest to make room. What is dropped is counted.
 */
export const OVERFLOW_POLICIES = ["block", "drop_newest", "drop_oldest"] as const;
export type OverflowPolicy = typeof OVERFLOW_POLICIES[number];

/** Upper bound of an event in a channel: the envelope with the longest record and everything known of its process. */
export const ENVELOPE_MAX_BYTES = 2_560;

/** Worker ids are 0 to WORKERS_MAX - 1. */
export const WORKERS_MAX = 64;

/** Worker ids: where events come from, the main thread, and the first node of the pipeline. */
export const SOURCE_WORKER = 0;
export const MAIN_WORKER = 1;
export const FIRST_NODE_WORKER = 2;

/** @throws {RangeError} when `worker` is not a worker id */
export function checkWorker(worker: number): void {
  if (Number.isInteger(worker) && worker >= 0 && worker < WORKERS_MAX) return;
  throw new RangeError(`Cannot open a channel for worker ${worker}: there are ${WORKERS_MAX} at most`);
}

/** Counts of records since the channel was made. */
export interface ChannelStats {
  sent: number;
  received: number;
  dropped: number;
  inFlight: number;
  /** Share of the channel's room in use, 0 to 1. */
  fill: number;
}

/** A record in memory, with what the stages so far know of it. */
export interface OutgoingRecord {
  data: Uint8Array<ArrayBuffer>;
  offset: number;
  lengthBytes: number;
  ring: number;
  category: number;
  priority: number;
  process: ProcessInfo | null;
}

/** The sending end of a channel in one worker. */
export interface Sender extends Disposable {
  /**
   * Copies a record into the channel; receivers see it after the next `flush` at the latest. Until it is published, it
   * does not count as sent, and is lost when the worker dies.
   *
   * @returns false when there is no room and the policy is `block`: the record was not copied
   * @throws {RangeError} for a record shorter than its header, or longer than ENVELOPE_MAX_BYTES in its envelope
   */
  append(record: OutgoingRecord): boolean;
  /** Publishes the records that have been appended. */
  flush(): void;
  /** Waits for room. @returns false after `timeoutMs` without any */
  waitWritable(timeoutMs: number): Promise<boolean>;
  readonly stats: ChannelStats;
}

/** The receiving end of a channel in one worker. */
export interface Receiver extends Disposable {
  /**
   * Takes the next records; those of one sender come in the order in which they were sent. When the worker dies before
   * `commit`, its successor receives them again, provided that the channel is `recoverable`.
   *
   * @param batch is cleared, then filled
   * @returns false when there is nothing to receive
   * @throws {TypeError} when the last batch is not committed yet
   */
  receive(batch: EventBatch): boolean;
  /**
   * Commits the batch that `receive` handed out last: its events are done with.
   *
   * @param events commits only so many, counted from the start of the batch; a later call may name a larger number.
   *   Absent: all of them
   */
  commit(events?: number): void;
  /** Waits for a record. @returns false after `timeoutMs` without any */
  waitReadable(timeoutMs: number): Promise<boolean>;
  readonly stats: ChannelStats;
}

/** A channel as one worker sees it. */
export interface Channel {
  readonly name: string;
  readonly policy: OverflowPolicy;
  /** True where the batch of a dead worker goes to its successor. Otherwise `recover` counts its records as dropped. */
  readonly recoverable: boolean;
  /**
   * Opens the sending end of a worker; it may have one at a time.
   *
   * @throws {RangeError} when `worker` is not a worker id
   */
  openSender(worker: number): Sender;
  /**
   * Opens the receiving end of a worker; it may have one at a time.
   *
   * @throws {RangeError} when `worker` is not a worker id
   */
  openReceiver(worker: number): Receiver;
  /**
   * Brings the channel into order after a worker has died. The worker's thread must have ended: `Worker.terminate()`
   * returns while it still runs.
   *
   * @returns records that are lost, which count as dropped from now on
   */
  recover(worker: number): number;
  /** Records that `worker` has received and not committed. */
  uncommitted(worker: number): number;
  readonly stats: ChannelStats;
}
