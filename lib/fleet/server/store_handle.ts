/**
 * The main thread's end of the fleet's store. Batches that arrive from several agents while the disk is busy go into
 * the next commit together.
 */
import { PendingCalls } from "../../runtime/pending_calls.ts";
import { WorkerHandle } from "../../runtime/worker_handle.ts";
import type {
  Checkpoint,
  FleetStoreOptions,
  NewBatch,
  StoreCalls,
  StoreReport,
  StoreRequest,
} from "./store_messages.ts";

interface Waiting {
  batches: NewBatch[];
  position: Checkpoint | null;
  resolve: (last: number) => void;
  reject: (error: Error) => void;
}

export class FleetStoreHandle implements AsyncDisposable {
  /** Resolves when the worker has ended; rejects when it failed. */
  readonly ended: Promise<void>;
  readonly #worker: WorkerHandle<StoreRequest, StoreReport>;
  readonly #calls = new PendingCalls<unknown>("the store is closed");
  #waiting: Waiting[] = [];
  #committing = false;

  private constructor(worker: WorkerHandle<StoreRequest, StoreReport>) {
    this.#worker = worker;
    this.ended = this.#calls.endWith(() => this.#follow());
    // Whoever waits for an answer hears of it too.
    this.ended.catch(() => {});
  }

  /** @throws {WorkerError} when the store cannot be used */
  static async open(options: FleetStoreOptions): Promise<FleetStoreHandle> {
    const worker = new WorkerHandle<StoreRequest, StoreReport>("server", { kind: "start", options });
    try {
      await worker.next();
    } catch (error) {
      worker[Symbol.dispose]();
      throw error;
    }
    return new FleetStoreHandle(worker);
  }

  /**
   * Stores all of the batches or none.
   *
   * @param position for batches from another log, the position up to which that log has been read
   * @returns the last position of the store's log
   * @throws {Error} when the store cannot store them, or is closed
   */
  accept(batches: NewBatch[], position: Checkpoint | null = null): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.push({ batches, position, resolve, reject });
    if (!this.#committing) void this.#commit();
    return promise;
  }

  /** Calls the store. @throws {Error} when the call fails, or the store is closed */
  call<Name extends keyof StoreCalls>(
    name: Name,
    request: StoreCalls[Name]["request"],
  ): Promise<StoreCalls[Name]["answer"]> {
    const answer = this.#calls.ask((id) => this.#worker.send({ kind: "call", name, id, request } as StoreRequest));
    return answer as Promise<StoreCalls[Name]["answer"]>;
  }

  async #commit(): Promise<void> {
    this.#committing = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      const batches = waiting.flatMap(({ batches }) => batches);
      const position = waiting.findLast(({ position }) => position !== null)?.position ?? null;
      try {
        const last = await this.call("accept", { batches, position });
        for (const { resolve } of waiting) resolve(last);
      } catch (error) {
        for (const { reject } of waiting) reject(error as Error);
      }
    }
    this.#committing = false;
  }

  async #follow(): Promise<void> {
    for (;;) {
      const report = await this.#worker.next();
      switch (report.kind) {
        case "answer":
          this.#calls.answer(report.id, report.answer);
          break;
        case "refused":
          this.#calls.refuse(report.id, new Error(report.why));
          break;
        case "stopped":
          return;
        case "ready":
          break;
        default:
          report satisfies never;
      }
    }
  }

  /** Closes the store after all calls before have finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.stop();
    await this.ended.catch(() => {});
    this.#worker[Symbol.dispose]();
  }
}
