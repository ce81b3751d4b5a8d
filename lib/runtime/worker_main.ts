/// <reference lib="deno.worker" />
/** A worker's own end: handles requests one after another, holds one run at a time, and reports failures. */
import { exitCodeOf, refusalOf } from "./errors.ts";
import type { WorkerFailure } from "./worker_handle.ts";

function textOf(error: unknown): string {
  return (error instanceof Error && error.stack) || String(error);
}

/**
 * The failure that an error is reported as. Its detail is the log of the system call that failed, or else the stack.
 */
function failureOf(error: unknown): WorkerFailure {
  const message = error instanceof Error ? error.message : String(error);
  const log = refusalOf(error)?.log;
  return { message, exitCode: exitCodeOf(error), detail: log || (error instanceof Error && error.stack) || "" };
}

export class WorkerMain<Request, Run extends Disposable> {
  /**
   * The work between `start` and `stop`, which owns everything that the worker holds in the kernel; undefined before
   * and after.
   */
  run: Run | undefined;
  #handled: Promise<void> = Promise.resolve();

  /** Runs an action. When it throws, the run ends, everything is freed, and the main thread gets a `failed` report. */
  async guarded(action: () => void | Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      const failure = failureOf(error);
      try {
        this.end();
      } catch (second) {
        // What came first is the reason.
        failure.detail += `\nAfter that, nothing could be freed cleanly: ${textOf(second)}`;
      }
      self.postMessage({ kind: "failed", failure });
    }
  }

  /** Ends the run and frees what it holds. */
  end(): void {
    const { run } = this;
    // Not twice, even if it throws.
    this.run = undefined;
    run?.[Symbol.dispose]();
  }

  /**
   * Handles requests from now on, each after the one before is done: a `stop` that arrives during the start waits for
   * it.
   */
  serve(handle: (request: Request) => void | Promise<void>): void {
    self.onmessage = (event: MessageEvent<Request>) => {
      this.#handled = this.#handled.then(() => this.guarded(() => handle(event.data)));
    };
  }
}
