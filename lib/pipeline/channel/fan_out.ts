/**
 * Chooses which of several outputs an event takes. With `hash` a table in shared memory maps a hash of the pid to an
 * output, so that events of one process stay in order; the supervisor changes the table when a worker is given up.
 */
import type { Distribution } from "./lanes.ts";

/** Number of entries of the table. */
export const BUCKETS = 256;

/** Entry of a bucket whose events have to wait, because earlier ones are being moved to another worker. */
export const HOLD = 255;

/** Knuth's multiplicative hash (The Art of Computer Programming, 6.4), its upper bits: neighbouring pids spread. */
export function bucketOf(pid: number): number {
  return Math.imul(pid, 0x9e3779b1) >>> 24;
}

/** Assigns the buckets evenly to the outputs that are alive. @throws {RangeError} when none is */
export function assignBuckets(table: Uint8Array, alive: readonly number[]): void {
  if (alive.length === 0) throw new RangeError("Cannot spread events: no worker is left");
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    Atomics.store(table, bucket, alive[bucket % alive.length]);
  }
}

/**
 * Assigns the buckets of output `from` to the outputs `to`; other buckets stay as they are.
 *
 * @throws {RangeError} without `to`
 */
export function moveBuckets(table: Uint8Array, from: number, to: readonly number[]): void {
  if (to.length === 0) throw new RangeError("Cannot spread events: no worker is left");
  let next = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (Atomics.load(table, bucket) === from) Atomics.store(table, bucket, to[next++ % to.length]);
  }
}

export class FanOut {
  readonly #distribution: Distribution;
  readonly #table: Uint8Array;
  #turn = 0;

  /** @param table BUCKETS bytes in shared memory */
  constructor(distribution: Distribution, table: Uint8Array) {
    this.#distribution = distribution;
    this.#table = table;
  }

  /** Called before each batch: with `round_robin` the next output has its turn. */
  beginBatch(): void {
    this.#turn = (this.#turn + 1) % BUCKETS;
  }

  /** @returns the output's index; HOLD while the event has to wait */
  outputOf(pid: number): number {
    return Atomics.load(this.#table, this.#distribution === "hash" ? bucketOf(pid) : this.#turn);
  }
}
