/**
 * A pipeline one of whose workers never comes back from a stage, for pipeline_stuck_test.ts: a program of its own, since
 * nothing but its end ends that thread. It prints what came of it, and exits as main.ts does.
 */
import type { Placement } from "../../lib/pipeline/pipeline_messages.ts";
import { type PipelineStats, unaccounted } from "../../lib/pipeline/pipeline_stats.ts";
import { WorkerError } from "../../lib/runtime/worker_handle.ts";
import { outcomesOf, PipelineRun } from "./pipeline_run.ts";

export interface StuckRequest {
  placement: Placement;
  /** The node that has the worker, or how the names of several begin: one of them meets the event. */
  node: string;
  events: number;
  /** null: until the pipeline fails. */
  stopMs: number | null;
}

export interface StuckResult {
  /** null: there was none. */
  error: { message: string; exitCode: number } | null;
  notices: string[];
  in: number;
  outcomes: ReturnType<typeof outcomesOf>;
  unaccounted: number;
}

/** Far below what a run has by default. */
const HANG_MS = 1_000, THREAD_END_MS = 400;

async function failureOf(ended: Promise<unknown>): Promise<StuckResult["error"]> {
  try {
    await ended;
    return null;
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    return { message: error.message, exitCode: error.failure.exitCode };
  }
}

async function runStuck({ placement, node, events, stopMs }: StuckRequest): Promise<StuckResult> {
  const limits = stopMs === null ? { hangMs: HANG_MS, threadEndMs: THREAD_END_MS } : {};
  await using run = new PipelineRun({ placement, ...limits }, { kind: "spin", node, number: events / 2, deaths: 1 });
  await run.send(events);
  let stats: PipelineStats;
  let error: StuckResult["error"] = null;
  if (stopMs === null) {
    error = await failureOf(run.pipeline.failure);
    // Others are still at what they have: until their counters agree.
    stats = await run.until((stats) => unaccounted(stats) === 0);
  } else {
    // The event that it is stuck at is on its way there.
    await run.until(({ aggregated }) => aggregated > 0);
    stats = await run.stop(stopMs);
  }
  return {
    error,
    notices: run.notices,
    in: stats.in,
    outcomes: outcomesOf(stats),
    unaccounted: unaccounted(stats),
  };
}

if (import.meta.main) {
  const result = await runStuck(JSON.parse(Deno.args[0]));
  console.log(JSON.stringify(result));
  Deno.exit(result.error?.exitCode ?? 0);
}
