/** The contract of a stage: a function over a batch, without a clock, a thread or a descriptor of its own. */
import type { EventBatch } from "../events/event_batch.ts";

export const STAGES = ["filter", "enrich", "aggregate"] as const;
export type StageName = typeof STAGES[number];

export interface Stage {
  /** Of STAGES, or of a stage that somebody adds. */
  readonly name: string;
  /**
   * Works on events `batch.next` to `batch.count - 1`, advancing `batch.next` after each, and drops what goes no
   * further. Where it throws, the event at `batch.next` is the one that failed; the caller goes on behind it.
   */
  run(batch: EventBatch): void;
}
