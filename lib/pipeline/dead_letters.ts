/** Events whose processing failed, kept for somebody to look at or to replay: bounded, what falls out is counted. */

export interface DeadLetter {
  /** Where it failed. */
  stage: string;
  error: string;
  /** How often it was tried. */
  attempts: number;
  /** When it failed; nanoseconds since the epoch. */
  unixNs: bigint;
  /** As the kernel wrote it. */
  record: Uint8Array<ArrayBuffer>;
}

/** Of an error's text: it may repeat what a process made up. */
const ERROR_LENGTH_MAX = 1_000;

/** A queue that drops the oldest when it is full. added = taken + dropped + size. */
export class DeadLetters {
  readonly #lettersMax: number;
  #letters: DeadLetter[] = [];
  /** Index of the oldest once the queue was full. */
  #oldest = 0;
  #added = 0;
  #dropped = 0;

  constructor(lettersMax: number) {
    this.#lettersMax = lettersMax;
  }

  get size(): number {
    return this.#letters.length;
  }

  /** Since the start. */
  get added(): number {
    return this.#added;
  }

  /** Fell out to make room, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Copies the record, which may be lent. */
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

  /** The oldest first. */
  letters(): DeadLetter[] {
    return [...this.#letters.slice(this.#oldest), ...this.#letters.slice(0, this.#oldest)];
  }

  /** Hands them out, the oldest first, and is empty. */
  take(): DeadLetter[] {
    const letters = this.letters();
    this.#letters = [];
    this.#oldest = 0;
    return letters;
  }
}
