/**
 * Decodes records to events, for consumers that look at each event. It is the only stage that builds strings for all of
 * them.
 */
import type { EventDecoder } from "../events/event_decoder.ts";
import type { EventBatch, Priority } from "../events/event_batch.ts";
import { CATEGORIES } from "../events/types/category.ts";
import { descriptionOf } from "../events/types/mod.ts";
import type { PipelineEvent } from "./pipeline_messages.ts";
import type { Stage } from "./stage.ts";

export class DecodeStage implements Stage {
  readonly name = "decode";
  readonly #decoder: EventDecoder;
  readonly #records: boolean;
  #events: PipelineEvent[] = [];

  /** @param options.records whether each event gets a copy of its record as the kernel wrote it */
  constructor(decoder: EventDecoder, options: { records?: boolean } = {}) {
    this.#decoder = decoder;
    this.#records = options.records ?? false;
  }

  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const i = batch.next;
      const event = this.#decoder.decode(batch.data, batch.offsets[i], batch.lengths[i]);
      if (event === null) throw new TypeError("Cannot decode a record: it contradicts itself");
      const { encoded: _encoded, ...process } = batch.process[i] ?? { encoded: null };
      const whole = event as PipelineEvent;
      whole.category = CATEGORIES[batch.category[i]];
      whole.priority = batch.priority[i] as Priority;
      whole.process = "pid" in process ? process : null;
      whole.service = descriptionOf(event.event).service?.(event) ?? "";
      if (this.#records) whole.record = batch.bytes.slice(batch.offsets[i], batch.offsets[i] + batch.lengths[i]);
      this.#events.push(whole);
    }
  }

  /** The events made since the last call. */
  take(): PipelineEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
