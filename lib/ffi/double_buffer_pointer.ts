/**
 * The word that says which side programs read, and what belongs to it: the lengths, the lock between writers and the
 * wait for running programs. All of it is a `struct double_buffer` (bpf/double_buffer.h) in memory of the kernel, so
 * that each worker that maps it agrees with the others.
 */
import type { Fence } from "./double_buffer.ts";
import { otherSide, type Side } from "./side.ts";
import { type SwitchedStructure, Switchover } from "./double_buffer_switchover.ts";
import { DOUBLE_BUFFER } from "../wire/layouts.gen.ts";

/** How long a writer waits for another one: a writer that has died holds the lock for ever. */
const LOCK_TIMEOUT_MS = 10_000;
const LOCK_RETRY_MS = 1;
/** Reads without the lock before one with it. */
const OPTIMISTIC_READS = 8;

const WORD = {
  generation: DOUBLE_BUFFER.fields.generation.offset / 4,
  quiet: DOUBLE_BUFFER.fields.quiet_generation.offset / 4,
  lock: DOUBLE_BUFFER.fields.lock.offset / 4,
  structures: DOUBLE_BUFFER.fields.structures.offset / 4,
  lengths: DOUBLE_BUFFER.fields.lengths.offset / 4,
} as const;

const SIDES = 2;
const STRUCTURES_MAX = DOUBLE_BUFFER.fields.lengths.length / SIDES;

/** Atomics.wait on this word, which never changes, sleeps in synchronous code. */
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * The pointer of structures that change together: which side is active, and the lock between writers.
 *
 * @example
 * ```ts
 * const memory = object.map(".bss").map({ writable: true });
 * const pointer = new ActivePointer({ buffer: memory.buffer, offset: 0 }, new RcuFence(libbpf));
 * const sides = new FixedSideMaps([object.map("ports_side0"), object.map("ports_side1")]);
 * const ports = new DoubleBufferedArray(pointer, 0, { sides, codec: U32 });
 * ports.set([80, 443]);
 * ```
 */
export class ActivePointer {
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #fence: Fence;
  readonly #members = new Map<number, SwitchedStructure>();
  readonly #lockTimeoutMs: number;
  /** The open change of this worker, which holds the lock; null for none. */
  #open: Switchover | null = null;

  /**
   * @param memory where a `struct double_buffer` starts at `offset`, shared with the programs and other workers
   * @param options `lockTimeoutMs`: how long to wait for a writer in another worker
   */
  constructor(
    memory: { buffer: ArrayBuffer; offset: number },
    fence: Fence,
    options: { lockTimeoutMs?: number } = {},
  ) {
    this.#words = new Uint32Array(memory.buffer, memory.offset, DOUBLE_BUFFER.size / 4);
    this.#fence = fence;
    this.#lockTimeoutMs = options.lockTimeoutMs ?? LOCK_TIMEOUT_MS;
  }

  /** Number of flips so far, modulo 2^32. It identifies a set of values. */
  get generation(): number {
    return Atomics.load(this.#words, WORD.generation);
  }

  /** The side that programs use. */
  get active(): Side {
    return (this.generation & 1) as Side;
  }

  get passive(): Side {
    return otherSide(this.active);
  }

  /**
   * Flips, in one store, structures that programs fill and userspace drains. The caller owns the passive side, and has
   * to `quiesce` before it touches the side returned.
   *
   * @returns the side that was active
   * @throws {Error} while a change of values is open
   */
  flip(): Side {
    if (this.#open !== null) throw new Error("Cannot flip: a change is open");
    const old = this.active;
    this.#lock();
    try {
      this.publish();
    } finally {
      this.#unlock();
    }
    return old;
  }

  /** True when no running program can still see the passive side. */
  get isQuiet(): boolean {
    return Atomics.load(this.#words, WORD.quiet) === this.generation;
  }

  /** Returns when no running program can still see the passive side. @throws {SystemError} */
  quiesce(): void {
    const generation = this.generation;
    if (this.isQuiet) return;
    this.#fence.wait();
    Atomics.store(this.#words, WORD.quiet, generation);
  }

  /** `quiesce` without blocking this thread. @throws {SystemError} */
  async quiesced(): Promise<void> {
    const generation = this.generation;
    if (this.isQuiet) return;
    await this.#fence.waitAsync();
    // After another flip meanwhile this number is too low, which only makes the next caller wait once more.
    Atomics.store(this.#words, WORD.quiet, generation);
  }

  /** Number of entries of a structure on a side. */
  lengthOf(structure: number, side: Side): number {
    return Atomics.load(this.#words, WORD.lengths + structure * SIDES + side);
  }

  /** Sets the number of entries; called by structures, for the passive side. */
  setLength(structure: number, side: Side, length: number): void {
    Atomics.store(this.#words, WORD.lengths + structure * SIDES + side, length);
  }

  /**
   * Registers a structure. When another structure changes, this one is copied to the other side before the flip.
   *
   * @param structure its number, the same in programs and in all workers, counted from 0
   * @throws {RangeError}
   */
  register(structure: number, member: SwitchedStructure): void {
    if (!Number.isInteger(structure) || structure < 0 || structure >= STRUCTURES_MAX) {
      throw new RangeError(`Cannot use structure ${structure}: a pointer has ${STRUCTURES_MAX}`);
    }
    if (this.#members.has(structure)) throw new RangeError(`Cannot use structure ${structure}: it exists already`);
    this.#members.set(structure, member);
    for (;;) {
      const known = Atomics.load(this.#words, WORD.structures);
      if (known > structure) return;
      if (Atomics.compareExchange(this.#words, WORD.structures, known, structure + 1) === known) return;
    }
  }

  /**
   * The open change of this worker, or a new one. A new one waits for writers in other workers, and then until the
   * passive side is quiet.
   *
   * @throws {Error} when another writer does not finish, or this worker lacks structures that share the pointer
   * @throws {SystemError}
   */
  change(): Switchover {
    if (this.#open !== null) return this.#open;
    const shared = Atomics.load(this.#words, WORD.structures);
    if (this.#members.size < shared) {
      throw new Error(
        `Cannot change values: this worker has ${this.#members.size} of the pointer's ${shared} structures`,
      );
    }
    this.#lock();
    try {
      this.quiesce();
      this.#open = new Switchover(this, this.#members);
      return this.#open;
    } catch (error) {
      this.#unlock();
      throw error;
    }
  }

  /** True while a change of this worker is open. */
  get isChanging(): boolean {
    return this.#open !== null;
  }

  /** Makes the passive side the active one, in one store. Called with the lock held. @returns the new generation */
  publish(): number {
    // Pairs with the programs' single read in double_buffer_generation(). What was written to the maps comes before it.
    return (Atomics.add(this.#words, WORD.generation, 1) + 1) >>> 0;
  }

  /** Ends a change and unlocks the pointer for other writers. Called by the switchover. */
  release(change: Switchover): void {
    if (this.#open !== change) return;
    this.#open = null;
    this.#unlock();
  }

  /** Reads the active side consistently: `read` is called again when the side may have been refilled meanwhile. */
  read<R>(read: (side: Side, generation: number) => R): R {
    if (this.#open !== null) return read(this.active, this.generation);
    for (let tries = 0; tries < OPTIMISTIC_READS; tries++) {
      const generation = this.generation;
      const result = read((generation & 1) as Side, generation);
      // A side is refilled only after another flip.
      if (this.generation === generation) return result;
    }
    this.#lock();
    try {
      return read(this.active, this.generation);
    } finally {
      this.#unlock();
    }
  }

  #lock(): void {
    const deadlineMs = performance.now() + this.#lockTimeoutMs;
    while (Atomics.compareExchange(this.#words, WORD.lock, 0, 1) !== 0) {
      if (performance.now() > deadlineMs) {
        throw new Error(`Cannot change values: another writer has not finished in ${this.#lockTimeoutMs} ms`);
      }
      Atomics.wait(sleeper, 0, 0, LOCK_RETRY_MS);
    }
  }

  #unlock(): void {
    Atomics.store(this.#words, WORD.lock, 0);
  }
}
