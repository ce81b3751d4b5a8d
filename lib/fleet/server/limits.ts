/**
 * Limits on what one agent may cost the server. An agent that sends faster is read more slowly: nothing is lost, and
 * its spool fills.
 */
export interface ServerLimits {
  /** Events a second of one agent on average, 0 for no limit, and the events that it may send at once. */
  eventsPerSecond: number;
  burstEvents: number;
  /** The greatest length of a message. */
  messageBytesMax: number;
  /**
   * The most streams that may be open with the tokens or certificates of one agent. Of those that have sent Hello, the
   * last one counts.
   */
  streamsPerAgent: number;
  /** The most streams of all agents. */
  streamsMax: number;
  /** Bytes of batches that may be under way from all agents together, in equal shares. */
  windowBytesTotal: number;
  /** The largest share of one agent. */
  windowBytesMax: number;
  /** The longest that a stream may take to send Hello. */
  helloMs: number;
  /** The longest that a stream or a connection may be silent. */
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

/** The smallest window of an agent, which still holds some batches. */
const WINDOW_BYTES_MIN = 64 * 1024;

/** The bytes of batches that each of `agents` may have under way. */
export function windowBytes(limits: ServerLimits, agents: number): number {
  const share = Math.floor(limits.windowBytesTotal / Math.max(1, agents));
  return Math.max(WINDOW_BYTES_MIN, Math.min(limits.windowBytesMax, share));
}

/**
 * A token bucket: it allows `burst` at once and `perSecond` on average. A caller may take more than there is, and then
 * waits until the debt is paid.
 */
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

  /** Takes tokens. @returns milliseconds to wait before the next call */
  take(count: number, nowMs: number): number {
    if (this.#perSecond === 0) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#sinceMs) / 1000 * this.#perSecond);
    this.#sinceMs = nowMs;
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perSecond * 1000;
  }
}

/** A counter for each key. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** Adds one. @returns the count of the key now */
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
