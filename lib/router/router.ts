/** The main thread's handle on the router worker. */
import { WorkerHandle } from "../worker_handle.ts";
import type { RouterOptions, RouterReport, RouterRequest, RuleSet } from "./protocol.ts";

type RulesResult = Extract<RouterReport, { kind: "rules" }>["result"];

export class Router implements Disposable {
  readonly #worker: WorkerHandle<RouterRequest, RouterReport>;
  /** Who waits for an answer, in order. */
  readonly #asked: ((result: RulesResult) => void)[] = [];

  /** Starts the worker and attaches; the first report is `ready`. */
  constructor(options: RouterOptions) {
    this.#worker = new WorkerHandle("router", { kind: "start", options });
  }

  /**
   * Everything the worker reports until it has stopped; the last one is a `health` whose equations hold exactly.
   *
   * @throws {WorkerError} when it failed
   */
  async *reports(): AsyncGenerator<Exclude<RouterReport, { kind: "failed" | "rules" | "stopped" }>> {
    try {
      for (;;) {
        const report = await this.#worker.next();
        if (report.kind === "stopped") {
          yield { kind: "health", health: report.health };
          return;
        }
        if (report.kind === "rules") this.#asked.shift()?.(report.result);
        else yield report;
      }
    } finally {
      for (const answer of this.#asked.splice(0)) answer({ error: "the router has stopped" });
    }
  }

  /**
   * Puts rules in force in the kernel, all in one instant. Answered while `reports` is read.
   *
   * @returns their generation
   * @throws {Error} why they cannot be; the old ones stay
   */
  async setRules(ruleSet: RuleSet): Promise<number> {
    const result = await new Promise<RulesResult>((resolve) => {
      this.#asked.push(resolve);
      this.#worker.send({ kind: "rules", ruleSet });
    });
    if ("error" in result) throw new Error(result.error);
    return result.generation;
  }

  /** Asks for what is left and a clean end; `reports` then finishes. More than once does no harm. */
  stop(): void {
    this.#worker.stop();
  }

  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}
