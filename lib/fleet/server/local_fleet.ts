/**
 * A fleet with one server. Batches are acknowledged once they are in the server's store, and correlation reads them
 * from there. A server that dies therefore loses nothing: the next run continues at the last checkpoint, reads the
 * batches after it again, and arrives at the same groups with the same ids.
 */
import type { Correlator } from "../correlation/correlator.ts";
import { CORRELATION_READER } from "./database.ts";
import type { CorrelatedGroup } from "../correlation/correlated_group.ts";
import { storedGroup, untracedGroup } from "./group_json.ts";
import type { GroupLedger, GroupRecorder } from "./group_recorder.ts";
import type { BatchSource, ReceivedBatch } from "../received_batch.ts";
import type { FleetStore } from "./fleet_store.ts";
import { newBatch } from "./new_batch.ts";
import type { FleetStoreHandle } from "./store_handle.ts";

const PARTITION = 0;
/** Batches that are read from the log at a time. */
const READ_BATCHES = 64;
const CHECKPOINT_MS = 15_000;
const ADVANCE_MS = 1000;
const RETRY_MS = 1000;

/**
 * The state of a checkpoint in the store; empty, which is no valid state, where another version left something else.
 */
function stateOf(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return new Uint8Array(0);
  }
}

/**
 * A ledger that keeps groups in the store. @param withTraces whether traces of the groups are sent, by this run or the
 * next one
 */
export function storeLedger(store: FleetStoreHandle, { withTraces }: { withTraces: boolean }): GroupLedger {
  const stored = withTraces ? untracedGroup : storedGroup;
  return {
    record: (_partition: number, groups: CorrelatedGroup[]) =>
      store.call("addGroups", { groups: groups.map(stored), checkpoint: null }),
  };
}

export class LocalFleet implements FleetStore {
  readonly #store: FleetStoreHandle;
  readonly #correlator: Correlator;
  readonly #recorder: GroupRecorder;
  readonly #notice: (text: string) => void;
  #lastPosition = 0;
  #readPosition = 0;
  #savedPosition = 0;
  #wake: () => void = () => {};

  constructor(
    parts: { store: FleetStoreHandle; correlator: Correlator; recorder: GroupRecorder },
    notice: (text: string) => void,
  ) {
    this.#store = parts.store;
    this.#correlator = parts.correlator;
    this.#recorder = parts.recorder;
    this.#notice = notice;
  }

  /** Batches that are stored and that correlation has not read yet. */
  get lagBatches(): number {
    return Math.max(0, this.#lastPosition - this.#readPosition);
  }

  lastSequences(source: BatchSource): ReturnType<FleetStore["lastSequences"]> {
    return this.#store.call("lastSequences", { source });
  }

  async accept(batches: readonly ReceivedBatch[]): Promise<void> {
    this.#lastPosition = await this.#store.accept(batches.map(newBatch));
    this.#wake();
  }

  /** Feeds the correlation from the log until `signal` aborts, and then writes a checkpoint. */
  async follow(signal: AbortSignal): Promise<void> {
    const saved = await this.#store.call("checkpoint", { reader: CORRELATION_READER });
    this.#readPosition = this.#savedPosition = saved?.position ?? 0;
    await this.#correlator.open(PARTITION, this.#readPosition, saved && stateOf(saved.state));
    let checkpointDueMs = performance.now() + CHECKPOINT_MS;
    const wake = () => this.#wake();
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        const taken = await this.#step();
        if (performance.now() >= checkpointDueMs) {
          await this.#checkpoint();
          checkpointDueMs = performance.now() + CHECKPOINT_MS;
        }
        if (taken > 0 || signal.aborted) continue;
        this.#correlator.advance(PARTITION);
        await this.#pause(ADVANCE_MS);
      }
      await this.#checkpoint();
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  /** Reads some batches. @returns the number of batches */
  async #step(): Promise<number> {
    try {
      const batches = await this.#store.call("read", { after: this.#readPosition, limit: READ_BATCHES });
      if (batches.length > 0) {
        await this.#correlator.add(PARTITION, batches);
        this.#readPosition = batches.at(-1)!.position;
      }
      return batches.length;
    } catch (error) {
      // Without its worker there is nothing to go on with, and whoever runs this hears of that.
      this.#notice(`the log of batches cannot be read: ${(error as Error).message}`);
      await this.#pause(RETRY_MS);
      return 1;
    }
  }

  /** Writes a checkpoint, after the groups that were closed before it have been recorded. */
  async #checkpoint(): Promise<void> {
    if (this.#readPosition === this.#savedPosition) return;
    try {
      const { position, state } = await this.#correlator.checkpoint(PARTITION);
      await this.#recorder.settled();
      // What it gave up comes again from the last checkpoint on.
      if (this.#recorder.stopped) return;
      const checkpoint = { reader: CORRELATION_READER, position, state: state.toBase64() };
      await this.#store.call("addGroups", { groups: [], checkpoint });
      this.#savedPosition = position;
    } catch (error) {
      this.#notice(`correlation's state is not saved: ${(error as Error).message}`);
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }
}
