/** Whether a record is what its header says: the same judgement as that of EventDecoder, without decoding it. */
import { AF_INET, AF_INET6, AF_UNIX } from "../net/address_family.ts";
import {
  CONNECT_PAYLOAD,
  EVENT,
  EVENT_TYPE,
  EXEC_PAYLOAD,
  EXIT_PAYLOAD,
  OPEN_PAYLOAD,
  TCP_PAYLOAD,
  VIOLATION_KIND,
  VIOLATION_PAYLOAD,
} from "../wire/layouts.gen.ts";
import { RINGS, SEVERITIES } from "./event.ts";
import type { EventBatch } from "./event_batch.ts";

const AT = EVENT.fields;
/** States of a TCP socket, NONE included. */
const TCP_STATES = 13;

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
  if (type >= EVENT_TYPE.EVENT_TYPES) return `type ${type} is unknown`;
  const severity = bytes[at + AT.severity.offset];
  if (severity >= SEVERITIES.length) return `severity ${severity} is unknown`;
  const ring = bytes[at + AT.home_ring.offset];
  if (ring >= RINGS.length) return `ring ${ring} is unknown`;
  if (isSoundPayload(batch, i, type)) return null;
  return `payload of ${payloadBytes} bytes is none of type ${type}`;
}

function isSoundPayload(batch: EventBatch, i: number, type: number): boolean {
  const { data } = batch;
  const start = batch.offsets[i] + EVENT.size;
  const lengthBytes = batch.lengths[i] - EVENT.size;
  switch (type) {
    case EVENT_TYPE.EVENT_PROCESS_EXEC: {
      if (lengthBytes < EXEC_PAYLOAD.size) return false;
      const { filename_len, args_len } = EXEC_PAYLOAD.fields;
      const texts = data.getUint16(start + filename_len.offset, true) + data.getUint16(start + args_len.offset, true);
      return EXEC_PAYLOAD.size + texts === lengthBytes;
    }
    case EVENT_TYPE.EVENT_PROCESS_EXIT:
      return lengthBytes === EXIT_PAYLOAD.size;
    case EVENT_TYPE.EVENT_FILE_OPEN:
      return lengthBytes >= OPEN_PAYLOAD.size;
    case EVENT_TYPE.EVENT_NETWORK_CONNECT: {
      if (lengthBytes < CONNECT_PAYLOAD.size) return false;
      const family = data.getUint16(start + CONNECT_PAYLOAD.fields.family.offset, true);
      return family === AF_UNIX || (isInternet(family) && lengthBytes === CONNECT_PAYLOAD.size);
    }
    case EVENT_TYPE.EVENT_TCP_STATE: {
      const { family, old_state, new_state } = TCP_PAYLOAD.fields;
      return lengthBytes === TCP_PAYLOAD.size && isInternet(data.getUint16(start + family.offset, true)) &&
        data.getUint8(start + old_state.offset) < TCP_STATES && data.getUint8(start + new_state.offset) < TCP_STATES;
    }
    default:
      return lengthBytes >= VIOLATION_PAYLOAD.size &&
        data.getUint16(start + VIOLATION_PAYLOAD.fields.kind.offset, true) < VIOLATION_KIND.VIOLATION_KINDS;
  }
}

function isInternet(family: number): boolean {
  return family === AF_INET || family === AF_INET6;
}
