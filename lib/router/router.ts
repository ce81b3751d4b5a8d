/** The main thread's handle on the router worker. */
import { after } from "../runtime/timers.ts";
import { WorkerError, WorkerHandle } from "../runtime/worker_handle.ts";
import type { HealthReport, RouterOptions, RouterReport, RouterRequest } from "./router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";

/** Error text for a request to a router that has stopped. */
const STOPPED = "the router has stopped";

const LATE = "it did not stop in time";

type RulesResult = Extract<RouterReport, { kind: "rules" }>["result"];

export class Router implements Disposable {
  readonly #worker: WorkerHandle<RouterRequest, RouterReport>;
  /** Callers of `setRules` that wait for an answer, in the order of their requests. */
  readonly #asked: ((result: RulesResult) => void)[] = [];
  /** True once `reports` has finished: no request is answered after that. */
  #ended = false;
  #health: HealthReport | null = null;
  #cancelDeadline: (() => void) | null = null;
  #left: bigint | null = null;

  /**
   * Starts the worker, which attaches the programs; its first report is `ready`.
   *
   * @param worker module of another worker, for tests
   */
  constructor(options: RouterOptions, worker?: URL) {
    this.#worker = new WorkerHandle(worker ?? "router", { kind: "start", options });
  }

  /**
   * Records that were in the rings at the last report before the worker was terminated at the deadline of `stop`; null
   * where the worker stopped by itself. The worker may have sent some of them on before it ended.
   */
  get left(): bigint | null {
    return this.#left;
  }

  /**
   * Yields every report until the worker has stopped. The last one is a `health` report whose counters add up exactly,
   * unless the worker had to be terminated (`left`).
   *
   * @throws {WorkerError} when the worker failed
   */
  async *reports(): AsyncGenerator<Exclude<RouterReport, { kind: "failed" | "rules" | "stopped" }>> {
    try {
      for (;;) {
        const report = await this.#worker.next();
        if (report.kind === "stopped") {
          // The worker stopped in time; only its report was read too late.
          this.#left = null;
          yield { kind: "health", health: report.health };
          return;
        }
        if (report.kind === "health") this.#health = report.health;
        if (report.kind === "rules") this.#asked.shift()?.(report.result);
        else yield report;
      }
    } catch (error) {
      // An error of the worker itself is thrown, even when the deadline has passed as well.
      if (this.#left === null || !(error instanceof WorkerError && error.message.endsWith(LATE))) throw error;
    } finally {
      this.#end();
    }
  }

  /**
   * Puts rules in force in the kernel, all in one instant. The promise settles only while `reports` is being read.
   *
   * @returns the generation of the new rules
   * @throws {Error} when the worker refuses the rules, which leaves the old ones in force, or has stopped
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

  /**
   * Asks the worker to read what is left in the rings and to stop; `reports` then finishes. Further calls do nothing.
   *
   * @param deadlineMs after the first call: a worker that has not stopped by then is terminated
   */
  stop(deadlineMs: number): void {
    if (this.#ended) return;
    this.#worker.stop();
    this.#cancelDeadline ??= after(deadlineMs, () => this.#giveUp());
  }

  #giveUp(): void {
    this.#left = (this.#health?.rings ?? []).reduce((sum, ring) => sum + ring.submitted - ring.consumed, 0n);
    this.#worker[Symbol.dispose]();
    this.#worker.fail(LATE);
  }

  #end(): void {
    this.#ended = true;
    this.#cancelDeadline?.();
    for (const answer of this.#asked.splice(0)) answer({ error: STOPPED });
  }

  /** Terminates the worker. Pending calls of `setRules` fail. */
  [Symbol.dispose](): void {
    this.#end();
    this.#worker[Symbol.dispose]();
  }
}
