/**
 * The main thread's end of a worker: requests out, reports in, in order, failures as errors. What a worker says and is
 * told is in the module of messages beside it.
 */
import { type WorkerName, workerUrl } from "./worker_url.ts";

/** An error as plain data. `exitCode`: 1 failed, 3 missing privilege, 4 the kernel lacks something. */
export interface WorkerFailure {
  message: string;
  exitCode: 1 | 3 | 4;
  /** Verifier log or stack, shown with `--debug` only. */
  detail: string;
}

/** What a worker said that ended it. Carries its exit code and the log for `--debug`. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly failure: WorkerFailure;

  constructor(failure: WorkerFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

type FailedReport = { kind: "failed"; failure: WorkerFailure };

/** What every worker is told in the end. */
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
   * @param module one of ours, or for tests the module itself
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

  /** Takes the worker for failed: `next` throws, once it has handed out what came before. */
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

  /** Asks for a clean end. More than once does no harm. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.send({ kind: "stop" });
  }

  /** The next report, once there is one. @throws {WorkerError} in the place of a `failed` report */
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

  /** Ends the worker. Whatever it still holds in the kernel goes with the process. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
