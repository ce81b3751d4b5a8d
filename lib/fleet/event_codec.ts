/** Events to their messages of ebpfmon.proto, and back. */

import * as proto from "./proto/ebpfmon.gen.ts";
import type { EventType, RouterEvent } from "../events/event.ts";
import { descriptionOf, DESCRIPTIONS_BY_NUMBER, EVENT_DESCRIPTIONS } from "../events/types/mod.ts";
import type { EnrichedEvent, EventEnrichment } from "./enriched_event.ts";
import { severityNumber, severityOf } from "./codec.ts";

/** The member of a message for a type of event: `processExec` for `process_exec`. */
type MemberOf<Name extends string> = Name extends `${infer Word}_${infer Rest}` ? `${Word}${Capitalize<MemberOf<Rest>>}`
  : Name;

/**
 * What a description has to do with the message of its type: properties, since the compiler compares methods less
 * strictly.
 */
interface Codec<Message> {
  toMessage: (event: never) => Message;
  fromMessage: (message: Message, isIncomplete: boolean) => unknown;
}
type CodecsOf<Descriptions extends readonly { name: EventType }[]> = {
  readonly [I in keyof Descriptions]: Codec<NonNullable<proto.Event[MemberOf<Descriptions[I]["name"]>]>>;
};

/** The members of a message by `enum event_type`. */
const MEMBERS = (EVENT_DESCRIPTIONS satisfies CodecsOf<typeof EVENT_DESCRIPTIONS>).map(({ name }) =>
  name.replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase()) as MemberOf<EventType>
);

/** Every message starts as a copy of this one: with the same members, whatever its type, it is faster to write. */
const { _unknownFields: _, ...EMPTY } = proto.Event.decode(new Uint8Array());

/** Most results are 0. */
function wide(value: number): bigint {
  return value === 0 ? 0n : BigInt(value);
}

export function encodeEvent({ event, enrichment }: EnrichedEvent): proto.Event {
  const { type, toMessage } = descriptionOf(event.event);
  const message: proto.Event = {
    ...EMPTY,
    type: type + 1,
    severity: severityNumber(event.severity),
    tsNs: event.tsNs,
    cpu: event.cpu,
    pid: event.pid,
    tid: event.tid,
    uid: event.uid,
    comm: event.comm,
    cgroupId: event.cgroupId,
    result: wide(event.result),
    weight: event.weight,
    repeats: event.repeats,
    firstNs: event.firstNs,
    spilled: event.spilled,
    rulesGeneration: event.rulesGeneration,
    unreadable: event.unreadable ?? false,
    incomplete: event.incomplete ?? false,
    enrichment: enrichment && encodeEnrichment(enrichment),
  };
  message[MEMBERS[type]] = toMessage(event) as never;
  return message;
}

/** @returns null for an event of a type or severity that this version does not know */
export function decodeEvent(message: proto.Event): EnrichedEvent | null {
  const description = DESCRIPTIONS_BY_NUMBER[message.type - 1];
  const severity = severityOf(message.severity);
  if (description === undefined || severity === null) return null;
  const detail = message[MEMBERS[description.type]];
  const payload = detail ? description.fromMessage(detail, message.incomplete) : null;
  if (payload === null) return null;
  const event = {
    event: description.name,
    severity,
    tsNs: message.tsNs,
    cpu: message.cpu,
    pid: message.pid,
    tid: message.tid,
    uid: message.uid,
    comm: message.comm,
    cgroupId: message.cgroupId,
    result: Number(message.result),
    weight: message.weight,
    repeats: message.repeats,
    firstNs: message.firstNs,
    spilled: message.spilled,
    rulesGeneration: message.rulesGeneration,
    ...(message.unreadable ? { unreadable: true as const } : {}),
    ...(message.incomplete ? { incomplete: true as const } : {}),
    ...payload,
  } as RouterEvent;
  return message.enrichment ? { event, enrichment: decodeEnrichment(message.enrichment) } : { event };
}

function encodeEnrichment(enrichment: EventEnrichment): proto.Enrichment {
  return {
    exe: enrichment.exe ?? "",
    ppid: enrichment.ppid,
    parentName: enrichment.parentName ?? "",
    user: enrichment.user ?? "",
    containerId: enrichment.containerId ?? "",
    podUid: enrichment.podUid ?? "",
    service: enrichment.service ?? "",
    category: enrichment.category ?? "",
    priority: enrichment.priority ?? 0,
  };
}

function decodeEnrichment(message: proto.Enrichment): EventEnrichment {
  const enrichment: EventEnrichment = {};
  if (message.exe) enrichment.exe = message.exe;
  if (message.ppid !== undefined) enrichment.ppid = message.ppid;
  if (message.parentName) enrichment.parentName = message.parentName;
  if (message.user) enrichment.user = message.user;
  if (message.containerId) enrichment.containerId = message.containerId;
  if (message.podUid) enrichment.podUid = message.podUid;
  if (message.service) enrichment.service = message.service;
  if (message.category) enrichment.category = message.category;
  if (message.priority) enrichment.priority = message.priority;
  return enrichment;
}
