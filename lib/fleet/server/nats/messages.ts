/**
 * Batches as messages. What happens on one host goes whole to that host's partition; what speaks of connections goes once
 * more, to the partition of each connection. A message's id is made of the batch's place in its agent's sequence, so
 * that a batch which comes again, by whatever server, is in the stream once.
 */
import type { JsMsg } from "@nats-io/jetstream";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { CorrelationBatch } from "../../correlation/correlator_messages.ts";
import { Batch } from "../../proto/ebpfmon.gen.ts";
import { SEVERITIES } from "../../../events/event.ts";
import { recordNumber } from "../../sequences.ts";
import { type CorrelationPart, partitionKeys, partitionOf } from "../../correlation/partition.ts";
import { fleetRecords } from "../../correlation/fleet_records.ts";
import type { ReceivedBatch } from "../../received_batch.ts";
import { encodeContent, newBatch } from "../new_batch.ts";
import type { NewBatch } from "../store_messages.ts";
import { BATCH_SUBJECT, HEADERS } from "./streams.ts";

export interface BatchMessage {
  subject: string;
  id: string;
  headers: MsgHdrs;
  payload: Uint8Array;
}

/** Of one partition. */
export function batchSubject(partition: number): string {
  return `${BATCH_SUBJECT}.${partition}.>`;
}

/** Whole batches, of all partitions. */
export const WHOLE_BATCHES_SUBJECT = `${BATCH_SUBJECT}.*.host.>`;

/** The messages of a batch: the whole, and one for each partition that has connections of it. */
export function messagesOf(batch: ReceivedBatch, partitions: number): BatchMessage[] {
  const host = partitionOf({ part: "host", key: `host/${batch.agent}` }, partitions);
  const messages = [
    messageOf(batch, { partition: host, part: "host" }, batch.encoded ?? encodeContent(batch.content), null),
  ];
  for (const [partition, places] of connectionPlaces(batch, partitions)) {
    const payload = encodeContent(excerpt(batch.content, places));
    messages.push(messageOf(batch, { partition, part: "connection" }, payload, places));
  }
  return messages;
}

function messageOf(
  batch: ReceivedBatch,
  { partition, part }: { partition: number; part: CorrelationPart },
  payload: Uint8Array,
  places: number[] | null,
): BatchMessage {
  const { agent, spool, severity, sequence } = batch;
  const fields = headers();
  fields.set(HEADERS.agent, encodeURIComponent(agent));
  fields.set(HEADERS.spool, spool);
  fields.set(HEADERS.host, encodeURIComponent(batch.host));
  fields.set(HEADERS.version, encodeURIComponent(batch.version));
  fields.set(HEADERS.boot, encodeURIComponent(batch.bootId));
  fields.set(HEADERS.lane, severity);
  fields.set(HEADERS.sequence, String(sequence));
  fields.set(HEADERS.events, String(batch.events));
  fields.set(HEADERS.received, String(batch.receivedUnixMs));
  if (places !== null) fields.set(HEADERS.places, places.join(","));
  const name = encodeURIComponent(agent);
  return {
    subject: `${BATCH_SUBJECT}.${partition}.${part}.${subjectToken(agent)}`,
    id: `${name}/${spool}/${severity}/${sequence}/${part}/${partition}`,
    headers: fields,
    payload,
  };
}

/** A subject's tokens have neither dots, nor spaces, nor wildcards. */
function subjectToken(agent: string): string {
  return encodeURIComponent(agent).replaceAll(".", "%2E").replaceAll("*", "%2A");
}

/** By partition, where in the batch the records stand that speak of its connections. */
function connectionPlaces(batch: ReceivedBatch, partitions: number): Map<number, number[]> {
  const byPartition = new Map<number, number[]>();
  const first = recordNumber(batch.severity, batch.sequence, 0);
  const { content } = batch;
  // Of events only these name both ends; to make records of all takes as long as everything else together.
  const eventPlaces = content.events.flatMap(({ tcpState }, place) => tcpState === undefined ? [] : [place]);
  const events = eventPlaces.map((place) => content.events[place]);
  const placeOf = (index: number) => eventPlaces[index] ?? index - eventPlaces.length + content.events.length;
  for (const record of fleetRecords({ ...batch, content: { ...content, events } }).records) {
    const key = partitionKeys(record).find(({ part }) => part === "connection");
    if (key === undefined) continue;
    const partition = partitionOf(key, partitions);
    const places = byPartition.get(partition);
    const place = placeOf(record.sequence - first);
    if (places === undefined) byPartition.set(partition, [place]);
    else places.push(place);
  }
  return byPartition;
}

/** As much of a batch as stands at these places: events first, then the rows of its windows. */
function excerpt(content: Batch, places: readonly number[]): Batch {
  const taken = new Set(places);
  let place = 0;
  const events = content.events.filter(() => taken.has(place++));
  const windows = content.windows
    .map((window) => ({ ...window, interfaces: [], programs: [], top: window.top.filter(() => taken.has(place++)) }))
    .filter(({ top }) => top.length > 0);
  return { ...content, events, windows, health: [], alerts: [], raw: new Uint8Array(0), rawEvents: 0 };
}

/** What a message is to correlation. */
export function correlationBatch(message: JsMsg): CorrelationBatch {
  const places = field(message, HEADERS.places);
  const part = message.subject.split(".")[BATCH_SUBJECT.split(".").length + 1] as CorrelationPart;
  return {
    position: message.seq,
    agent: decodeURIComponent(field(message, HEADERS.agent)),
    severity: severityOf(message),
    sequence: Number(field(message, HEADERS.sequence)),
    receivedUnixMs: Number(field(message, HEADERS.received)),
    content: new Uint8Array(message.data),
    part,
    ...places !== "" && { places: places.split(",").map(Number) },
  };
}

/** What a message with a whole batch is to the store. */
export function storedBatch(message: JsMsg): NewBatch {
  const encoded = new Uint8Array(message.data);
  return newBatch({
    agent: decodeURIComponent(field(message, HEADERS.agent)),
    spool: field(message, HEADERS.spool),
    host: decodeURIComponent(field(message, HEADERS.host)),
    version: decodeURIComponent(field(message, HEADERS.version)),
    bootId: decodeURIComponent(field(message, HEADERS.boot)),
    severity: severityOf(message),
    sequence: Number(field(message, HEADERS.sequence)),
    events: Number(field(message, HEADERS.events)),
    receivedUnixMs: Number(field(message, HEADERS.received)),
    content: Batch.decode(encoded),
    encoded,
  });
}

function severityOf(message: JsMsg): ReceivedBatch["severity"] {
  const severity = SEVERITIES.find((severity) => severity === field(message, HEADERS.lane));
  if (severity === undefined) {
    throw new TypeError(`Cannot read message ${message.seq}: its header names no known severity`);
  }
  return severity;
}

/** Empty where there is none. */
function field(message: JsMsg, name: string): string {
  return message.headers?.get(name) ?? "";
}
