/** Whether a record is what its header says: the same judgement as that of EventDecoder, without decoding it. */
import { EVENT } from "../wire/layouts.gen.ts";
import { EVENT_TYPES, RINGS, SEVERITIES } from "./event.ts";
import type { EventBatch } from "./event_batch.ts";
import { isSoundPayload } from "./payload_check.ts";

const AT = EVENT.fields;

/** @returns what is wrong with event `i`, as in `length 95 is less than a header`; null when it is sound */
export function recordFault(batch: EventBatch, i: number): string | null {
  const { data, bytes } = batch;
  const at = batch.offsets[i];
  const length = batch.lengths[i];
  if (length < EVENT.size) return `length ${length} is less than a header`;
  if (at + length > bytes.length) return `length ${length} is more than there is`;
  const payloadBytes = length - EVENT.size;
  const dataLength = data.getUint32(at + AT.data_len.offset, true);
  if (dataLength !== payloadBytes) return `header says ${dataLength} bytes of payload, there are ${payloadBytes}`;
  const type = data.getUint16(at + AT.type.offset, true);
  if (type >= EVENT_TYPES.length) return `type ${type} is unknown`;
  const severity = bytes[at + AT.severity.offset];
  if (severity >= SEVERITIES.length) return `severity ${severity} is unknown`;
  const ring = bytes[at + AT.home_ring.offset];
  if (ring >= RINGS.length) return `ring ${ring} is unknown`;
  if (isSoundPayload(type, data, at + EVENT.size, payloadBytes)) return null;
  return `payload of ${payloadBytes} bytes is none of type ${type}`;
}
