/**
 * The main thread's handle on the aggregator worker: requests out, reports in, in order.
 */
import { workerUrl } from "../worker_url.ts";
import type { AggregatorOptions, AggregatorReport, AggregatorRequest, WorkerFailure } from "./protocol.ts";

/** What the worker said that ended it. Carries its exit code and the log for `--debug`. */
export class AggregatorError extends Error {
  override readonly name = "AggregatorError";
  readonly failure: WorkerFailure;

  constructor(failure: WorkerFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

export class Aggregator implements Disposable {
  readonly #worker: Worker;
  #reports: AggregatorReport[] = [];
  #wake: () => void = () => {};
  #stopping = false;

  /** Starts the worker and attaches; the first report is `ready` or `failed`. */
  constructor(options: AggregatorOptions) {
    this.#worker = new Worker(workerUrl("aggregate"), { type: "module", name: "aggregate" });
    this.#worker.onmessage = (event: MessageEvent<AggregatorReport>) => this.#push(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const message = `Cannot go on: the aggregator worker failed: ${event.message}`;
      this.#push({
        kind: "failed",
        failure: { message, exitCode: 1, detail: `${event.filename}:${event.lineno}` },
      });
    };
    this.#send({ kind: "start", options });
  }

  #send(request: AggregatorRequest): void {
    this.#worker.postMessage(request);
  }

  #push(report: AggregatorReport): void {
    this.#reports.push(report);
    this.#wake();
  }

  /**
   * Everything the worker reports until it has stopped.
   *
   * @throws {AggregatorError} when it failed
   */
  async *reports(): AsyncGenerator<Exclude<AggregatorReport, { kind: "failed" | "stopped" }>> {
    for (;;) {
      const report = this.#reports.shift();
      if (report === undefined) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      } else if (report.kind === "failed") {
        throw new AggregatorError(report.failure);
      } else if (report.kind === "stopped") {
        return;
      } else {
        yield report;
      }
    }
  }

  /** Asks for a last window and a clean end; `reports` then finishes. More than once does no harm. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#send({ kind: "stop" });
  }

  /** Ends the worker. Whatever it still holds in the kernel goes with the process. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
