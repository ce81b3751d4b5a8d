/**
 * A queue of items that are delivered in batches, one after another. Each batch is tried several times, with a time
 * limit for each attempt and random waits between attempts; closing the queue takes no longer than its caller allows.
 * The queue has no limit of its own: its owner decides how much may wait.
 */
import { Backoff } from "./backoff.ts";
import { type After, delay } from "./timers.ts";

/** Why an attempt failed. */
export interface Failure {
  reason: string;
  /** True where a later attempt may succeed. */
  retry: boolean;
  /** How long the receiver asks to wait before the next attempt, where it says so. */
  retryAfterMs?: number | null;
}

export interface RetryQueueOptions<Item> {
  /**
   * Makes one attempt, which ends with the signal. An error that it throws is a failure that may pass.
   *
   * @returns null when the batch is delivered
   */
  attempt(batch: Item[], signal: AbortSignal): Promise<Failure | null>;
  /** Called when a batch is given up. */
  givenUp(batch: Item[], reason: string): void;
  /** Called before each attempt at a batch except the first. */
  retrying?(): void;
  /** How many of the waiting items, from the first one on, make the next batch. Default: 1. */
  batchLength?(waiting: readonly Item[]): number;
  after: After;
  /** Returns a number from 0 up to, and without, 1, for the random waits. */
  random: () => number;
  /** The time limit of one attempt. */
  timeoutMs: number;
  attemptsMax: number;
  /** The wait after attempt n is random, up to `backoffMs` x 2^(n-1) and `backoffMsMax`. */
  backoffMs: number;
  backoffMsMax: number;
}

/** Delivers in the order of `push`. */
export class RetryQueue<Item> {
  readonly #options: RetryQueueOptions<Item>;
  readonly #stopping = new AbortController();
  #waiting: Item[] = [];
  #underWay = 0;
  #running: Promise<void> | null = null;

  constructor(options: RetryQueueOptions<Item>) {
    this.#options = options;
  }

  /** Items that are neither delivered nor given up. */
  get size(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** True once the time that `close` allowed is over. */
  get stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  push(item: Item): void {
    this.#waiting.push(item);
    this.#running ??= this.#drain();
  }

  /** Waits until all is delivered or given up, at most `graceMs`; then what is left is given up. */
  async close(graceMs: number): Promise<void> {
    const cancel = this.#options.after(graceMs, () => this.#stopping.abort());
    await this.#running;
    cancel();
    this.#stopping.abort();
  }

  async #drain(): Promise<void> {
    // Whatever else comes in the same turn goes with the same batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#options.batchLength?.(this.#waiting) ?? 1);
      this.#underWay = batch.length;
      const reason = await this.#deliver(batch);
      this.#underWay = 0;
      if (reason !== null) this.#options.givenUp(batch, reason);
    }
    this.#running = null;
  }

  /** @returns the reason for giving the batch up; null when it is delivered */
  async #deliver(batch: Item[]): Promise<string | null> {
    const { after, attemptsMax, backoffMs, backoffMsMax, random } = this.#options;
    const backoff = new Backoff({ firstMs: backoffMs, maxMs: backoffMsMax, random });
    let reason = "stopped before it was sent";
    for (let attempt = 1; !this.stopped; attempt++) {
      if (attempt > 1) this.#options.retrying?.();
      const failure = await this.#attempt(batch);
      if (failure === null) return null;
      reason = `${failure.reason}, attempt ${attempt} of ${attemptsMax}`;
      if (!failure.retry || attempt >= attemptsMax) break;
      const waitMs = backoff.next();
      await delay(failure.retryAfterMs ?? waitMs, { signal: this.#stopping.signal, after });
    }
    return reason;
  }

  async #attempt(batch: Item[]): Promise<Failure | null> {
    const { after, timeoutMs } = this.#options;
    const timeout = new AbortController();
    const cancel = after(timeoutMs, () => timeout.abort());
    try {
      return await this.#options.attempt(batch, AbortSignal.any([timeout.signal, this.#stopping.signal]));
    } catch (error) {
      const reason = timeout.signal.aborted ? `no answer in ${timeoutMs} ms` : (error as Error).message;
      return { reason, retry: true };
    } finally {
      cancel();
    }
  }
}
