/**
 * The history worker: owns the store. A batch that cannot be stored is lost and said to be; the next one is tried all
 * the same, so that a full disk costs what came while it was full and nothing more. The protocol is in history_messages.ts.
 */
/// <reference lib="deno.worker" />
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { WorkerMain } from "../runtime/worker_main.ts";
import type { HistoryReport, HistoryRequest, StoreOptions } from "./history_messages.ts";
import { SQLITE_BUSY, SQLITE_FULL, sqliteCode } from "./store_error.ts";
import { HistoryWriter } from "./writer.ts";

function report(message: HistoryReport): void {
  self.postMessage(message);
}

const main = new WorkerMain<HistoryRequest, Run>();

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  readonly #options: StoreOptions;
  /** undefined: it has to be opened again. */
  #writer: HistoryWriter | undefined;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#writer = new HistoryWriter(options);
  }

  store(windows: FlowWindow[]): void {
    try {
      if (this.#writer?.isGone()) this[Symbol.dispose]();
      this.#writer ??= new HistoryWriter(this.#options);
      const batch = this.#writer.store(windows);
      report({ kind: "stored", ...batch, sizeBytes: this.#writer.sizeBytes() });
    } catch (error) {
      // After these the connection is as good as before; after anything else a new one may be.
      const code = sqliteCode(error);
      if (code !== SQLITE_FULL && code !== SQLITE_BUSY) this[Symbol.dispose]();
      const rows = windows.reduce((sum, { top }) => sum + Math.min(top.length, this.#options.rowsMax), 0);
      report({ kind: "lost", windows: windows.length, rows, why: (error as Error).message });
    }
  }

  [Symbol.dispose](): void {
    this.#writer?.[Symbol.dispose]();
    this.#writer = undefined;
  }
}

main.serve((request) => {
  switch (request.kind) {
    case "start":
      main.run = new Run(request.options);
      report({ kind: "ready" });
      return;
    case "store":
      main.run?.store(request.windows);
      return;
    case "stop":
      main.end();
      report({ kind: "stopped" });
      return;
    default:
      request satisfies never;
  }
});
