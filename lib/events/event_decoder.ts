/**
 * Ring records to events. Whatever the bytes are, it does not throw: a record that contradicts itself is null, and text
 * that is no UTF-8 is decoded as far as it goes.
 */
import { EVENT, EVENT_FLAG } from "../wire/layouts.gen.ts";
import type { Machine } from "../wire/syscalls.ts";
import { EVENT_TYPES, type EventBase, RINGS, type RouterEvent, SEVERITIES } from "./event.ts";
import { RecordView } from "./types/record_view.ts";
import { isSoundPayload } from "./payload_check.ts";
import { DESCRIPTIONS_BY_NUMBER } from "./types/mod.ts";

/** Offsets within a record; payloads start where the event ends. */
const AT = EVENT.fields;
const PAYLOAD_AT = EVENT.size;

/** By `enum event_type`. Functions alone: to look one up costs an index, and no property of objects that differ. */
const DECODE = DESCRIPTIONS_BY_NUMBER.map(({ decode }) => decode);

export class EventDecoder {
  readonly #record: RecordView;
  /** Of the last record, as a bigint and as its two halves: most records come from few cgroups. */
  #cgroup = { id: 0n, low: 0, high: 0 };

  /** @param machine whose system call numbers the records hold */
  constructor(machine: Machine) {
    this.#record = new RecordView(machine);
  }

  /**
   * @param lengthBytes of the record that starts at `offset`
   * @returns null when it is not one: also when its type is unknown
   */
  decode(data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): RouterEvent | null {
    if (lengthBytes < PAYLOAD_AT || offset + lengthBytes > data.byteLength) return null;
    if (data.getUint32(offset + AT.data_len.offset, true) !== lengthBytes - PAYLOAD_AT) return null;
    const type = data.getUint16(offset + AT.type.offset, true);
    const severity = data.getUint8(offset + AT.severity.offset);
    const homeRing = data.getUint8(offset + AT.home_ring.offset);
    if (type >= EVENT_TYPES.length || severity >= SEVERITIES.length || homeRing >= RINGS.length) return null;
    if (!isSoundPayload(type, data, offset + PAYLOAD_AT, lengthBytes - PAYLOAD_AT)) return null;

    const record = this.#record;
    const flags = data.getUint16(offset + AT.flags.offset, true);
    record.set(data, offset + PAYLOAD_AT, offset + lengthBytes, (flags & EVENT_FLAG.EVENT_TRUNCATED) !== 0);
    const tsNs = data.getBigUint64(offset + AT.ts_ns.offset, true);
    const event: EventBase = {
      event: EVENT_TYPES[type],
      severity: SEVERITIES[severity],
      tsNs,
      cpu: data.getUint16(offset + AT.cpu_full.offset, true),
      pid: data.getUint32(offset + AT.pid.offset, true),
      tid: data.getUint32(offset + AT.tid.offset, true),
      uid: data.getUint32(offset + AT.uid.offset, true),
      comm: record.textUpToNul(offset + AT.comm.offset, offset + AT.comm.offset + AT.comm.size),
      cgroupId: this.#cgroupId(data, offset + AT.cgroup_id.offset),
      result: record.signed64(offset + AT.result.offset),
      weight: data.getUint32(offset + AT.weight.offset, true),
      repeats: data.getUint32(offset + AT.repeats.offset, true),
      firstNs: sameWords(data, offset + AT.first_ns.offset, offset + AT.ts_ns.offset)
        ? tsNs
        : data.getBigUint64(offset + AT.first_ns.offset, true),
      spilled: (flags & EVENT_FLAG.EVENT_SPILLED) !== 0,
      rulesGeneration: data.getUint32(offset + AT.rules_generation.offset, true),
    };
    if ((flags & EVENT_FLAG.EVENT_UNREADABLE) !== 0) event.unreadable = true;
    if ((flags & EVENT_FLAG.EVENT_INCOMPLETE) !== 0) event.incomplete = true;
    DECODE[type](event as RouterEvent, record);
    return event as RouterEvent;
  }

  #cgroupId(data: DataView<ArrayBuffer>, at: number): bigint {
    const low = data.getUint32(at, true);
    const high = data.getUint32(at + 4, true);
    if (low !== this.#cgroup.low || high !== this.#cgroup.high) {
      this.#cgroup = { id: data.getBigUint64(at, true), low, high };
    }
    return this.#cgroup.id;
  }
}

/** Whether two 64-bit fields hold the same. */
function sameWords(data: DataView<ArrayBuffer>, a: number, b: number): boolean {
  return data.getInt32(a, true) === data.getInt32(b, true) && data.getInt32(a + 4, true) === data.getInt32(b + 4, true);
}
