/** Makes whole events of records, for whoever looks at each: the only stage that builds strings for all of them. */
import { serviceOf } from "../net/iana.ts";
import type { EventDecoder } from "../events/event_decoder.ts";
import type { RouterEvent } from "../events/event.ts";
import { CATEGORIES, type EventBatch, type Priority } from "../events/event_batch.ts";
import type { PipelineEvent } from "./pipeline_messages.ts";
import type { Stage } from "./stage.ts";

const PROTO_TCP = 6;

/** The service behind a connection's port, by the end that listens; empty where there is none. */
function serviceOfEvent(event: RouterEvent): string {
  if (event.event === "network_connect") return event.port === 0 ? "" : serviceOf(event.port, PROTO_TCP) ?? "";
  if (event.event !== "tcp_state") return "";
  return serviceOf(event.dport, PROTO_TCP) ?? serviceOf(event.sport, PROTO_TCP) ?? "";
}

export class DecodeStage implements Stage {
  readonly name = "decode";
  readonly #decoder: EventDecoder;
  readonly #records: boolean;
  #events: PipelineEvent[] = [];

  /** @param options.records each event keeps its record as the kernel wrote it */
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
      whole.service = serviceOfEvent(event);
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
