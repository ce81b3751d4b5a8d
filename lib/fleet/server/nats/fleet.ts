/**
 * One server of several. What agents send goes to JetStream and is acknowledged when that has it; every server's store
 * reads all of it from there, groups included, so that each answers for the whole fleet. Correlation is shared out by
 * partitions among those that correlate.
 */
import type { Correlator } from "../../correlation/correlator.ts";
import { bySeverity } from "../../by_severity.ts";
import type { GroupLedger, GroupRecorder } from "../group_recorder.ts";
import type { FleetStore } from "../fleet_store.ts";
import type { ReceivedBatch } from "../../received_batch.ts";
import { LIMIT_DEFAULTS } from "../limits.ts";
import type { NatsCounts } from "../metrics.ts";
import type { FleetStoreHandle } from "../store_handle.ts";
import { NatsLink } from "./connection.ts";
import { groupOf, NatsLedger } from "./group_ledger.ts";
import { Leases } from "./leases.ts";
import { type BatchMessage, messagesOf, storedBatch, WHOLE_BATCHES_SUBJECT } from "./messages.ts";
import { PartitionRun } from "./partition_run.ts";
import { PartitionStates } from "./states.ts";
import { BATCH_STREAM, GROUP_STREAM, GROUP_SUBJECT, type NatsOptions, PUBLISH_MS } from "./streams.ts";
import { StreamReader } from "./reader.ts";

const PUBLISH_RETRIES = 3;
const BATCH_READER = "nats batches";
const GROUP_READER = "nats groups";
/** Of headers and subject, in a message. */
const ENVELOPE_BYTES_MAX = 16 * 1024;

export class NatsFleet implements AsyncDisposable {
  readonly #link: NatsLink;
  readonly #options: NatsOptions;
  readonly #local: FleetStoreHandle | null;
  readonly #notice: (text: string) => void;
  /** Tells this process's consumers from those of others. */
  readonly #process = crypto.randomUUID().slice(0, 8);
  readonly #partitions = new Map<number, PartitionRun>();
  /** Ended, and not over yet. */
  readonly #ending = new Set<Promise<void>>();
  #leases: Leases | null = null;
  #published = 0;
  #duplicates = 0;
  #failures = 0;

  private constructor(
    link: NatsLink,
    options: NatsOptions,
    parts: { store: FleetStoreHandle | null; notice: (text: string) => void },
  ) {
    this.#link = link;
    this.#options = options;
    this.#local = parts.store;
    this.ledger = new NatsLedger(link);
    this.#notice = parts.notice;
  }

  /** @throws {Error} when there is no JetStream to share */
  static async connect(
    options: NatsOptions,
    parts: { store: FleetStoreHandle | null; notice: (text: string) => void },
  ): Promise<NatsFleet> {
    return new NatsFleet(await NatsLink.open(options, parts.notice), options, parts);
  }

  /** Where batches of agents go. */
  readonly store: FleetStore = {
    // Another server may have taken what this one does not know of: the stream leaves out what it has.
    lastSequences: () => Promise.resolve(bySeverity(0)),
    accept: (batches) => this.#accept(batches),
  };

  /** Where groups go. */
  readonly ledger: GroupLedger;

  get lagBatches(): number {
    return [...this.#partitions.values()].reduce((sum, { pending }) => sum + pending, 0);
  }

  get nats(): NatsCounts {
    return {
      connected: this.#link.connected,
      publishedMessages: this.#published,
      duplicateMessages: this.#duplicates,
      publishFailures: this.#failures,
      partitions: this.#partitions.size,
      pendingMessages: this.lagBatches,
    };
  }

  /** Longest batch of an agent. */
  get messageBytesMax(): number {
    return Math.min(LIMIT_DEFAULTS.messageBytesMax, this.#link.payloadBytesMax - ENVELOPE_BYTES_MAX);
  }

  unready(): string | null {
    return this.#link.connected ? null : "no connection to NATS";
  }

  /** To be called before `run` where this process correlates. */
  correlateWith(correlator: Correlator, recorder: GroupRecorder): void {
    const { partitions } = this.#options;
    this.#leases = new Leases(this.#link, { partitions, worker: this.#process }, {
      acquired: (partition) => {
        const before = this.#partitions.get(partition)?.ended ?? Promise.resolve();
        const run = new PartitionRun(partition, {
          openStates: () => new PartitionStates(this.#link, partition),
          openReader: (options) => new StreamReader(this.#link, options),
          correlator,
          recorder,
          notice: this.#notice,
          before,
        });
        this.#partitions.set(partition, run);
      },
      lost: (partition) => {
        this.#notice(`partition ${partition} has gone to another worker`);
        void this.#end(partition, (run) => run.abandon());
      },
      release: (partition) => this.#end(partition, (run) => run.finish()),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#leases?.run(signal),
      this.#local && this.#followBatches(this.#local, signal),
      this.#local && this.#followGroups(this.#local, signal),
    ]);
    await Promise.all(this.#ending);
  }

  async #end(partition: number, end: (run: PartitionRun) => Promise<void>): Promise<void> {
    const run = this.#partitions.get(partition);
    if (run === undefined) return;
    const ending = end(run);
    this.#ending.add(ending);
    await ending;
    this.#ending.delete(ending);
    // Its lease may have come back in between.
    if (this.#partitions.get(partition) === run) this.#partitions.delete(partition);
  }

  async #accept(batches: readonly ReceivedBatch[]): Promise<void> {
    const messages = batches.flatMap((batch) => messagesOf(batch, this.#options.partitions));
    const results = await Promise.allSettled(messages.map((message) => this.#publish(message)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #publish({ subject, id, headers, payload }: BatchMessage): Promise<boolean> {
    try {
      const options = { msgID: id, headers, timeout: PUBLISH_MS, retries: PUBLISH_RETRIES };
      const { duplicate } = await this.#link.publish(subject, payload, options);
      if (duplicate) this.#duplicates++;
      else this.#published++;
      return !duplicate;
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  async #followBatches(store: FleetStoreHandle, signal: AbortSignal): Promise<void> {
    const reader = new StreamReader(this.#link, {
      stream: BATCH_STREAM,
      subject: WHOLE_BATCHES_SUBJECT,
      name: `ebpfmon-store-${this.#process}`,
      from: await this.#positionOf(store, BATCH_READER, BATCH_STREAM),
      handle: async (message, settled) => {
        const position = { reader: BATCH_READER, position: settled, state: "" };
        await store.accept([storedBatch(message)], position);
      },
      notice: this.#notice,
    });
    await reader.run(signal);
  }

  async #followGroups(store: FleetStoreHandle, signal: AbortSignal): Promise<void> {
    const reader = new StreamReader(this.#link, {
      stream: GROUP_STREAM,
      subject: `${GROUP_SUBJECT}.>`,
      name: `ebpfmon-groups-${this.#process}`,
      from: await this.#positionOf(store, GROUP_READER, GROUP_STREAM),
      handle: async (message, settled) => {
        const checkpoint = { reader: GROUP_READER, position: settled, state: "" };
        await store.call("addGroups", { groups: [groupOf(message)], checkpoint });
      },
      notice: this.#notice,
    });
    await reader.run(signal);
  }

  /** Behind what the store has; from the start again where the stream is another one. */
  async #positionOf(store: FleetStoreHandle, reader: string, stream: string): Promise<number> {
    const { state } = await this.#link.manager.streams.info(stream);
    const saved = await store.call("checkpoint", { reader });
    return saved === null || saved.position > state.last_seq ? 1 : saved.position + 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }
}
