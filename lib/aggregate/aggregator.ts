/** The main thread's handle on the aggregator worker. */
import { WorkerHandle } from "../runtime/worker_handle.ts";
import type { ActivityArrangement } from "./activity/activity_options.ts";
import type { AggregatorOptions, AggregatorReport, AggregatorRequest } from "./aggregator_messages.ts";

export class Aggregator implements Disposable {
  readonly #worker: WorkerHandle<AggregatorRequest, AggregatorReport>;

  /** Starts the worker and attaches; the first report is `ready`. */
  constructor(options: AggregatorOptions) {
    this.#worker = new WorkerHandle("aggregate", { kind: "start", options });
  }

  /**
   * Everything the worker reports until it has stopped.
   *
   * @throws {WorkerError} when it failed
   */
  async *reports(): AsyncGenerator<Exclude<AggregatorReport, { kind: "failed" | "stopped" }>> {
    for (;;) {
      const report = await this.#worker.next();
      if (report.kind === "stopped") return;
      yield report;
    }
  }

  /** How the windows of process activity that are to come are arranged. */
  arrange(arrangement: ActivityArrangement): void {
    this.#worker.send({ kind: "arrange", arrangement });
  }

  /** Asks for a last window and a clean end; `reports` then finishes. More than once does no harm. */
  stop(): void {
    this.#worker.stop();
  }

  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}
