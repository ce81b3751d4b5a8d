/** The main thread's handle on the router worker. */
import { WorkerHandle } from "../worker_handle.ts";
import type { RouterOptions, RouterReport, RouterRequest, RuleSet } from "./protocol.ts";

/** Why rules are not taken any more. */
const STOPPED = "the router has stopped";

type RulesResult = Extract<RouterReport, { kind: "rules" }>["result"];

export class Router implements Disposable {
  readonly #worker: WorkerHandle<RouterRequest, RouterReport>;
  /** Who waits for an answer, in order. */
  readonly #asked: ((result: RulesResult) => void)[] = [];
  /** Nobody answers any more. */
  #ended = false;

  /**
   * Starts the worker and attaches; the first report is `ready`.
   *
   * @param worker its module, for tests
   */
  constructor(options: RouterOptions, worker?: URL) {
    this.#worker = new WorkerHandle(worker ?? "router", { kind: "start", options });
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
      this.#end();
    }
  }

  /**
   * Puts rules in force in the kernel, all in one instant. Answered while `reports` is read.
   *
   * @returns their generation
   * @throws {Error} why they cannot be; the old ones stay
   */
  async setRules(ruleSet: RuleSet): Promise<number> {
    if (this.#ended) throw new Error(STOPPED);
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

  #end(): void {
    this.#ended = true;
    for (const answer of this.#asked.splice(0)) answer({ error: STOPPED });
  }

  /** Whoever waits for an answer is told that there is none. */
  [Symbol.dispose](): void {
    this.#end();
    this.#worker[Symbol.dispose]();
  }
}
