/** Alerts to a webhook: POST with a time limit and retries. What it does never reaches the caller but as counts. */

/** Calls back after a time, unless what it returns is called before. */
export type After = (ms: number, callback: () => void) => () => void;

export interface WebhookOptions {
  url: string;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  after: After;
  /** 0 to 1, for the jitter. */
  random?: () => number;
  /** For one attempt. */
  timeoutMs?: number;
  attemptsMax?: number;
  /** The wait after attempt n is random, up to `backoffMs` x 2^(n-1) and `backoffMsMax`. */
  backoffMs?: number;
  backoffMsMax?: number;
  /** Alerts that may wait their turn; what comes on top is counted as failed. */
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

/** What one attempt came to: null is delivered. */
type Outcome = { reason: string; retry: boolean } | null;

/** Delivers one after the other, in the order of `send`. */
export class Webhook {
  readonly #options: Required<WebhookOptions>;
  readonly #stopping = new AbortController();
  #queue: string[] = [];
  #running: Promise<void> | null = null;
  #delivered = 0;
  #failed = 0;

  constructor(options: WebhookOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  get delivered(): number {
    return this.#delivered;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Takes a JSON text to deliver and returns at once; never throws. */
  send(json: string): void {
    if (this.#stopping.signal.aborted || this.#queue.length >= this.#options.queueMax) {
      this.#giveUp("too many alerts wait for the webhook");
      return;
    }
    this.#queue.push(json);
    this.#running ??= this.#drain();
  }

  /** Waits until all is delivered or given up, at most `graceMs`; what is left then counts as failed. */
  async close(graceMs: number): Promise<void> {
    const cancel = this.#options.after(graceMs, () => this.#stopping.abort());
    await this.#running;
    cancel();
    this.#stopping.abort();
  }

  async #drain(): Promise<void> {
    for (let json = this.#queue.shift(); json !== undefined; json = this.#queue.shift()) {
      const reason = await this.#deliver(json);
      if (reason === null) this.#delivered++;
      else this.#giveUp(reason);
    }
    this.#running = null;
  }

  /** Why it was given up, or null. */
  async #deliver(json: string): Promise<string | null> {
    const { attemptsMax, random, backoffMs, backoffMsMax } = this.#options;
    for (let attempt = 1;; attempt++) {
      if (this.#stopping.signal.aborted) return "stopped before it was delivered";
      const outcome = await this.#attempt(json);
      if (outcome === null) return null;
      if (!outcome.retry || attempt >= attemptsMax) return `${outcome.reason}, attempt ${attempt} of ${attemptsMax}`;
      // Full jitter: many hosts that lose one server must not come back in step.
      await this.#pause(random() * Math.min(backoffMsMax, backoffMs * 2 ** (attempt - 1)));
    }
  }

  async #attempt(json: string): Promise<Outcome> {
    const { url, fetch, after, timeoutMs } = this.#options;
    const timeout = new AbortController();
    const cancel = after(timeoutMs, () => timeout.abort());
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: json,
        // A redirect would turn the POST into a GET, or take the alert to another host.
        redirect: "manual",
        signal: AbortSignal.any([timeout.signal, this.#stopping.signal]),
      });
      await response.body?.cancel();
      if (response.ok) return null;
      return { reason: `HTTP status ${response.status}`, retry: isTransient(response.status) };
    } catch (error) {
      const reason = timeout.signal.aborted ? `no answer in ${timeoutMs} ms` : (error as Error).message;
      return { reason, retry: true };
    } finally {
      cancel();
    }
  }

  /** Ends early when stopping. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.#options.after(ms, done);
      signal.addEventListener("abort", done);
    });
  }

  #giveUp(reason: string): void {
    this.#failed++;
    this.#options.onFailure(reason);
  }
}

/** Whether a later attempt may fare better: the server is busy, slow or broken, rather than unwilling. */
function isTransient(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}
