/**
 * What crosses between the main thread and the aggregator worker. Types only: both sides import it, neither depends on
 * the other's code. Counts of one window are plain numbers (a window cannot reach 2^53 bytes); running totals and
 * nanoseconds are bigints.
 */
import type { AttachedInterface, FlowOptions } from "./flows/flow_options.ts";
import type { FlowWindow } from "./windows/flow_window.ts";
import type { LibbpfInfo } from "../ffi/libbpf.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";
import type { ActivityArrangement, ActivityOptions } from "./activity/activity_options.ts";
import type { ProcessWindow } from "./activity/process_window.ts";

/** Everything a user can set about aggregation. */
export interface AggregatorOptions extends FlowOptions {
  /** What to count of system calls; nothing where it is absent or null. Without interfaces, it is all that is counted. */
  activity?: ActivityOptions | null;
}

export type AggregatorRequest =
  | { kind: "start"; options: AggregatorOptions }
  /** Rank and choose processes like this from the next window on. */
  | { kind: "arrange"; arrangement: ActivityArrangement }
  /** End the current window now, drain it, detach, and answer `stopped`. */
  | { kind: "stop" };

export type AggregatorReport =
  | {
    kind: "ready";
    interfaces: AttachedInterface[];
    /** System calls are counted. */
    activity: boolean;
    startNs: bigint;
    notices: string[];
    libbpf: LibbpfInfo;
  }
  /** IPFIX messages, one after another, with every flow of the window that is reported next. */
  | { kind: "flow_records"; messages: ArrayBuffer }
  | { kind: "window"; window: FlowWindow }
  /** Follows the flows' window, where there is one. */
  | { kind: "activity"; window: ProcessWindow }
  /** Something that an operator should know. `alert` names its kind. */
  | { kind: "notice"; alert: string; message: string }
  /**
   * An interface is watched no more: it was deleted, or, where it `exists`, somebody detached what watched it. What it had
   * counted is in the windows all the same.
   */
  | { kind: "interface_gone"; iface: string; exists: boolean; remaining: number }
  | { kind: "stopped" }
  | { kind: "failed"; failure: WorkerFailure };
