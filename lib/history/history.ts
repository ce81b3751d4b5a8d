/**
 * The main thread's end of the history: hands windows to the worker that owns the store, a batch at a time. While a
 * batch is on its way further windows wait, at most so many; what finds no place is dropped and counted. Nothing here
 * waits for the disk.
 */
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { WorkerError, WorkerHandle } from "../runtime/worker_handle.ts";
import type { HistoryReport, HistoryRequest, StoreOptions } from "./history_messages.ts";

/** Windows that wait: a minute of them. */
const QUEUE_MAX = 64;

/** Windows and the flows in them. `dropped`: they found no place in the queue, or the store could not take them. */
export interface HistoryCounts {
  windowsStored: number;
  rowsStored: number;
  windowsDropped: number;
  rowsDropped: number;
  /** Windows of any level that the limits of age and size cost. */
  windowsEvicted: number;
  /** Of the file. */
  sizeBytes: number;
  /** From handing the last batch to the worker to its answer; null before the first. */
  lastBatchSeconds: number | null;
}

export interface HistoryHandlers {
  /** Once when windows begin to be lost, once when they are stored again. */
  notice(text: string): void;
}

export class History implements Disposable {
  readonly #options: StoreOptions;
  readonly #handlers: HistoryHandlers;
  readonly #worker: WorkerHandle<HistoryRequest, HistoryReport>;
  readonly #queueMax: number;
  readonly #queue: FlowWindow[] = [];
  readonly #counts: HistoryCounts = {
    windowsStored: 0,
    rowsStored: 0,
    windowsDropped: 0,
    rowsDropped: 0,
    windowsEvicted: 0,
    sizeBytes: 0,
    lastBatchSeconds: null,
  };
  /** The batch that is with the worker; null for none. */
  #sent: { windows: number; rows: number } | null = null;
  /** When it was given one last, by the monotonic clock. */
  #sentMs = 0;
  #closing = false;
  /** Lost since the last notice; null while all is well. */
  #lostSince: number | null = null;
  #ended: Promise<void> = Promise.resolve();
  /** The worker has ended, for whatever reason. */
  #gone = false;

  private constructor(options: StoreOptions, handlers: HistoryHandlers, queueMax: number) {
    this.#options = options;
    this.#handlers = handlers;
    this.#queueMax = queueMax;
    this.#worker = new WorkerHandle("history", { kind: "start", options });
  }

  /**
   * Opens the store.
   *
   * @throws {WorkerError} when it cannot be used
   */
  static async open(options: StoreOptions, handlers: HistoryHandlers, queueMax = QUEUE_MAX): Promise<History> {
    const history = new History(options, handlers, queueMax);
    try {
      await history.#worker.next();
    } catch (error) {
      history[Symbol.dispose]();
      throw error;
    }
    history.#ended = history.#follow();
    // A notice that nobody can print is told to whoever closes this.
    history.#ended.catch(() => {});
    return history;
  }

  /** Keeps a window; returns at once. The window may be changed afterwards. */
  add(window: FlowWindow): void {
    if (this.#gone || this.#closing || this.#queue.length >= this.#queueMax) {
      this.#lose(this.#sizeOf([window]), this.#gone ? "the store is closed" : "the store does not keep up");
      return;
    }
    const { rowsMax } = this.#options;
    const { overflow } = window;
    this.#queue.push({
      ...window,
      top: window.top.slice(0, rowsMax + 1), // one more: how large the largest flow left out is
      ...overflow !== undefined && {
        overflow: { ...overflow, estimates: overflow.estimates.slice(0, rowsMax), prefixes: [] },
      },
      programs: [],
    });
    this.#send();
  }

  get counts(): HistoryCounts {
    return { ...this.#counts };
  }

  /** Waits until what was added is stored or lost, and the store is closed. More than once does no harm. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#sent === null) this.#worker.stop();
    await this.#ended;
  }

  #send(): void {
    if (this.#sent !== null || this.#queue.length === 0) return;
    const windows = this.#queue.splice(0);
    this.#sent = this.#sizeOf(windows);
    this.#sentMs = performance.now();
    this.#worker.send({ kind: "store", windows });
  }

  async #follow(): Promise<void> {
    try {
      for (;;) {
        const report = await this.#worker.next();
        if (report.kind === "stopped") break;
        this.#take(report);
      }
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      this.#handlers.notice(`history is off: ${error.message}`);
    } finally {
      this.#gone = true;
      const left = this.#sizeOf(this.#queue.splice(0));
      // A worker that failed does not say what became of its batch.
      left.windows += this.#sent?.windows ?? 0;
      left.rows += this.#sent?.rows ?? 0;
      this.#sent = null;
      this.#lose(left, "the store is closed");
    }
  }

  #take(report: Extract<HistoryReport, { kind: "ready" | "stored" | "lost" }>): void {
    this.#sent = null;
    switch (report.kind) {
      case "ready":
        return;
      case "stored":
        this.#counts.windowsStored += report.windows;
        this.#counts.rowsStored += report.rows;
        this.#counts.windowsEvicted += report.evictedWindows;
        this.#counts.sizeBytes = report.sizeBytes;
        this.#recovered();
        break;
      case "lost":
        this.#lose(report, report.why);
        break;
      default:
        report satisfies never;
    }
    this.#counts.lastBatchSeconds = (performance.now() - this.#sentMs) / 1000;
    this.#send();
    if (this.#closing && this.#sent === null) this.#worker.stop();
  }

  #sizeOf(windows: FlowWindow[]): { windows: number; rows: number } {
    const rows = windows.reduce((sum, { top }) => sum + Math.min(top.length, this.#options.rowsMax), 0);
    return { windows: windows.length, rows };
  }

  #lose({ windows, rows }: { windows: number; rows: number }, why: string): void {
    if (windows === 0) return;
    this.#counts.windowsDropped += windows;
    this.#counts.rowsDropped += rows;
    if (this.#lostSince === null && !this.#gone) {
      this.#handlers.notice(`history is not stored: ${why}; monitoring goes on, what is lost is counted`);
    }
    this.#lostSince = (this.#lostSince ?? 0) + windows;
  }

  #recovered(): void {
    if (this.#lostSince === null) return;
    this.#handlers.notice(`history is stored again; windows lost: ${this.#lostSince}`);
    this.#lostSince = null;
  }

  /** Ends the worker. What was committed is in the store. */
  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}
