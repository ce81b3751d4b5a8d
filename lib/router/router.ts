/** The main thread's handle on the router worker. */
import { after } from "../runtime/timers.ts";
import { WorkerError, WorkerHandle } from "../runtime/worker_handle.ts";
import type { HealthReport, RouterOptions, RouterReport, RouterRequest } from "./router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";

/** Why rules are not taken any more. */
const STOPPED = "the router has stopped";

const LATE = "it did not stop in time";

type RulesResult = Extract<RouterReport, { kind: "rules" }>["result"];

export class Router implements Disposable {
  readonly #worker: WorkerHandle<RouterRequest, RouterReport>;
  /** Who waits for an answer, in order. */
  readonly #asked: ((result: RulesResult) => void)[] = [];
  /** Nobody answers any more. */
  #ended = false;
  #health: HealthReport | null = null;
  #cancelDeadline: (() => void) | null = null;
  #left: bigint | null = null;

  /**
   * Starts the worker and attaches; the first report is `ready`.
   *
   * @param worker its module, for tests
   */
  constructor(options: RouterOptions, worker?: URL) {
    this.#worker = new WorkerHandle(worker ?? "router", { kind: "start", options });
  }

  /**
   * Records that were in the rings by its last report, where the worker was ended over what it was at; null where it was
   * not. How many of them it still sent on, nobody knows.
   */
  get left(): bigint | null {
    return this.#left;
  }

  /**
   * Everything the worker reports until it has stopped; the last one is a `health` whose equations hold exactly, unless
   * `left` says that it had to be ended.
   *
   * @throws {WorkerError} when it failed
   */
  async *reports(): AsyncGenerator<Exclude<RouterReport, { kind: "failed" | "rules" | "stopped" }>> {
    try {
      for (;;) {
        const report = await this.#worker.next();
        if (report.kind === "stopped") {
          // It did stop, and nobody read that in time.
          this.#left = null;
          yield { kind: "health", health: report.health };
          return;
        }
        if (report.kind === "health") this.#health = report.health;
        if (report.kind === "rules") this.#asked.shift()?.(report.result);
        else yield report;
      }
    } catch (error) {
      // A failure of its own comes before that.
      if (this.#left === null || !(error instanceof WorkerError && error.message.endsWith(LATE))) throw error;
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

  /**
   * Asks for what is left and a clean end; `reports` then finishes. More than once does no harm.
   *
   * @param deadlineMs from the first time, after which the worker is ended over what it is at
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

  /** Whoever waits for an answer is told that there is none. */
  [Symbol.dispose](): void {
    this.#end();
    this.#worker[Symbol.dispose]();
  }
}
