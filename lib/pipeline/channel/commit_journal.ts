/**
 * A journal that makes one step of a worker atomic, whenever the worker dies. In a step the records appended to the
 * outputs are published, the counters get their new values, and the input batch is committed, wholly or in part.
 *
 * The worker first writes the step down, and one store makes the entry valid. It then executes the step, each part of
 * which can be done twice, and clears the journal. After a worker's death `recover` executes a valid entry once more.
 * Without a valid entry nothing has happened: the appended records are discarded and the input is handed out again.
 */
import type { Channel, Receiver, Sender } from "./channel.ts";
import { SharedChannel, SharedReceiver, SharedSender } from "./shared_channel.ts";
import type { SlotPool, StepHook } from "./slot_pool.ts";

/** What a worker needs to open its journal. It can be posted to workers. */
export interface JournalDescription {
  kind: "journal";
  memory: SharedArrayBuffer;
  worker: number;
  /** Number of counters. */
  counters: number;
  /** Number of outputs. */
  outputs: number;
  /** The largest number of slots of any output. */
  slotsMax: number;
}

export interface JournalEnds {
  inputs: readonly Receiver[];
  /** Opened as `staged` where they are shared channels. */
  outputs: readonly Sender[];
}

// The memory: words, then doubles.
const VALID_WORD = 0;
const INPUT_WORD = 1;
const SLOT_WORD = 2;
const FIRST_WORD = 3;
const OUTPUTS_WORD = 4;
const NONE = -1;

/** The journal's memory, and the execution of the step in it. */
class JournalBlock {
  /** Values as of the last step. */
  readonly counters: Float64Array<SharedArrayBuffer>;
  readonly nextCounters: Float64Array<SharedArrayBuffer>;
  /** For each output, its total of refused records after the step. */
  readonly refused: Float64Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly worker: number;
  readonly #outputs: number;
  readonly #slotsMax: number;

  constructor({ memory, worker, counters, outputs, slotsMax }: JournalDescription) {
    this.worker = worker;
    this.#outputs = outputs;
    this.#slotsMax = slotsMax;
    this.words = new Int32Array(memory);
    const doublesAt = JournalBlock.wordsBytes(outputs, slotsMax);
    this.counters = new Float64Array(memory, doublesAt, counters);
    this.nextCounters = new Float64Array(memory, doublesAt + 8 * counters, counters);
    this.refused = new Float64Array(memory, doublesAt + 16 * counters, outputs);
  }

  static wordsBytes(outputs: number, slotsMax: number): number {
    const bytes = 4 * (OUTPUTS_WORD + outputs * (1 + slotsMax));
    return bytes + 7 & ~7;
  }

  /** Index of the word that holds an output's number of slots; the slots follow. */
  outputWord(output: number): number {
    return OUTPUTS_WORD + output * (1 + this.#slotsMax);
  }

  get valid(): boolean {
    return Atomics.load(this.words, VALID_WORD) === 1;
  }

  set valid(valid: boolean) {
    Atomics.store(this.words, VALID_WORD, valid ? 1 : 0);
  }

  /** Executes the step. A pool is null for a channel that is not a shared one. */
  apply(inputs: readonly (SlotPool | null)[], outputs: readonly (SlotPool | null)[], step?: StepHook): void {
    const { words, worker } = this;
    this.counters.set(this.nextCounters);
    step?.("counters stored");
    for (let output = 0; output < this.#outputs; output++) {
      const pool = outputs[output];
      if (pool === null) continue;
      pool.setCounter(worker, "refused", this.refused[output]);
      const at = this.outputWord(output);
      for (let i = 1; i <= words[at]; i++) pool.publish(words[at + i], worker);
    }
    step?.("outputs published");
    const slot = words[SLOT_WORD];
    const pool = words[INPUT_WORD] === NONE ? null : inputs[words[INPUT_WORD]];
    if (pool === null || slot === NONE) return;
    if (words[FIRST_WORD] === NONE) pool.free(slot, worker);
    else pool.commitFirst(slot, worker, words[FIRST_WORD]);
  }
}

export class CommitJournal {
  readonly #block: JournalBlock;
  readonly #ends: JournalEnds;
  readonly #inputPools: readonly (SlotPool | null)[];
  readonly #outputPools: readonly (SlotPool | null)[];
  readonly #step: StepHook | undefined;

  /**
   * Opens a journal that `create` made. After a worker's death `recover` has to be called first: the constructor does
   * not look at the step that the dead worker left.
   *
   * @param options.step called at each point at which the worker may die, for tests
   * @throws {RangeError} when the number of outputs is not the journal's
   */
  constructor(description: JournalDescription, ends: JournalEnds, options: { step?: StepHook } = {}) {
    if (ends.outputs.length !== description.outputs) {
      throw new RangeError(`Cannot open a journal of ${description.outputs} outputs with ${ends.outputs.length}`);
    }
    this.#block = new JournalBlock(description);
    this.#ends = ends;
    this.#inputPools = ends.inputs.map((input) => input instanceof SharedReceiver ? input.pool : null);
    this.#outputPools = ends.outputs.map((output) => output instanceof SharedSender ? output.pool : null);
    this.#step = options.step;
  }

  /** Makes the memory of a journal. @param options.outputs the channels that the worker sends to */
  static create(options: { worker: number; counters: number; outputs: readonly Channel[] }): JournalDescription {
    const { worker, counters } = options;
    const slots = options.outputs.map((output) => output instanceof SharedChannel ? output.description.slots : 0);
    const slotsMax = Math.max(0, ...slots);
    const outputs = slots.length;
    const bytes = JournalBlock.wordsBytes(outputs, slotsMax) + 8 * (2 * counters + outputs);
    return { kind: "journal", memory: new SharedArrayBuffer(bytes), worker, counters, outputs, slotsMax };
  }

  /** A view of the counters of a journal's worker, which changes as the worker goes on. */
  static counters(description: JournalDescription): Readonly<Float64Array<SharedArrayBuffer>> {
    return new JournalBlock(description).counters;
  }

  /**
   * Publishes the appended records, stores `counters` and commits the batch that the input handed out last.
   *
   * Only shared channels are part of the atomic step. Other channels are flushed and committed after it.
   *
   * @param counters the new values, not the increments
   * @param input index among the inputs; null when no batch was received
   * @param events commits only the first of them; absent: the whole batch
   */
  commit(counters: ArrayLike<number>, input: number | null, events?: number): void {
    const block = this.#block;
    const { words } = block;
    const { inputs, outputs } = this.#ends;
    block.nextCounters.set(counters);
    for (let i = 0; i < outputs.length; i++) {
      const output = outputs[i];
      if (!(output instanceof SharedSender)) continue;
      const { slots, refused } = output.takeStaged();
      block.refused[i] = refused;
      const at = block.outputWord(i);
      words[at] = slots.length;
      words.set(slots, at + 1);
    }
    const receiver = input === null ? null : inputs[input];
    const commit = receiver instanceof SharedReceiver ? receiver.takeCommit(events) : null;
    words[INPUT_WORD] = input ?? NONE;
    words[SLOT_WORD] = commit?.slot ?? NONE;
    words[FIRST_WORD] = commit?.first ?? NONE;
    this.#step?.("written");
    block.valid = true;
    this.#step?.("valid");
    block.apply(this.#inputPools, this.#outputPools, this.#step);
    this.#step?.("applied");
    block.valid = false;
    this.#step?.("cleared");
    for (const output of outputs) if (!(output instanceof SharedSender)) output.flush();
    if (receiver !== null && commit === null) receiver.commit(events);
  }

  /**
   * Finishes or undoes the last step of a worker that has ended, then recovers its channels. No two calls may overlap.
   *
   * @param channels in the order in which the worker had them
   * @returns records that are lost, because their channel cannot recover them
   */
  static recover(
    description: JournalDescription,
    channels: { inputs: readonly Channel[]; outputs: readonly Channel[] },
  ): number {
    const block = new JournalBlock(description);
    const pools = (list: readonly Channel[]) => list.map((one) => one instanceof SharedChannel ? one.pool : null);
    if (block.valid) block.apply(pools(channels.inputs), pools(channels.outputs));
    block.valid = false;
    let lost = 0;
    for (const channel of new Set([...channels.inputs, ...channels.outputs])) lost += channel.recover(block.worker);
    return lost;
  }
}
