/** What one agent may cost the server. Whoever sends faster is read more slowly: nothing is lost, the sender's spool fills. */
export interface ServerLimits {
  /** Events a second of one agent in the long run, and how many it may send at once. 0: no limit. */
  eventsPerSecond: number;
  burstEvents: number;
  /** Longest batch. */
  messageBytesMax: number;
  /** Streams that may be open with the tokens, or certificates, of one agent; of those that said Hello the last one counts. */
  streamsPerAgent: number;
  /** Streams of all agents. */
  streamsMax: number;
  /** Batches under way of all agents together; each has an equal share of it. */
  windowBytesTotal: number;
  /** The largest share. */
  windowBytesMax: number;
  /** A stream without Hello ends after this long. */
  helloMs: number;
  /** A stream, or a connection, on which nothing is said ends after this long. */
  idleMs: number;
}

export const LIMIT_DEFAULTS: ServerLimits = {
  eventsPerSecond: 0,
  burstEvents: 100_000,
  messageBytesMax: 4 * 1024 * 1024,
  streamsPerAgent: 4,
  streamsMax: 10_000,
  windowBytesTotal: 512 * 1024 * 1024,
  windowBytesMax: 8 * 1024 * 1024,
  helloMs: 10_000,
  idleMs: 300_000,
};

/** No agent's window is smaller: it still fits some batches. */
const WINDOW_BYTES_MIN = 64 * 1024;

/** How much each of `agents` may have under way. */
export function windowBytes(limits: ServerLimits, agents: number): number {
  const share = Math.floor(limits.windowBytesTotal / Math.max(1, agents));
  return Math.max(WINDOW_BYTES_MIN, Math.min(limits.windowBytesMax, share));
}

/** Lets `burst` through at once, and `perSecond` in the long run. Whoever takes more owes, and waits until it is paid. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #sinceMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#burst = Math.max(1, burst);
    this.#tokens = this.#burst;
    this.#sinceMs = nowMs;
  }

  /** @returns milliseconds to wait before the next one */
  take(count: number, nowMs: number): number {
    if (this.#perSecond === 0) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#sinceMs) / 1000 * this.#perSecond);
    this.#sinceMs = nowMs;
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perSecond * 1000;
  }
}

/** How often something is there, by key. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** @returns how many there are now */
  add(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }

  remove(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}
