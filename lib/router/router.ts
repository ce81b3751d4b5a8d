/** The main thread's handle on the router worker. */
import { WorkerHandle } from "../worker_handle.ts";
import type { RouterOptions, RouterReport, RouterRequest } from "./protocol.ts";

export class Router implements Disposable {
  readonly #worker: WorkerHandle<RouterRequest, RouterReport>;

  /** Starts the worker and attaches; the first report is `ready`. */
  constructor(options: RouterOptions) {
    this.#worker = new WorkerHandle("router", { kind: "start", options });
  }

  /**
   * Everything the worker reports until it has stopped; the last one is a `health` whose equations hold exactly. What
   * is not taken stays in the rings, but for critical events, which are never held up.
   *
   * @throws {WorkerError} when it failed
   */
  async *reports(): AsyncGenerator<Exclude<RouterReport, { kind: "failed" | "stopped" }>> {
    for (;;) {
      const report = await this.#worker.next();
      if (report.kind === "stopped") {
        yield { kind: "health", health: report.health };
        return;
      }
      yield report;
      if (report.kind === "events") this.#worker.send({ kind: "taken", reports: 1 });
    }
  }

  /** Asks for what is left and a clean end; `reports` then finishes. More than once does no harm. */
  stop(): void {
    this.#worker.stop();
  }

  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}
