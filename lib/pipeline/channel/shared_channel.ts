/**
 * A channel in shared memory. Records travel in slots, many together: a sender fills a slot, publishes it and fills
 * another; a receiver takes a slot as one batch (slot_pool.ts).
 */
import {
  type Channel,
  type ChannelStats,
  checkWorker,
  ENVELOPE_MAX_BYTES,
  type OutgoingRecord,
  type OverflowPolicy,
  type Receiver,
  type Sender,
} from "./channel.ts";
import { addEvent, type DecodeProcess, envelopeLengthOf, EnvelopeWriter, refuseProcess } from "./envelope.ts";
import type { EventBatch } from "../../events/event_batch.ts";
import { SlotPool, type StepHook } from "./slot_pool.ts";

const SLOTS_MAX = 1_024;

/** What a worker needs to open the channel. It can be posted to workers. */
export interface SharedChannelDescription {
  kind: "shared";
  memory: SharedArrayBuffer;
  slots: number;
  slotBytes: number;
  policy: OverflowPolicy;
  name: string;
}

export interface SharedChannelOptions {
  name: string;
  policy: OverflowPolicy;
  /** Number of batches that the channel holds: at least two, so that one can be filled while another is read. */
  slots: number;
  /** Size of a slot, a multiple of 8. A batch that receives from this channel must be at least as large. */
  slotBytes: number;
  /** First sequence number of a slot, for tests of its wrap-around. */
  firstSequence?: number;
}

export interface OpenOptions {
  /** Needed by receivers, where records carry a process. */
  decodeProcess?: DecodeProcess;
  /** Called at each point at which a worker may die, for tests. */
  step?: StepHook;
}

export class SharedChannel implements Channel {
  readonly recoverable = true;
  readonly description: Readonly<SharedChannelDescription>;
  readonly #pool: SlotPool;
  readonly #decodeProcess: DecodeProcess;

  /** Opens a channel that `create` made, here or in another worker. */
  constructor(description: SharedChannelDescription, options: OpenOptions = {}) {
    const { memory, slots, slotBytes, name } = description;
    if (memory.byteLength !== SlotPool.memoryBytes(slots, slotBytes)) {
      throw new RangeError(`Cannot open channel "${name}": its memory has ${memory.byteLength} bytes`);
    }
    this.description = description;
    this.#pool = new SlotPool(memory, slots, slotBytes, options.step);
    this.#decodeProcess = options.decodeProcess ?? refuseProcess;
  }

  /**
   * Makes the memory of a channel.
   *
   * @throws {RangeError} for slots that are too small for a record, or too few or too many
   */
  static create(options: SharedChannelOptions): SharedChannelDescription {
    const { name, policy, slots, slotBytes, firstSequence } = options;
    if (!Number.isInteger(slots) || slots < 2 || slots > SLOTS_MAX) {
      throw new RangeError(`Cannot make channel "${name}": ${slots} slots, must be 2 to ${SLOTS_MAX}`);
    }
    if (!(slotBytes >= ENVELOPE_MAX_BYTES) || slotBytes % 8 !== 0) {
      throw new RangeError(
        `Cannot make channel "${name}": ${slotBytes} bytes a slot, must be a multiple of 8 from ${ENVELOPE_MAX_BYTES} on`,
      );
    }
    const memory = new SharedArrayBuffer(SlotPool.memoryBytes(slots, slotBytes));
    if (firstSequence !== undefined) new SlotPool(memory, slots, slotBytes).nextSequence = firstSequence;
    return { kind: "shared", memory, slots, slotBytes, policy, name };
  }

  get name(): string {
    return this.description.name;
  }

  get policy(): OverflowPolicy {
    return this.description.policy;
  }

  /** @param options.staged true where a CommitJournal, and not `flush`, publishes the records */
  openSender(worker: number, options: { staged?: boolean } = {}): SharedSender {
    checkWorker(worker);
    return new SharedSender(this.#pool, this.description, { worker, staged: options.staged ?? false });
  }

  openReceiver(worker: number): SharedReceiver {
    checkWorker(worker);
    return new SharedReceiver(this.#pool, this.description, { worker, decodeProcess: this.#decodeProcess });
  }

  /** For workers without a journal; `CommitJournal.recover` includes it. @returns 0, because nothing is lost */
  recover(worker: number): number {
    this.#pool.recover(worker);
    return 0;
  }

  uncommitted(worker: number): number {
    return this.#pool.uncommitted(worker);
  }

  get stats(): ChannelStats {
    return this.#pool.stats;
  }

  /** The slots, for the journal. */
  get pool(): SlotPool {
    return this.#pool;
  }
}

/** Records of a staged sender that have been appended and are not published. */
export interface Staged {
  /** In the order in which they were filled. */
  slots: readonly number[];
  /** The sender's total of refused records once this is committed. */
  refused: number;
}

export class SharedSender implements Sender {
  readonly worker: number;
  readonly pool: SlotPool;
  readonly #policy: OverflowPolicy;
  readonly #slotBytes: number;
  readonly #staged: boolean;
  readonly #writers: readonly EnvelopeWriter[];
  /** Slots that are full and not published yet, where a journal publishes them. */
  readonly #full: number[] = [];
  /** The slot being filled, or -1. */
  #slot = -1;
  #writer: EnvelopeWriter;
  #count = 0;
  #usedBytes = 0;
  #refused = 0;

  /** Use `SharedChannel.openSender`. */
  constructor(pool: SlotPool, description: SharedChannelDescription, options: { worker: number; staged: boolean }) {
    this.pool = pool;
    this.worker = options.worker;
    this.#policy = description.policy;
    this.#slotBytes = description.slotBytes;
    this.#staged = options.staged;
    this.#writers = pool.memory.map((memory) => new EnvelopeWriter(memory));
    this.#writer = this.#writers[0];
  }

  append(record: OutgoingRecord): boolean {
    const wholeBytes = envelopeLengthOf(record);
    if (this.#slot < 0 || this.#usedBytes + wholeBytes > this.#slotBytes) {
      this.#finishSlot();
      if (!this.#startSlot()) {
        if (this.#policy === "block") return false;
        this.#refused++;
        return true;
      }
    }
    this.#writer.write(record, this.#usedBytes, wholeBytes);
    this.#usedBytes += wholeBytes;
    this.#count++;
    return true;
  }

  #startSlot(): boolean {
    let slot = this.pool.claim(this.worker);
    if (slot < 0 && this.#policy === "drop_oldest") slot = this.pool.evict(this.worker);
    if (slot < 0) return false;
    this.#slot = slot;
    this.#writer = this.#writers[slot];
    this.#count = 0;
    this.#usedBytes = 0;
    return true;
  }

  #finishSlot(): void {
    if (this.#slot < 0) return;
    this.pool.describe(this.#slot, this.#count, this.#usedBytes);
    if (this.#staged) this.#full.push(this.#slot);
    else this.pool.publish(this.#slot, this.worker);
    this.#slot = -1;
  }

  /** @throws {TypeError} when publishing is the journal's business */
  flush(): void {
    if (this.#staged) throw new TypeError("Cannot flush a sender whose records a journal publishes");
    this.#finishSlot();
    if (this.#refused > 0) this.pool.setCounter(this.worker, "refused", this.#takeRefused());
  }

  /** @returns the total with those that have been refused since the last call */
  #takeRefused(): number {
    const refused = this.pool.counter(this.worker, "refused") + this.#refused;
    this.#refused = 0;
    return refused;
  }

  /** Hands the slots with appended records over to the journal, which publishes them. */
  takeStaged(): Staged {
    this.#finishSlot();
    return { slots: this.#full.splice(0), refused: this.#takeRefused() };
  }

  async waitWritable(timeoutMs: number): Promise<boolean> {
    const { pool } = this;
    return this.#policy !== "block" || await pool.writable.until(() => pool.hasFree, timeoutMs);
  }

  get stats(): ChannelStats {
    return this.pool.stats;
  }

  /** Records that have been appended and not published are discarded. */
  [Symbol.dispose](): void {
    if (this.#slot >= 0) this.#full.push(this.#slot);
    this.#slot = -1;
    for (const slot of this.#full.splice(0)) this.pool.release(slot, this.worker);
    this.#refused = 0;
  }
}

export class SharedReceiver implements Receiver {
  readonly worker: number;
  readonly pool: SlotPool;
  readonly #slotBytes: number;
  readonly #decodeProcess: DecodeProcess;
  /** The slot of the batch that is not committed yet, or -1. */
  #slot = -1;
  /** Events of that slot that a worker before this one had committed. */
  #committedBefore = 0;

  /** Use `SharedChannel.openReceiver`. */
  constructor(
    pool: SlotPool,
    description: SharedChannelDescription,
    options: { worker: number; decodeProcess: DecodeProcess },
  ) {
    this.pool = pool;
    this.worker = options.worker;
    this.#slotBytes = description.slotBytes;
    this.#decodeProcess = options.decodeProcess;
  }

  /** A batch that a dead worker of this id had received comes first, without the events that it had committed. */
  receive(batch: EventBatch): boolean {
    if (this.#slot >= 0) throw new TypeError("Cannot receive: the last batch is not committed");
    if (batch.bytes.length < this.#slotBytes) {
      throw new RangeError(`Cannot receive ${this.#slotBytes} bytes into a batch of ${batch.bytes.length}`);
    }
    batch.clear();
    return this.#load(this.pool.take(this.worker), batch);
  }

  #load(slot: number, batch: EventBatch): boolean {
    if (slot < 0) return false;
    this.#slot = slot;
    const { pool } = this;
    // The batch is a copy: TextDecoder refuses shared memory, and the batch may outlive the slot.
    batch.usedBytes = pool.usedBytes(slot);
    batch.bytes.set(pool.memory[slot].subarray(0, batch.usedBytes));
    batch.attempts = pool.attempts(slot);
    batch.sentMs = pool.sentMs(slot);
    let at = 0;
    for (let skip = pool.committed(slot); skip > 0; skip--) at += batch.data.getUint32(at, true);
    while (at < batch.usedBytes) at = addEvent(batch, at, this.#decodeProcess);
    this.#committedBefore = pool.count(slot) - batch.count;
    return true;
  }

  commit(events?: number): void {
    const { slot, first } = this.takeCommit(events);
    if (slot < 0) return;
    if (first === null) this.pool.free(slot, this.worker);
    else this.pool.commitFirst(slot, this.worker, first);
  }

  /**
   * Says what `commit` would do; the journal does it.
   *
   * @returns the slot, or -1 for nothing to commit, and how many of its events are committed: null for all
   */
  takeCommit(events?: number): { slot: number; first: number | null } {
    const slot = this.#slot;
    if (slot < 0) return { slot, first: null };
    const first = events === undefined ? null : this.#committedBefore + events;
    if (first === null || first >= this.pool.count(slot)) {
      this.#slot = -1;
      return { slot, first: null };
    }
    return { slot, first };
  }

  async waitReadable(timeoutMs: number): Promise<boolean> {
    const { pool, worker } = this;
    return await pool.readable.until(() => pool.canTake(worker), timeoutMs);
  }

  get stats(): ChannelStats {
    return this.pool.stats;
  }

  /** A batch that is not committed goes to the next receiver of this worker. */
  [Symbol.dispose](): void {
    if (this.#slot >= 0) this.pool.leave(this.#slot, this.worker);
    this.#slot = -1;
  }
}
