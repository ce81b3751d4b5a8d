/// <reference lib="deno.worker" />
/** A worker's own end: requests one after another, one run at a time, whatever fails as a report. */
import { exitCodeOf, refusalOf } from "./errors.ts";
import type { WorkerFailure } from "./worker_handle.ts";

function textOf(error: unknown): string {
  return (error instanceof Error && error.stack) || String(error);
}

/** The log of the system call that failed, or else the stack, becomes the detail. */
function failureOf(error: unknown): WorkerFailure {
  const message = error instanceof Error ? error.message : String(error);
  const log = refusalOf(error)?.log;
  return { message, exitCode: exitCodeOf(error), detail: log || (error instanceof Error && error.stack) || "" };
}

export class WorkerMain<Request, Run extends Disposable> {
  /** What goes on between `start` and `stop`; it owns everything that the worker holds in the kernel. */
  run: Run | undefined;
  #handled: Promise<void> = Promise.resolve();

  /** Whatever fails ends the run, frees everything and reaches the main thread as data. */
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

  /** Frees what the run holds. */
  end(): void {
    const { run } = this;
    // Not twice, even if it throws.
    this.run = undefined;
    run?.[Symbol.dispose]();
  }

  /** From now on each request is handled once the one before it is: a `stop` that comes during a start waits for it. */
  serve(handle: (request: Request) => void | Promise<void>): void {
    self.onmessage = (event: MessageEvent<Request>) => {
      this.#handled = this.#handled.then(() => this.guarded(() => handle(event.data)));
    };
  }
}
