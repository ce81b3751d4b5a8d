/**
 * Slots in shared memory that pass between senders and receivers, each through one word that says who may touch it:
 *
 *     FREE -> WRITING -> SEALED -> PUBLISHED -> HELD -> DONE -> FREE       HELD -> LEFT -> HELD      of a dead worker
 *                                  PUBLISHED -> EVICTING -> EVICTED -> WRITING                       to make room
 *
 * A sequence number in each slot orders them, as in Vyukov's bounded MPMC queue
 * (https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue). There a sender takes its place in
 * the order before it has written, so that a slow one holds up all behind it and a dead one holds them up for ever.
 * Here a slot is written first and takes its number when it is published; receivers look for the lowest.
 *
 * A worker may die between any two stores. Before a counter changes, what it will be is written into the slot, and the
 * next phase (SEALED, DONE, EVICTED) says that it holds; `recover` does the rest of those steps, each of which can be
 * done twice, and undoes WRITING and EVICTING.
 */
import { type ChannelStats, WORKERS_MAX } from "./channel.ts";
import { Doorbell } from "./doorbell.ts";

const FREE = 0;
const WRITING = 1;
const SEALED = 2;
const PUBLISHED = 3;
const HELD = 4;
const LEFT = 5;
const DONE = 6;
const EVICTING = 7;
const EVICTED = 8;

/** The state word: phase, its worker, and the sequence number, which may wrap. */
const PHASE_MASK = 0xf;
const OWNER_SHIFT = 4;
const OWNED_MASK = (WORKERS_MAX << OWNER_SHIFT) - 1;
const SEQUENCE_SHIFT = 10;

function state(phase: number, owner: number, sequenceBits = 0): number {
  return phase | owner << OWNER_SHIFT | sequenceBits;
}

const SEQUENCE_BITS = -1 << SEQUENCE_SHIFT;

// Layout of the memory: three words, each on a cache line of its own; a state word for each slot; a header for each
// slot; a row of counters for each worker; then the slots.
const LINE_BYTES = 64;
const READABLE_WORD = 0;
const WRITABLE_WORD = LINE_BYTES / 4;
const SEQUENCE_WORD = 2 * LINE_BYTES / 4;
const STATES_WORD = 3 * LINE_BYTES / 4;

const HEADER_BYTES = LINE_BYTES;
/** Fields of a header: doubles first, then 32-bit words. */
const TOTAL = 0, SENT_MS = 1;
const COUNT = 4, USED_BYTES = 5, COMMITTED = 6, ATTEMPTS = 7;

/** Doubles of a worker's row, written by that worker alone; each only grows. */
const COUNTERS = { published: 0, refused: 1, evicted: 2, received: 3 } as const;
export type PoolCounter = keyof typeof COUNTERS;
const ROW_BYTES = LINE_BYTES;

function align(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}

/** Called at each point at which a worker may die, for tests. */
export type StepHook = (step: string) => void;

export class SlotPool {
  readonly readable: Doorbell;
  readonly writable: Doorbell;
  readonly slots: number;
  /** Memory of each slot. */
  readonly memory: readonly Uint8Array<SharedArrayBuffer>[];
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #doubles: Float64Array<SharedArrayBuffer>;
  readonly #headersAt: number;
  readonly #rowsAt: number;
  readonly #step: StepHook | undefined;
  /** Where the last free slot was found. */
  #hint = 0;

  /** @param memory of `memoryBytes(slots, slotBytes)`, zeroed when it is new */
  constructor(memory: SharedArrayBuffer, slots: number, slotBytes: number, step?: StepHook) {
    this.slots = slots;
    this.#step = step;
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
    this.readable = new Doorbell(this.#words, READABLE_WORD);
    this.writable = new Doorbell(this.#words, WRITABLE_WORD);
    this.#headersAt = align((STATES_WORD + slots) * 4);
    this.#rowsAt = this.#headersAt + slots * HEADER_BYTES;
    const dataAt = this.#rowsAt + WORKERS_MAX * ROW_BYTES;
    this.memory = Array.from(
      { length: slots },
      (_, slot) => new Uint8Array(memory, dataAt + slot * slotBytes, slotBytes),
    );
  }

  static memoryBytes(slots: number, slotBytes: number): number {
    return align((STATES_WORD + slots) * 4) + slots * (HEADER_BYTES + slotBytes) + WORKERS_MAX * ROW_BYTES;
  }

  /** Sets the number that the next published slot gets, in memory that nobody uses yet. */
  set nextSequence(sequence: number) {
    Atomics.store(this.#words, SEQUENCE_WORD, sequence);
  }

  #doubleAt(slot: number, field: number): number {
    return (this.#headersAt + slot * HEADER_BYTES) / 8 + field;
  }

  #wordAt(slot: number, field: number): number {
    return (this.#headersAt + slot * HEADER_BYTES) / 4 + field;
  }

  count(slot: number): number {
    return this.#words[this.#wordAt(slot, COUNT)];
  }

  usedBytes(slot: number): number {
    return this.#words[this.#wordAt(slot, USED_BYTES)];
  }

  committed(slot: number): number {
    return this.#words[this.#wordAt(slot, COMMITTED)];
  }

  attempts(slot: number): number {
    return this.#words[this.#wordAt(slot, ATTEMPTS)];
  }

  sentMs(slot: number): number {
    return this.#doubles[this.#doubleAt(slot, SENT_MS)];
  }

  counter(worker: number, counter: PoolCounter): number {
    return this.#doubles[(this.#rowsAt + worker * ROW_BYTES) / 8 + COUNTERS[counter]];
  }

  setCounter(worker: number, counter: PoolCounter, value: number): void {
    this.#doubles[(this.#rowsAt + worker * ROW_BYTES) / 8 + COUNTERS[counter]] = value;
  }

  #move(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, STATES_WORD + slot, from, to) === from;
  }

  /** True when `slot` is in `phase` and belongs to `worker`. */
  #is(slot: number, phase: number, worker: number): boolean {
    return (Atomics.load(this.#words, STATES_WORD + slot) & OWNED_MASK) === state(phase, worker);
  }

  #find(wanted: number, mask: number): number {
    for (let i = 0; i < this.slots; i++) {
      const slot = (this.#hint + i) % this.slots;
      if ((Atomics.load(this.#words, STATES_WORD + slot) & mask) === wanted) return slot;
    }
    return -1;
  }

  get hasFree(): boolean {
    return this.#find(FREE, PHASE_MASK) >= 0;
  }

  /** True when `take` would return a slot. */
  canTake(worker: number): boolean {
    return this.#find(PUBLISHED, PHASE_MASK) >= 0 || this.#find(state(LEFT, worker), OWNED_MASK) >= 0;
  }

  /** @returns a slot to write to, or -1 */
  claim(worker: number): number {
    for (;;) {
      const slot = this.#find(FREE, PHASE_MASK);
      if (slot < 0) return -1;
      if (!this.#move(slot, FREE, state(WRITING, worker))) continue;
      this.#hint = slot + 1;
      this.#step?.("claimed");
      this.#clear(slot);
      return slot;
    }
  }

  #clear(slot: number): void {
    this.#words.fill(0, this.#wordAt(slot, COUNT), this.#wordAt(slot, ATTEMPTS) + 1);
  }

  /** Makes room by dropping the oldest published slot. @returns a slot to write to, or -1 when none is published */
  evict(worker: number): number {
    for (;;) {
      const slot = this.#oldest();
      if (slot < 0) return -1;
      const found = this.#found;
      const evicting = state(EVICTING, worker, found & SEQUENCE_BITS);
      if (!this.#move(slot, found, evicting)) continue;
      this.#step?.("evicting");
      this.#doubles[this.#doubleAt(slot, TOTAL)] = this.counter(worker, "evicted") + this.count(slot);
      this.#move(slot, evicting, state(EVICTED, worker));
      this.#step?.("evicted");
      this.setCounter(worker, "evicted", this.#doubles[this.#doubleAt(slot, TOTAL)]);
      this.#step?.("eviction counted");
      this.#move(slot, state(EVICTED, worker), state(WRITING, worker));
      this.#clear(slot);
      return slot;
    }
  }

  /** Writes the header of a slot that is about to be published: events, bytes and the time. */
  describe(slot: number, count: number, usedBytes: number): void {
    this.#words[this.#wordAt(slot, COUNT)] = count;
    this.#words[this.#wordAt(slot, USED_BYTES)] = usedBytes;
    this.#doubles[this.#doubleAt(slot, SENT_MS)] = performance.timeOrigin + performance.now();
  }

  /** Publishes a described slot, or finishes doing so after a worker's death. A second call does nothing. */
  publish(slot: number, worker: number): void {
    if (this.#is(slot, WRITING, worker)) {
      this.#doubles[this.#doubleAt(slot, TOTAL)] = this.counter(worker, "published") + this.count(slot);
      this.#step?.("counted what is sent");
      this.#move(slot, state(WRITING, worker), state(SEALED, worker));
      this.#step?.("sealed");
    }
    if (!this.#is(slot, SEALED, worker)) return;
    this.setCounter(worker, "published", this.#doubles[this.#doubleAt(slot, TOTAL)]);
    this.#step?.("sent");
    const sequence = Atomics.add(this.#words, SEQUENCE_WORD, 1);
    this.#move(slot, state(SEALED, worker), state(PUBLISHED, 0, sequence << SEQUENCE_SHIFT));
    this.#step?.("published");
    this.readable.ring();
  }

  /** Frees a slot that was claimed and not published. */
  release(slot: number, worker: number): void {
    if (this.#move(slot, state(WRITING, worker), FREE)) this.writable.ring();
  }

  /** The state in which `#oldest` found its slot. */
  #found = 0;

  /**
   * The published slot with the lowest number. A sender may publish one slot behind the scan and the next before it,
   * so only what two scans find alike is surely the lowest of its sender.
   */
  #oldest(): number {
    const words = this.#words;
    const end = STATES_WORD + this.slots;
    for (let before = -1, wordBefore = 0;;) {
      let lowest = -1;
      let lowestWord = 0;
      for (let at = STATES_WORD; at < end; at++) {
        const word = Atomics.load(words, at);
        if ((word & PHASE_MASK) !== PUBLISHED) continue;
        // The other bits are alike, so that the difference is that of the numbers, also where they wrapped.
        if (lowest < 0 || (word - lowestWord | 0) < 0) {
          lowest = at;
          lowestWord = word;
        }
      }
      if (lowest < 0) return -1;
      this.#found = lowestWord;
      if (lowest === before && lowestWord === wordBefore) return lowest - STATES_WORD;
      before = lowest;
      wordBefore = lowestWord;
    }
  }

  /** Takes a slot that a dead worker of this id left, else the oldest published slot. @returns -1 when there is none */
  take(worker: number): number {
    const left = this.#takeLeft(worker);
    if (left >= 0) return left;
    for (;;) {
      const slot = this.#oldest();
      if (slot < 0) return -1;
      if (!this.#move(slot, this.#found, state(HELD, worker, this.#found & SEQUENCE_BITS))) continue;
      this.#step?.("received");
      return slot;
    }
  }

  /** Takes the oldest slot that a dead worker of this id left. @returns -1 when there is none */
  #takeLeft(worker: number): number {
    for (;;) {
      let lowest = -1;
      let lowestWord = 0;
      for (let slot = 0; slot < this.slots; slot++) {
        const word = Atomics.load(this.#words, STATES_WORD + slot);
        if ((word & OWNED_MASK) !== state(LEFT, worker)) continue;
        if (lowest < 0 || (word - lowestWord | 0) < 0) {
          lowest = slot;
          lowestWord = word;
        }
      }
      if (lowest < 0) return -1;
      if (this.#move(lowest, lowestWord, state(HELD, worker, lowestWord & SEQUENCE_BITS))) return lowest;
    }
  }

  /** Commits the first `events` of a slot that `worker` holds. */
  commitFirst(slot: number, worker: number, events: number): void {
    if (this.#is(slot, HELD, worker)) Atomics.store(this.#words, this.#wordAt(slot, COMMITTED), events);
  }

  /** Commits a whole slot and frees it, or finishes doing so after a worker's death. A second call does nothing. */
  free(slot: number, worker: number): void {
    const word = Atomics.load(this.#words, STATES_WORD + slot);
    if ((word & OWNED_MASK) === state(HELD, worker)) {
      this.#doubles[this.#doubleAt(slot, TOTAL)] = this.counter(worker, "received") + this.count(slot);
      this.#step?.("counted what is received");
      this.#move(slot, word, state(DONE, worker));
      this.#step?.("done");
    }
    if (!this.#is(slot, DONE, worker)) return;
    this.setCounter(worker, "received", this.#doubles[this.#doubleAt(slot, TOTAL)]);
    this.#step?.("receipt counted");
    this.#move(slot, state(DONE, worker), FREE);
    this.#step?.("freed");
    this.writable.ring();
  }

  /** Leaves a slot that `worker` holds to the next worker of this id. */
  leave(slot: number, worker: number): void {
    const word = Atomics.load(this.#words, STATES_WORD + slot);
    if ((word & OWNED_MASK) !== state(HELD, worker)) return;
    this.#move(slot, word, state(LEFT, worker, word & SEQUENCE_BITS));
    this.readable.ring();
  }

  /** Finishes or undoes the steps of a dead worker, and leaves the slots that it held to its successor. */
  recover(worker: number): void {
    for (let slot = 0; slot < this.slots; slot++) {
      const word = Atomics.load(this.#words, STATES_WORD + slot);
      switch (word & OWNED_MASK) {
        case state(WRITING, worker):
          this.release(slot, worker);
          break;
        case state(SEALED, worker):
          this.publish(slot, worker);
          break;
        case state(HELD, worker):
          this.#words[this.#wordAt(slot, ATTEMPTS)]++;
          this.leave(slot, worker);
          break;
        case state(DONE, worker):
          this.free(slot, worker);
          break;
        case state(EVICTING, worker):
          this.#move(slot, word, state(PUBLISHED, 0, word & SEQUENCE_BITS));
          break;
        case state(EVICTED, worker):
          this.setCounter(worker, "evicted", this.#doubles[this.#doubleAt(slot, TOTAL)]);
          this.#move(slot, word, FREE);
          break;
      }
    }
    // The worker may have died before it rang.
    this.readable.ring();
    this.writable.ring();
  }

  /** Records in slots that `worker` holds or has left. */
  uncommitted(worker: number): number {
    let records = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.#is(slot, HELD, worker) || this.#is(slot, LEFT, worker)) {
        records += this.count(slot) - this.committed(slot);
      }
    }
    return records;
  }

  get stats(): ChannelStats {
    let sent = 0, received = 0, dropped = 0, inFlight = 0, used = 0;
    for (let worker = 0; worker < WORKERS_MAX; worker++) {
      const refused = this.counter(worker, "refused");
      sent += this.counter(worker, "published") + refused;
      dropped += this.counter(worker, "evicted") + refused;
      received += this.counter(worker, "received");
    }
    for (let slot = 0; slot < this.slots; slot++) {
      const phase = Atomics.load(this.#words, STATES_WORD + slot) & PHASE_MASK;
      if (phase !== FREE) used++;
      if (phase !== PUBLISHED && phase !== HELD && phase !== LEFT) continue;
      const committed = this.committed(slot);
      received += committed;
      inFlight += this.count(slot) - committed;
    }
    return { sent, received, dropped, inFlight, fill: used / this.slots };
  }
}
