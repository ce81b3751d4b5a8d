/** Events whose processing failed, kept to be looked at or replayed. Their number is bounded. */
export interface DeadLetter {
  /** The stage that failed. */
  stage: string;
  error: string;
  /** How often the event was tried. */
  attempts: number;
  /** Time of the failure, nanoseconds since the epoch. */
  unixNs: bigint;
  /** The event's record, as the kernel wrote it. */
  record: Uint8Array<ArrayBuffer>;
}

/** Upper bound of an error's text, which may repeat text that a process chose. */
const ERROR_LENGTH_MAX = 1_000;

/** A queue that drops the oldest when it is full. added = taken + dropped + size. */
export class DeadLetters {
  readonly #lettersMax: number;
  #letters: DeadLetter[] = [];
  /** Index of the oldest letter; 0 until the queue was full. */
  #oldest = 0;
  #added = 0;
  #dropped = 0;

  constructor(lettersMax: number) {
    this.#lettersMax = lettersMax;
  }

  get size(): number {
    return this.#letters.length;
  }

  /** Letters added since the start. */
  get added(): number {
    return this.#added;
  }

  /** Letters dropped to make room since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds a letter, and drops the oldest one when there is no room. The record is copied. */
  add(letter: DeadLetter): void {
    const kept = { ...letter, error: letter.error.slice(0, ERROR_LENGTH_MAX), record: letter.record.slice() };
    this.#added++;
    if (this.#letters.length < this.#lettersMax) {
      this.#letters.push(kept);
      return;
    }
    this.#letters[this.#oldest] = kept;
    this.#oldest = (this.#oldest + 1) % this.#lettersMax;
    this.#dropped++;
  }

  /** The letters, the oldest first. */
  letters(): DeadLetter[] {
    return [...this.#letters.slice(this.#oldest), ...this.#letters.slice(0, this.#oldest)];
  }

  /** Hands the letters out, the oldest first, and empties the queue. */
  take(): DeadLetter[] {
    const letters = this.letters();
    this.#letters = [];
    this.#oldest = 0;
    return letters;
  }
}
