/** A worker's work on one partition: from the last checkpoint on, until the lease ends. */
import type { Correlator } from "../../correlation/correlator.ts";
import type { GroupRecorder } from "../group_recorder.ts";
import { whyNot } from "./connection.ts";
import { batchSubject, correlationBatch } from "./messages.ts";
import { BATCH_STREAM } from "./streams.ts";
import type { StreamReader, StreamReaderOptions } from "./reader.ts";
import type { PartitionStates } from "./states.ts";
import { delay } from "../../../runtime/timers.ts";

const CHECKPOINT_MS = 5000;
const ADVANCE_MS = 1000;
const RETRY_MS = 500;

export interface PartitionParts {
  /** Opens the partition's checkpoints; each attempt to work on it does so anew. */
  openStates: () => Pick<PartitionStates, "load" | "save">;
  openReader: (options: StreamReaderOptions) => Pick<StreamReader, "run" | "pending" | "caughtUp">;
  correlator: Pick<Correlator, "open" | "close" | "add" | "advance" | "checkpoint">;
  recorder: Pick<GroupRecorder, "settled" | "stopped">;
  notice: (text: string) => void;
  /** What this process did on the same partition before, until it is over: there is one engine for a partition. */
  before: Promise<void>;
}

export class PartitionRun {
  readonly partition: number;
  readonly #parts: PartitionParts;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #abandoned = false;
  #reader: ReturnType<PartitionParts["openReader"]> | null = null;
  #savedPosition = 0;

  constructor(partition: number, parts: PartitionParts) {
    this.partition = partition;
    this.#parts = parts;
    this.#running = this.#run();
  }

  /** Messages that wait. */
  get pending(): number {
    return this.#reader?.pending ?? 0;
  }

  /** Resolves when nothing goes on any more. */
  get ended(): Promise<void> {
    return this.#running;
  }

  /** Ends with a checkpoint, for whoever is next. */
  async finish(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Ends without one: somebody else may be at it already. */
  async abandon(): Promise<void> {
    this.#abandoned = true;
    await this.finish();
  }

  async #run(): Promise<void> {
    const { correlator, notice, before } = this.#parts;
    const { signal } = this.#stop;
    await before;
    while (!signal.aborted) {
      try {
        await this.#work(correlator);
      } catch (error) {
        if (!signal.aborted) notice(`partition ${this.partition} is not correlated: ${whyNot(error)}`);
      } finally {
        correlator.close(this.partition);
      }
      await delay(RETRY_MS, { signal });
    }
  }

  async #work(correlator: PartitionParts["correlator"]): Promise<void> {
    const { signal } = this.#stop;
    const states = this.#parts.openStates();
    const { position, state } = await states.load();
    this.#savedPosition = position;
    await correlator.open(this.partition, position, state);
    const reader = this.#parts.openReader({
      stream: BATCH_STREAM,
      subject: batchSubject(this.partition),
      name: `ebpfmon-correlate-${this.partition}`,
      from: position + 1,
      handle: (message) => correlator.add(this.partition, [correlationBatch(message)]),
      notice: this.#parts.notice,
    });
    this.#reader = reader;
    // Ends with this worker's turn, or when a checkpoint says that there is another one.
    const turn = new AbortController();
    const end = () => turn.abort();
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    const reading = reader.run(turn.signal);
    let failure: unknown = null;
    const timer = setInterval(() => {
      saving = saving.then(() => this.#checkpoint(states)).catch((error) => {
        failure = error;
        end();
      });
    }, CHECKPOINT_MS);
    let saving = Promise.resolve();
    const clock = setInterval(() => {
      if (reader.caughtUp) correlator.advance(this.partition);
    }, ADVANCE_MS);
    try {
      await reading;
    } finally {
      clearInterval(clock);
      clearInterval(timer);
      signal.removeEventListener("abort", end);
    }
    await saving;
    if (failure !== null) throw failure;
    await this.#checkpoint(states);
  }

  /** What was closed before it is recorded before it. */
  async #checkpoint(states: Pick<PartitionStates, "save">): Promise<void> {
    const { position, state } = await this.#parts.correlator.checkpoint(this.partition);
    if (position === this.#savedPosition || this.#abandoned) return;
    await this.#parts.recorder.settled();
    // What it gave up comes again from the last checkpoint on.
    if (this.#abandoned || this.#parts.recorder.stopped) return;
    await states.save(position, state);
    this.#savedPosition = position;
  }
}
