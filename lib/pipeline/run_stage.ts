/** Runs a stage over a batch: events that it throws on are taken out of the batch, and the others go on. */
import type { EventBatch } from "../events/event_batch.ts";
import type { Stage } from "./stage.ts";

/** An event that a stage threw on. Its record is lent by the batch. */
export interface Failure {
  stage: string;
  error: string;
  /** Index of the event in the batch as it was received. */
  source: number;
  record: Uint8Array<ArrayBuffer>;
}

/** Thrown by a stage that cannot go on at all: it ends the worker, not only the event. */
export class StageBroken extends Error {
  override readonly name = "StageBroken";
}

/**
 * Runs one stage over all events of a batch, then closes the gaps that dropped events leave.
 *
 * @param failed called for each event that the stage threw on
 * @throws {StageBroken} when the stage cannot go on
 */
export function runStage(stage: Stage, batch: EventBatch, failed: (failure: Failure) => void): void {
  batch.next = 0;
  for (;;) {
    try {
      stage.run(batch);
      break;
    } catch (error) {
      if (error instanceof StageBroken || batch.next >= batch.count) throw error;
      const i = batch.next++;
      const at = batch.offsets[i];
      failed({
        stage: stage.name,
        error: error instanceof Error ? error.message : String(error),
        source: batch.source[i],
        record: batch.bytes.subarray(at, at + batch.lengths[i]),
      });
      batch.drop(i);
    }
  }
  batch.settle();
}
