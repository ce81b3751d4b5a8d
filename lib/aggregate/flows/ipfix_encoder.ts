/**
 * From drained flow maps to IPFIX messages: every flow of a window, straight from the packed C structs. What the sender
 * alone knows, the export time and the sequence number, is left out.
 */
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE } from "../../wire/layouts.gen.ts";
import { PROTO_ICMP, PROTO_ICMP6 } from "../../net/iana.ts";
import type { MapBatch } from "../../wire/records.ts";
import { FLOW_TEMPLATES, MESSAGE_BYTES_MAX, RECORDS_AT, writeMessageHeader } from "./ipfix_layout.ts";

const KEYS = { 4: FLOW4_KEY, 6: FLOW6_KEY } as const;
const ICMP = { 4: PROTO_ICMP, 6: PROTO_ICMP6 } as const;
const VALUE = FLOW_VALUE.fields;
const TWO_TO_32 = 2 ** 32;
const EGRESS = 1;
const INITIAL_BYTES = 64 * 1024;

export interface IpfixEncoderOptions {
  /** Interface indexes by slot number. */
  ifindexOfSlot: readonly number[];
  /** Values a map entry holds: 1, or the number of CPUs for per-CPU maps. */
  valuesPerEntry: number;
}

/** When a flow's timer tick was, in milliseconds since the epoch. */
export type TickToUnixMs = (jiffies: number) => number;

/** A 64-bit counter of one window, which is exact as a number. */
function readCounter(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_TO_32;
}

function writeCounter(view: DataView, at: number, value: number): void {
  view.setUint32(at, value / TWO_TO_32);
  view.setUint32(at + 4, value % TWO_TO_32);
}

export class IpfixEncoder {
  readonly #options: IpfixEncoderOptions;
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  constructor(options: IpfixEncoderOptions) {
    this.#options = options;
  }

  /** Adds the flows of a batch in messages of their own. */
  addBatch(family: 4 | 6, batch: MapBatch, toUnixMs: TickToUnixMs): void {
    const template = FLOW_TEMPLATES[family];
    const recordsMax = Math.floor((MESSAGE_BYTES_MAX - RECORDS_AT) / template.recordBytes);
    const keys = new DataView(batch.keys.buffer, batch.keys.byteOffset, batch.keys.byteLength);
    const values = new DataView(batch.values.buffer, batch.values.byteOffset, batch.values.byteLength);
    for (let first = 0; first < batch.count; first += recordsMax) {
      const records = Math.min(recordsMax, batch.count - first);
      const messageBytes = RECORDS_AT + records * template.recordBytes;
      this.#makeRoom(messageBytes);
      writeMessageHeader(new DataView(this.#bytes.buffer, this.#end, messageBytes), template.id);
      for (let i = 0; i < records; i++) {
        const at = this.#end + RECORDS_AT + i * template.recordBytes;
        this.#writeKey(family, keys, first + i, at);
        this.#writeValue(family, values, first + i, at, toUnixMs);
      }
      this.#end += messageBytes;
    }
  }

  #makeRoom(lenBytes: number): void {
    if (this.#end + lenBytes <= this.#bytes.length) return;
    const bytes = new Uint8Array(this.#bytes.length * 2);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  #writeKey(family: 4 | 6, keys: DataView, entry: number, at: number): void {
    const { size, fields } = KEYS[family];
    const { offset } = FLOW_TEMPLATES[family];
    const view = this.#view;
    const keyAt = entry * size;
    const [src, dst] = family === 4
      ? [offset.sourceIpv4!, offset.destinationIpv4!]
      : [offset.sourceIpv6!, offset.destinationIpv6!];
    for (let i = 0; i < fields.src.size; i += 4) {
      view.setUint32(at + src + i, keys.getUint32(keyAt + fields.src.offset + i));
      view.setUint32(at + dst + i, keys.getUint32(keyAt + fields.dst.offset + i));
    }
    const proto = keys.getUint8(keyAt + fields.proto.offset);
    const icmp = ICMP[family];
    const dport = keys.getUint16(keyAt + fields.dport.offset);
    view.setUint16(at + offset.sourcePort!, keys.getUint16(keyAt + fields.sport.offset));
    // For ICMP both are type and code: collectors read the one or the other.
    view.setUint16(at + offset.destinationPort!, dport);
    view.setUint16(at + (offset.icmpTypeCodeIpv4 ?? offset.icmpTypeCodeIpv6!), proto === icmp ? dport : 0);
    view.setUint8(at + offset.protocol!, proto);
    const direction = keys.getUint8(keyAt + fields.direction.offset);
    const ifindex = this.#options.ifindexOfSlot[keys.getUint16(keyAt + fields.iface_slot.offset, true)] ?? 0;
    view.setUint8(at + offset.direction!, direction);
    view.setUint32(at + offset.ingressInterface!, direction === EGRESS ? 0 : ifindex);
    view.setUint32(at + offset.egressInterface!, direction === EGRESS ? ifindex : 0);
  }

  #writeValue(family: 4 | 6, values: DataView, entry: number, at: number, toUnixMs: TickToUnixMs): void {
    const { valuesPerEntry } = this.#options;
    const { offset } = FLOW_TEMPLATES[family];
    let packets = 0;
    let octets = 0;
    let first = Infinity;
    let last = 0;
    let tcpFlags = 0;
    for (let i = 0; i < valuesPerEntry; i++) {
      const valueAt = (entry * valuesPerEntry + i) * FLOW_VALUE.size;
      const firstSeen = readCounter(values, valueAt + VALUE.first_seen_jiffies.offset);
      if (firstSeen === 0) continue; // a CPU that saw nothing of this flow
      packets += readCounter(values, valueAt + VALUE.packets.offset);
      octets += readCounter(values, valueAt + VALUE.bytes.offset);
      first = Math.min(first, firstSeen);
      last = Math.max(last, readCounter(values, valueAt + VALUE.last_seen_jiffies.offset));
      const flagsAt = valueAt + VALUE.tcp_flags_seen.offset;
      for (let bit = 0; bit < VALUE.tcp_flags_seen.size; bit++) {
        if (values.getUint8(flagsAt + bit) !== 0) tcpFlags |= 1 << bit;
      }
    }
    const view = this.#view;
    writeCounter(view, at + offset.packets!, packets);
    writeCounter(view, at + offset.octets!, octets);
    view.setUint16(at + offset.tcpFlags!, tcpFlags);
    writeCounter(view, at + offset.startMs!, Math.round(toUnixMs(first)));
    writeCounter(view, at + offset.endMs!, Math.round(toUnixMs(last)));
  }

  /** The messages since the last call, one after another, or null where there was no flow. */
  take(): ArrayBuffer | null {
    if (this.#end === 0) return null;
    const messages = this.#bytes.slice(0, this.#end).buffer;
    this.#end = 0;
    return messages;
  }
}
