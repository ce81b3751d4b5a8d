/**
 * Sends what waits in a queue, one batch after the other: attempts with a time limit, jittered waits between them, and
 * an end that does not wait for longer than told. How much may wait is for the owner to say, who counts it in its own units.
 */
import { Backoff } from "./backoff.ts";
import { type After, delay } from "./timers.ts";

/** Why an attempt failed. */
export interface Failure {
  reason: string;
  /** Whether a later attempt may fare better. */
  retry: boolean;
  /** How long the receiver wants to be left alone, where it says so. */
  retryAfterMs?: number | null;
}

export interface RetryQueueOptions<Item> {
  /** Makes one attempt. The signal ends it; what it throws is a failure that may pass. null: the batch is delivered. */
  attempt(batch: Item[], signal: AbortSignal): Promise<Failure | null>;
  /** Called when a batch is given up. */
  givenUp(batch: Item[], reason: string): void;
  /** Called before each attempt but the first. */
  retrying?(): void;
  /** How many of the items that wait go together, from the first one on; 1 unless told. */
  batchLength?(waiting: readonly Item[]): number;
  after: After;
  /** 0 to 1, for the jitter. */
  random: () => number;
  /** For one attempt. */
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

  /** True once the time that `close` left is over. */
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

  /** Why it was given up, or null. */
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
