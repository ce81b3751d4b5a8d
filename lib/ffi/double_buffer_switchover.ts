/** An open change: structures whose passive sides are filled, and the one flip that puts all of them in force. */
import { otherSide, type Side } from "./side.ts";

/** The part of an `ActivePointer` that a switchover uses: the word that says which side is active. */
export interface SwitchoverPointer {
  readonly active: Side;
  readonly passive: Side;
  /** Makes the passive side the active one. @returns the generation of the values @throws {SystemError} */
  publish(): number;
  /** Ends the change and unlocks the pointer for other writers. */
  release(change: Switchover): void;
  /** Returns when no running program can still see the side that was active before. @throws {SystemError} */
  quiesce(): void;
  /** The same without blocking this thread. @throws {SystemError} */
  quiesced(): Promise<void>;
}

/** The part of a double-buffered structure that a switchover uses. */
export interface SwitchedStructure {
  /** Copies all entries of side `from` to side `to`, which is passive. @throws {SystemError} */
  copySide(from: Side, to: Side): void;
  /** Empties a passive side. @throws {SystemError} */
  clear(side: Side): void;
}

/**
 * @example
 * ```ts
 * using change = ports.setAndDeferSwitchover([80, 443]);
 * names.setAndDeferSwitchover([[80, "http"], [443, "https"]]); // joins it
 * change.flip();
 * ```
 */
export class Switchover implements Disposable {
  readonly #pointer: SwitchoverPointer;
  readonly #members: ReadonlyMap<number, SwitchedStructure>;
  readonly #filled = new Set<number>();
  #state: "open" | "flipped" | "abandoned" = "open";
  #generation = 0;

  /** Use `setAndDeferSwitchover` of a structure. */
  constructor(pointer: SwitchoverPointer, members: ReadonlyMap<number, SwitchedStructure>) {
    this.#pointer = pointer;
    this.#members = members;
  }

  get state(): "open" | "flipped" | "abandoned" {
    return this.#state;
  }

  /**
   * For the structures: fills a passive side; a failure abandons the whole change.
   *
   * @param fill given the passive side
   */
  fill(structure: number, fill: (side: Side) => void): void {
    this.#filled.add(structure);
    try {
      fill(this.#pointer.passive);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /**
   * Puts everything that was filled in force, in one store; structures that were not filled keep their values. More
   * than once does no harm.
   *
   * @returns the generation of the values
   * @throws {Error} when it was abandoned
   * @throws {SystemError} nothing is in force then, and the change is abandoned
   */
  flip(): number {
    if (this.#state === "abandoned") throw new Error("Cannot flip: the change was abandoned");
    if (this.#state === "flipped") return this.#generation;
    const { active, passive } = this.#pointer;
    for (const [structure, member] of this.#members) {
      if (!this.#filled.has(structure)) this.fill(structure, () => member.copySide(active, passive));
    }
    this.#generation = this.#pointer.publish();
    this.#state = "flipped";
    this.#pointer.release(this);
    return this.#generation;
  }

  /** Leaves what is in force and empties what was filled. After `flip`, or more than once, it does nothing. */
  abandon(): void {
    if (this.#state !== "open") return;
    this.#state = "abandoned";
    try {
      for (const structure of this.#filled) this.#clear(structure);
    } finally {
      this.#pointer.release(this);
    }
  }

  #clear(structure: number): void {
    try {
      this.#members.get(structure)!.clear(otherSide(this.#pointer.active));
    } catch {
      // Nobody sees the passive side, and whoever fills it next empties it first.
    }
  }

  /** Returns when no running program can still see the values that were in force before. @throws {SystemError} */
  quiesce(): void {
    if (this.#state === "flipped") this.#pointer.quiesce();
  }

  /** `quiesce` without blocking this thread. @throws {SystemError} */
  async quiesced(): Promise<void> {
    if (this.#state === "flipped") await this.#pointer.quiesced();
  }

  [Symbol.dispose](): void {
    this.abandon();
  }
}
