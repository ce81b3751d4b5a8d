/** The main thread's end of the correlation worker. */
import type { CorrelatedGroup, CorrelationOptions, CorrelationRule } from "./correlated_group.ts";
import { PendingCalls } from "../../runtime/pending_calls.ts";
import { WorkerHandle } from "../../runtime/worker_handle.ts";
import type { CorrelateReport, CorrelateRequest, CorrelationBatch, PartitionStats } from "./correlator_messages.ts";

export interface CorrelatorHandlers {
  /** Groups that a partition closed: those of its batches come before `add` resolves. */
  groups(partition: number, groups: CorrelatedGroup[]): void;
  notice(text: string): void;
}

export interface CorrelatorOptions {
  rules: CorrelationRule[];
  options: Partial<CorrelationOptions>;
}

/** Where a partition is in the log of batches, and all that its engine knows. */
export interface Checkpoint {
  position: number;
  state: Uint8Array<ArrayBuffer>;
}

type Answer = Checkpoint | null;

export class Correlator implements AsyncDisposable {
  /** Resolves when the worker has ended; rejects when it failed. */
  readonly ended: Promise<void>;
  readonly #worker: WorkerHandle<CorrelateRequest, CorrelateReport>;
  readonly #handlers: CorrelatorHandlers;
  readonly #calls = new PendingCalls<Answer>("correlation has ended");
  #partitions: PartitionStats[] = [];
  #unknown = 0;

  constructor({ rules, options }: CorrelatorOptions, handlers: CorrelatorHandlers) {
    this.#handlers = handlers;
    this.#worker = new WorkerHandle("correlate", { kind: "start", rules, options });
    this.ended = this.#calls.endWith(() => this.#follow());
    // Whoever waits for an answer hears of it too.
    this.ended.catch(() => {});
  }

  /** As of a second ago at most. */
  get partitions(): readonly PartitionStats[] {
    return this.#partitions;
  }

  /** Records that this version does not understand. */
  get unknown(): number {
    return this.#unknown;
  }

  /** Begins a partition, anew or where a checkpoint says. */
  async open(partition: number, position: number, state: Checkpoint["state"] | null): Promise<void> {
    await this.#call((id) => ({ kind: "open", id, partition, position, state }));
  }

  /** Resolves when they are taken: then there is room for more. @throws {Error} where the partition is not open */
  async add(partition: number, batches: CorrelationBatch[]): Promise<void> {
    await this.#call((id) => ({ kind: "add", id, partition, batches }));
  }

  /** Time goes on: everything that came up to now has been added. To be told about once a second. */
  advance(partition: number): void {
    if (!this.#calls.ended) this.#worker.send({ kind: "advance", partition, unixMs: Date.now() });
  }

  /** All that is needed to go on from here, after a restart or elsewhere. @throws {Error} where it is not open */
  async checkpoint(partition: number): Promise<Checkpoint> {
    return (await this.#call((id) => ({ kind: "checkpoint", id, partition })))!;
  }

  close(partition: number): void {
    if (!this.#calls.ended) this.#worker.send({ kind: "close", partition });
  }

  #call(request: (id: number) => CorrelateRequest): Promise<Answer> {
    return this.#calls.ask((id) => this.#worker.send(request(id)));
  }

  async #follow(): Promise<void> {
    for (;;) {
      const report = await this.#worker.next();
      switch (report.kind) {
        case "ready":
          break;
        case "taken":
          this.#calls.answer(report.id, null);
          break;
        case "refused":
          this.#calls.refuse(report.id, new Error(report.why));
          break;
        case "checkpoint":
          this.#calls.answer(report.id, report);
          break;
        case "groups":
          this.#handlers.groups(report.partition, report.groups);
          break;
        case "stats":
          this.#partitions = report.partitions;
          this.#unknown = report.unknown;
          break;
        case "notice":
          this.#handlers.notice(report.text);
          break;
        case "stopped":
          return;
        default:
          report satisfies never;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.stop();
    await this.ended.catch(() => {});
    this.#worker[Symbol.dispose]();
  }
}
