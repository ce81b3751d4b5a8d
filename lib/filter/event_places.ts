/**
 * Where records hold what filters of events look at: the offsets in the descriptions of types, as tables by type, so
 * that a predicate allocates nothing. The records are ones that FilterStage found sound.
 */
import { isInternet } from "../events/types/family.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { type AnyDescription, DESCRIPTIONS_BY_NUMBER } from "../events/types/mod.ts";

/** By `enum event_type`: an offset from the start of a record; 0, where a header is, for none. */
function offsets(of: (description: AnyDescription) => number | undefined): Uint16Array {
  return Uint16Array.from(DESCRIPTIONS_BY_NUMBER, (description) => of(description) ?? 0);
}

const FAMILY = offsets(({ endpoints }) => endpoints?.family);
const SOURCE = offsets(({ endpoints }) => endpoints?.source?.address);
const SOURCE_PORT = offsets(({ endpoints }) => endpoints?.source?.port);
const DESTINATION = offsets(({ endpoints }) => endpoints?.destination.address);
const DESTINATION_PORT = offsets(({ endpoints }) => endpoints?.destination.port);
const PATH = offsets(({ path }) => path?.start);
const PATH_LENGTH = offsets(({ path }) => path?.lengthAt);

/** By `enum event_type`: an IP protocol, or 0 where it is not known. */
const PROTOCOL = Uint8Array.from(DESCRIPTIONS_BY_NUMBER, ({ endpoints }) => endpoints?.protocol ?? 0);

/** The IP protocol of event `i`; 0 where it has none or does not say. */
export function protocolOf(batch: EventBatch, i: number): number {
  return PROTOCOL[batch.type(i)];
}

/** AF_INET, AF_INET6, AF_UNIX; 0 for an event without addresses. */
export function familyOf(batch: EventBatch, i: number): number {
  const at = FAMILY[batch.type(i)];
  return at === 0 ? 0 : batch.data.getUint16(batch.offsets[i] + at, true);
}

/** Where in the batch the source address is; 0 for an event without one. */
export function sourceAt(batch: EventBatch, i: number): number {
  return placeOf(batch, i, SOURCE);
}

/** Where in the batch the destination address is; 0 for an event without one. */
export function destinationAt(batch: EventBatch, i: number): number {
  return placeOf(batch, i, DESTINATION);
}

/** -1 for an event without one. */
export function sourcePort(batch: EventBatch, i: number): number {
  return portOf(batch, i, SOURCE_PORT);
}

/** -1 for an event without one. */
export function destinationPort(batch: EventBatch, i: number): number {
  return portOf(batch, i, DESTINATION_PORT);
}

/** Where in the batch the path starts; 0 for an event without one. */
export function pathAt(batch: EventBatch, i: number): number {
  return placeOf(batch, i, PATH);
}

/** Behind the last byte of the path of an event that has one. */
export function pathEnd(batch: EventBatch, i: number): number {
  const lengthAt = PATH_LENGTH[batch.type(i)];
  if (lengthAt === 0) return batch.offsets[i] + batch.lengths[i];
  return pathAt(batch, i) + batch.data.getUint16(batch.offsets[i] + lengthAt, true);
}

function placeOf(batch: EventBatch, i: number, table: Uint16Array): number {
  const at = table[batch.type(i)];
  return at === 0 ? 0 : batch.offsets[i] + at;
}

/** Unix sockets have no port. */
function portOf(batch: EventBatch, i: number, table: Uint16Array): number {
  const at = table[batch.type(i)];
  return at !== 0 && isInternet(familyOf(batch, i)) ? batch.data.getUint16(batch.offsets[i] + at, true) : -1;
}
