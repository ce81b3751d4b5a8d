/**
 * How large a flow map is to be: doubled after a window in which flows found no room, up to a limit, and halved again
 * after a long time in which little of it was used. Pure; one for IPv4, one for IPv6.
 */

/** A map is too large while it holds less than this share: half of it is then still a quarter full at most. */
const IDLE_FILL = 1 / 8;
/** For so long it has to be. */
const IDLE_NS = 60_000_000_000n;

/** What a window was like. */
export interface MapLoad {
  /** Flows drained from the map. */
  entries: number;
  /** Room that it had. */
  entriesMax: number;
  /** Whether a flow found none. */
  overflowed: boolean;
  durationNs: bigint;
}

export class MapGrowth {
  readonly #least: number;
  #limit: number;
  #wanted: number;
  #idleNs = 0n;

  /** @param limit never more entries than this; below `least` it keeps the map as it is */
  constructor(least: number, limit: number) {
    this.#least = least;
    this.#limit = Math.max(least, limit);
    this.#wanted = least;
  }

  /** Entries that the map should have room for. */
  get wanted(): number {
    return this.#wanted;
  }

  /** No larger map than this could be had: the limit from here on. */
  giveUp(entriesMax: number): void {
    this.#limit = Math.max(this.#least, entriesMax);
    this.#wanted = this.#limit;
  }

  /** @returns `wanted`, after the window that has ended */
  observe({ entries, entriesMax, overflowed, durationNs }: MapLoad): number {
    if (overflowed) {
      this.#idleNs = 0n;
      // A side that has not grown yet tells nothing new.
      this.#wanted = Math.min(this.#limit, Math.max(this.#wanted, 2 * entriesMax));
    } else if (this.#wanted > this.#least && entries < IDLE_FILL * this.#wanted) {
      this.#idleNs += durationNs;
      if (this.#idleNs >= IDLE_NS) {
        this.#idleNs = 0n;
        this.#wanted = Math.max(this.#least, Math.ceil(this.#wanted / 2));
      }
    } else {
      this.#idleNs = 0n;
    }
    return this.#wanted;
  }
}
