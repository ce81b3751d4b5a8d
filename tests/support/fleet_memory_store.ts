/** A store that forgets when it goes: what a server accepted, in order. */
import { decodeEvent } from "../../lib/fleet/event_codec.ts";
import { type BySeverity, bySeverity } from "../../lib/fleet/by_severity.ts";
import type { BatchSource, ReceivedBatch } from "../../lib/fleet/received_batch.ts";
import type { FleetStore } from "../../lib/fleet/server/fleet_store.ts";
import { fleetEventNumber } from "./fleet_events.ts";

export class MemoryStore implements FleetStore {
  readonly batches: ReceivedBatch[] = [];
  readonly #last = new Map<string, BySeverity>();
  /** What accept waits for, or throws. */
  before: (batches: readonly ReceivedBatch[]) => Promise<void> = () => Promise.resolve();

  lastSequences(source: BatchSource): Promise<BySeverity> {
    return Promise.resolve(this.#last.get(key(source)) ?? bySeverity(0));
  }

  async accept(batches: readonly ReceivedBatch[]): Promise<void> {
    await this.before(batches);
    for (const batch of batches) {
      const last = this.#last.get(key(batch)) ?? bySeverity(0);
      last[batch.severity] = batch.sequence;
      this.#last.set(key(batch), last);
      this.batches.push(batch);
    }
  }

  /** Numbers of all events, in the order in which they were accepted. */
  get eventNumbers(): number[] {
    return this.batches.flatMap(({ content }) => content.events.map((event) => fleetEventNumber(decodeEvent(event)!)));
  }
}

function key({ agent, spool }: BatchSource): string {
  return `${agent} ${spool}`;
}
