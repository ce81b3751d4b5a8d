/** What the gRPC service needs of a store of batches. Types only. */
import type { BatchSource, ReceivedBatch } from "../received_batch.ts";
import type { BySeverity } from "../by_severity.ts";

/** A store of the batches that the gRPC service receives. */
export interface FleetStore {
  /** The highest stored sequence of each severity of a source; 0 for a severity without any. */
  lastSequences(source: BatchSource): Promise<BySeverity>;
  /**
   * Stores all of the batches in this order, or none of them. The service acknowledges the batches when the promise
   * resolves; when it rejects, the service ends the agent's stream, and the agent sends the batches again. There is at
   * most one call at a time for one agent.
   */
  accept(batches: readonly ReceivedBatch[]): Promise<void>;
}
