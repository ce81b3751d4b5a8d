/**
 * The contract of a channel between two stages: bounded, counted, one or several senders and receivers in different
 * workers. shared_channel.ts (SharedArrayBuffer) and lib/pipeline/channel/queue_channel.ts (a BPF queue map) keep it.
 *
 *     sent = received + dropped + inFlight          in records, exact when nobody is inside a call
 *
 * Received are those that a receiver has committed; what it still works on is in flight.
 */
import type { EventBatch } from "../../events/event_batch.ts";
import type { ProcessInfo } from "../../processes/process_info.ts";

/**
 * What a full channel does with the next record: `block` refuses it, so that the sender waits; `drop_newest` drops it;
 * `drop_oldest` drops what has waited longest to make room. What is dropped is counted.
 */
export const OVERFLOW_POLICIES = ["block", "drop_newest", "drop_oldest"] as const;
export type OverflowPolicy = typeof OVERFLOW_POLICIES[number];

/** What a channel can carry of one event: its envelope, the longest record, and all that is known of its process. */
export const ENVELOPE_MAX_BYTES = 2_560;

/** Workers that may share channels, by number. */
export const WORKERS_MAX = 64;

/** Who is who among them. */
export const SOURCE_WORKER = 0;
export const MAIN_WORKER = 1;
export const FIRST_NODE_WORKER = 2;

/** @throws {RangeError} for a number that no channel has a row of counters for */
export function checkWorker(worker: number): void {
  if (Number.isInteger(worker) && worker >= 0 && worker < WORKERS_MAX) return;
  throw new RangeError(`Cannot open a channel for worker ${worker}: there are ${WORKERS_MAX} at most`);
}

/** In records, since the channel was made. */
export interface ChannelStats {
  sent: number;
  received: number;
  dropped: number;
  inFlight: number;
  /** Share of its room in use, 0 to 1. */
  fill: number;
}

/** A record in memory, and what is known of it so far. */
export interface OutgoingRecord {
  data: Uint8Array<ArrayBuffer>;
  offset: number;
  lengthBytes: number;
  ring: number;
  category: number;
  priority: number;
  process: ProcessInfo | null;
}

/** Ends that wait hold nothing when their wait is over; `Symbol.dispose` gives back what they hold. */
export interface Sender extends Disposable {
  /**
   * Copies a record into the channel; receivers see it after `flush` at the latest. Until then it does not count as
   * sent, and is gone if the worker dies.
   *
   * @returns false when there is no room and the policy is `block`: nothing was taken
   * @throws {RangeError} for a record shorter than its header, or longer than ENVELOPE_MAX_BYTES in its envelope
   */
  append(record: OutgoingRecord): boolean;
  /** Publishes what has been appended. */
  flush(): void;
  /** @returns false after `timeoutMs` without room */
  waitWritable(timeoutMs: number): Promise<boolean>;
  readonly stats: ChannelStats;
}

export interface Receiver extends Disposable {
  /**
   * Takes the next records, those of one sender in the order in which they were sent. They stay this receiver's until
   * `commit`: one that dies in between leaves them to its successor, where the channel is `recoverable`.
   *
   * @param batch cleared, then filled
   * @returns false when there is nothing to receive
   * @throws {TypeError} when the last batch is not committed yet
   */
  receive(batch: EventBatch): boolean;
  /**
   * What `receive` handed out last is done with.
   *
   * @param events only the first of them; a later call says how many by then. Absent: all of them
   */
  commit(events?: number): void;
  /** @returns false after `timeoutMs` without a record */
  waitReadable(timeoutMs: number): Promise<boolean>;
  readonly stats: ChannelStats;
}

/** A channel as one worker sees it. An end belongs to a worker by its number, 0 to WORKERS_MAX - 1. */
export interface Channel {
  readonly name: string;
  readonly policy: OverflowPolicy;
  /** Whether what a dead worker had received goes to its successor. Otherwise `recover` counts it as dropped. */
  readonly recoverable: boolean;
  /** At most one of each for a worker at a time. Both throw a RangeError for a number that is none. */
  openSender(worker: number): Sender;
  openReceiver(worker: number): Receiver;
  /**
   * Puts right what a worker that died has left. It must have ended for good: `Worker.terminate()` returns while its
   * thread still runs.
   *
   * @returns records that are lost with it, now counted as dropped
   */
  recover(worker: number): number;
  /** Records that `worker` has received and not committed. */
  uncommitted(worker: number): number;
  readonly stats: ChannelStats;
}
