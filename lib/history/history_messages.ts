/** What crosses between the main thread and the history worker. Types only. */
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";

/** What a user can set about a store. */
export interface StoreOptions {
  path: string;
  /** Of the file and its write-ahead log. */
  bytesMax: number;
  /** Flows that are kept of each window. */
  rowsMax: number;
  /** How long windows are kept, by level. */
  keepNs: bigint[];
}

export type HistoryRequest =
  | { kind: "start"; options: StoreOptions }
  /** Answered by `stored` or `lost`, in order. */
  | { kind: "store"; windows: FlowWindow[] }
  | { kind: "stop" };

export type HistoryReport =
  | { kind: "ready" }
  | { kind: "stored"; windows: number; rows: number; evictedWindows: number; sizeBytes: number }
  /** None of the batch is in the store. */
  | { kind: "lost"; windows: number; rows: number; why: string }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
