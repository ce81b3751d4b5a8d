/** The messages between the main thread and the worker that makes up events. Types only. */
import type { Lanes } from "../pipeline/channel/lanes.ts";
import type { WorkerFailure } from "../runtime/worker_handle.ts";

export interface SimulateOptions {
  events: number;
  /** Events a second; 0 for as many as the rings and the pipeline take. */
  rate: number;
  /** True: a BPF program puts the events into ring buffers. False: they are sent into the first channel directly. */
  kernel: boolean;
  output: Lanes;
  assetsDir: string;
}

/** Counters of a ring since the start. attempts = submitted + dropped; submitted = consumed once the run is over. */
export interface SimulatedRing {
  ring: "critical" | "normal" | "debug";
  attempts: bigint;
  submitted: bigint;
  dropped: bigint;
  consumed: number;
}

/** The result of a run. */
export interface SimulateResult {
  /** Events made. */
  events: number;
  /** Empty without the kernel. */
  rings: SimulatedRing[];
  /** Time from the first event until the last one was sent into the pipeline. */
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
