/**
 * The main thread's end of a worker: sends requests, hands out reports in their order, and throws failures as errors.
 * The types of a worker's requests and reports are in the module of messages beside the worker.
 */
import { type WorkerName, workerUrl } from "./worker_url.ts";

/** An error as plain data. `exitCode`: 1 failed, 3 missing privilege, 4 the kernel lacks something. */
export interface WorkerFailure {
  message: string;
  exitCode: 1 | 3 | 4;
  /** Verifier log or stack, shown with `--debug` only. */
  detail: string;
}

/** The failure that ended a worker, with its exit code and the log for `--debug`. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly failure: WorkerFailure;

  constructor(failure: WorkerFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

type FailedReport = { kind: "failed"; failure: WorkerFailure };

/** The last request to every worker. */
type StopRequest = { kind: "stop" };

export class WorkerHandle<Request, Report extends { kind: string }> implements Disposable {
  readonly #name: string;
  readonly #worker: Worker;
  readonly #reports: (Report | FailedReport)[] = [];
  #wake: () => void = () => {};
  #stopping = false;

  /**
   * Starts the worker and sends it its first request.
   *
   * @param module name of one of the product's workers, or the module of a worker that a test brings
   */
  constructor(module: WorkerName | URL, first: Request) {
    this.#name = module instanceof URL ? "test" : module;
    this.#worker = new Worker(module instanceof URL ? module : workerUrl(module), {
      type: "module",
      name: this.#name,
    });
    this.#worker.onmessage = (event: MessageEvent<Report | FailedReport>) => this.#push(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.fail(event.message, `${event.filename}:${event.lineno}`);
    };
    this.send(first);
  }

  /** Declares the worker failed: `next` throws, once it has handed out the reports from before. */
  fail(reason: string, detail = ""): void {
    const message = `Cannot go on: the ${this.#name} worker failed: ${reason}`;
    this.#push({ kind: "failed", failure: { message, exitCode: 1, detail } });
  }

  #push(report: Report | FailedReport): void {
    this.#reports.push(report);
    this.#wake();
  }

  send(request: Request | StopRequest): void {
    this.#worker.postMessage(request);
  }

  /** Asks the worker to end cleanly. Only the first call counts. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.send({ kind: "stop" });
  }

  /** Resolves with the next report. @throws {WorkerError} in the place of a `failed` report */
  async next(): Promise<Exclude<Report, FailedReport>> {
    for (;;) {
      const report = this.#reports.shift();
      if (report === undefined) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      } else if (report.kind === "failed") {
        throw new WorkerError((report as FailedReport).failure);
      } else {
        return report as Exclude<Report, FailedReport>;
      }
    }
  }

  /** Ends the worker at once. Its objects in the kernel stay until the process ends. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
