/** What crosses between the main thread and the worker that makes events up. */
import type { Lanes } from "../pipeline/channel/lanes.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";

export interface SimulateOptions {
  events: number;
  /** Events a second; 0 for as fast as the rings and the pipeline take them. */
  rate: number;
  /** Events go through ring buffers, put there by a BPF program. Otherwise straight into the first channel. */
  kernel: boolean;
  output: Lanes;
  assetsDir: string;
}

/** Of a ring, since the start. attempts = submitted + dropped; submitted = consumed once the run is over. */
export interface SimulatedRing {
  ring: "critical" | "normal" | "debug";
  attempts: bigint;
  submitted: bigint;
  dropped: bigint;
  consumed: number;
}

/** What a run made. */
export interface SimulateResult {
  /** Events made. */
  events: number;
  /** Empty without the kernel. */
  rings: SimulatedRing[];
  /** From the first event to the last one sent into the pipeline. */
  seconds: number;
}

export type SimulateRequest =
  | { kind: "start"; options: SimulateOptions }
  /** Make no more events. */
  | { kind: "stop" };

export type SimulateReport =
  | { kind: "ready" }
  | { kind: "stopped"; result: SimulateResult }
  | { kind: "failed"; failure: WorkerFailure };
