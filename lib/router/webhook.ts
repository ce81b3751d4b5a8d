/** Sends alerts to a webhook: POST with a time limit and retries. Failures are counted and never thrown. */
import { type Failure, RetryQueue } from "../runtime/retry_queue.ts";
import type { After } from "../runtime/timers.ts";

export interface WebhookOptions {
  url: string;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  after: After;
  /** A random number from 0 to 1, for the jitter. */
  random?: () => number;
  /** Time limit of one attempt. */
  timeoutMs?: number;
  attemptsMax?: number;
  /** The wait after attempt n is random, up to `backoffMs` x 2^(n-1) and `backoffMsMax`. */
  backoffMs?: number;
  backoffMsMax?: number;
  /** Alerts that may wait; further ones are counted as failed. */
  queueMax?: number;
  /** Called when an alert is given up. */
  onFailure?: (reason: string) => void;
}

const DEFAULTS = {
  random: Math.random,
  timeoutMs: 5_000,
  attemptsMax: 5,
  backoffMs: 500,
  backoffMsMax: 30_000,
  queueMax: 100,
  onFailure: () => {},
};

/** Delivers alerts one after the other, in the order of `send`. */
export class Webhook {
  readonly #options: Required<WebhookOptions>;
  readonly #queue: RetryQueue<string>;
  #delivered = 0;
  #failed = 0;

  constructor(options: WebhookOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#queue = new RetryQueue({
      ...this.#options,
      attempt: ([json], signal) => this.#post(json, signal),
      givenUp: (_, reason) => this.#giveUp(reason),
    });
  }

  get delivered(): number {
    return this.#delivered;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Takes a JSON text to deliver and returns at once; never throws. */
  send(json: string): void {
    // The queue holds the alert that is being sent, too.
    if (this.#queue.stopped || this.#queue.size > this.#options.queueMax) {
      this.#giveUp("too many alerts wait for the webhook");
      return;
    }
    this.#queue.push(json);
  }

  /** Waits until all is delivered or given up, at most `graceMs`; what is left then counts as failed. */
  close(graceMs: number): Promise<void> {
    return this.#queue.close(graceMs);
  }

  async #post(json: string, signal: AbortSignal): Promise<Failure | null> {
    const response = await this.#options.fetch(this.#options.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: json,
      // A redirect would turn the POST into a GET, or take the alert to another host.
      redirect: "manual",
      signal,
    });
    await response.body?.cancel();
    if (!response.ok) return { reason: `HTTP status ${response.status}`, retry: isTransient(response.status) };
    this.#delivered++;
    return null;
  }

  #giveUp(reason: string): void {
    this.#failed++;
    this.#options.onFailure(reason);
  }
}

/** True for a status that a later attempt may change: the server is busy, slow or broken. */
function isTransient(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}
