/** The contract of a stage: a function over a batch of events that owns no timer, thread or file descriptor. */
import type { EventBatch } from "../events/event_batch.ts";

/** The standard stages, in the order in which events pass them. */
export const STAGES = ["filter", "enrich", "aggregate"] as const;
export type StageName = typeof STAGES[number];

export interface Stage {
  /** One of STAGES, or the name of an added stage. */
  readonly name: string;
  /**
   * Processes the events from `batch.next` to `batch.count - 1`, sets `batch.next` forward after each, and drops the
   * events that go no further. When it throws, the event at `batch.next` has failed; the caller goes on with the next
   * one.
   */
  run(batch: EventBatch): void;
}
