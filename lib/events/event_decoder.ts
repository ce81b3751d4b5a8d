/**
 * Ring records to events. Whatever the bytes are, it does not throw: a record that contradicts itself is null, and text
 * that is no UTF-8 is decoded as far as it goes.
 */
import { AF_INET, AF_INET6, AF_UNIX } from "../net/address_family.ts";
import { formatIpv4, formatIpv6 } from "../net/address.ts";
import {
  CONNECT_PAYLOAD,
  EVENT,
  EVENT_FLAG,
  EVENT_TYPE,
  EXEC_PAYLOAD,
  EXIT_PAYLOAD,
  OPEN_PAYLOAD,
  TCP_PAYLOAD,
  VIOLATION_KIND,
  VIOLATION_PAYLOAD,
} from "../wire/layouts.gen.ts";
import { type Machine, syscallName } from "../wire/syscalls.ts";
import { TextCache } from "./text_cache.ts";
import { EVENT_TYPES, type EventBase, RINGS, type RouterEvent, SEVERITIES } from "./event.ts";

/** Offsets within a record; payloads start where the event ends. */
const AT = EVENT.fields;
const PAYLOAD_AT = EVENT.size;
const EXEC = EXEC_PAYLOAD.fields;
const OPEN = OPEN_PAYLOAD.fields;
const CONNECT = CONNECT_PAYLOAD.fields;
const TCP = TCP_PAYLOAD.fields;
const VIOLATION = VIOLATION_PAYLOAD.fields;

/** By their number in the kernel. */
const TCP_STATES = [
  "NONE",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];

/** In the order of `enum violation_kind`. */
const KINDS = [
  "denied",
  "ptrace",
  "setuid_root",
  "module_load",
  "bpf",
  "mount",
  "emfile",
  "enfile",
  "enomem",
  "eagain",
  "oom_victim",
];

const TWO_32 = 2 ** 32;
/** Most paths are shorter; 1,024 of them take 128 KiB. */
const TEXT_CACHE_SLOTS = 1024;
const TEXT_CACHE_LENGTH_MAX = 128;

/** A record and where it starts; `end` is behind its last byte. */
interface RecordView {
  data: DataView<ArrayBuffer>;
  bytes: Uint8Array<ArrayBuffer>;
  payload: number;
  end: number;
  texts: TextCache;
}

/** An event of one type whose payload is still to be filled in: a copy of the base would cost as much as decoding it. */
type Unfinished<T extends RouterEvent["event"]> = Extract<RouterEvent, { event: T }>;

export class EventDecoder {
  readonly #machine: Machine;
  readonly #texts = new TextCache(TEXT_CACHE_SLOTS, TEXT_CACHE_LENGTH_MAX);
  #bytes = new Uint8Array(0);
  /** Of the last record, as a bigint and as its two halves: most records come from few cgroups. */
  #cgroup = { id: 0n, low: 0, high: 0 };

  /** @param machine whose system call numbers the records hold */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** @param lengthBytes of the record that starts at `offset` @returns null when it is not one */
  decode(data: DataView<ArrayBuffer>, offset: number, lengthBytes: number): RouterEvent | null {
    if (lengthBytes < PAYLOAD_AT || offset + lengthBytes > data.byteLength) return null;
    if (data.getUint32(offset + AT.data_len.offset, true) !== lengthBytes - PAYLOAD_AT) return null;
    const type = data.getUint16(offset + AT.type.offset, true);
    const severity = data.getUint8(offset + AT.severity.offset);
    const homeRing = data.getUint8(offset + AT.home_ring.offset);
    if (type >= EVENT_TYPES.length || severity >= SEVERITIES.length || homeRing >= RINGS.length) return null;

    // One view of the memory for as long as it stays the same: a ring's records come thousands at a time.
    if (this.#bytes.buffer !== data.buffer || this.#bytes.byteOffset !== data.byteOffset) {
      this.#bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
    const bytes = this.#bytes;
    const texts = this.#texts;
    const record = { data, bytes, payload: offset + PAYLOAD_AT, end: offset + lengthBytes, texts };
    const tsNs = data.getBigUint64(offset + AT.ts_ns.offset, true);
    const flags = data.getUint16(offset + AT.flags.offset, true);
    const base: EventBase = {
      event: EVENT_TYPES[type],
      severity: SEVERITIES[severity],
      tsNs,
      cpu: data.getUint16(offset + AT.cpu_full.offset, true),
      pid: data.getUint32(offset + AT.pid.offset, true),
      tid: data.getUint32(offset + AT.tid.offset, true),
      uid: data.getUint32(offset + AT.uid.offset, true),
      comm: textUpToNul(record, offset + AT.comm.offset, offset + AT.comm.offset + AT.comm.size),
      cgroupId: this.#cgroupId(data, offset + AT.cgroup_id.offset),
      result: signed64(data, offset + AT.result.offset),
      weight: data.getUint32(offset + AT.weight.offset, true),
      repeats: data.getUint32(offset + AT.repeats.offset, true),
      firstNs: sameWords(data, offset + AT.first_ns.offset, offset + AT.ts_ns.offset)
        ? tsNs
        : data.getBigUint64(offset + AT.first_ns.offset, true),
      spilled: (flags & EVENT_FLAG.EVENT_SPILLED) !== 0,
      rulesGeneration: data.getUint32(offset + AT.rules_generation.offset, true),
    };
    if ((flags & EVENT_FLAG.EVENT_UNREADABLE) !== 0) base.unreadable = true;
    if ((flags & EVENT_FLAG.EVENT_INCOMPLETE) !== 0) base.incomplete = true;
    return this.#withPayload(base, type, record, (flags & EVENT_FLAG.EVENT_TRUNCATED) !== 0);
  }

  #cgroupId(data: DataView<ArrayBuffer>, at: number): bigint {
    const low = data.getUint32(at, true);
    const high = data.getUint32(at + 4, true);
    if (low !== this.#cgroup.low || high !== this.#cgroup.high) {
      this.#cgroup = { id: data.getBigUint64(at, true), low, high };
    }
    return this.#cgroup.id;
  }

  #withPayload(base: EventBase, type: number, record: RecordView, truncated: boolean): RouterEvent | null {
    const { data, bytes, payload, end } = record;
    const payloadBytes = end - payload;
    switch (type) {
      case EVENT_TYPE.EVENT_PROCESS_EXEC:
        return payloadBytes < EXEC_PAYLOAD.size ? null : execEvent(base, record, truncated);
      case EVENT_TYPE.EVENT_PROCESS_EXIT: {
        if (payloadBytes !== EXIT_PAYLOAD.size) return null;
        const event = base as Unfinished<"process_exit">;
        if (base.incomplete) return event;
        const status = data.getUint32(payload + EXIT_PAYLOAD.fields.status.offset, true);
        event.exitCode = status >> 8 & 0xff;
        event.signal = status & 0x7f;
        return event;
      }
      case EVENT_TYPE.EVENT_FILE_OPEN: {
        if (payloadBytes < OPEN_PAYLOAD.size) return null;
        const event = base as Unfinished<"file_open">;
        event.path = this.#texts.decode(bytes, payload + OPEN_PAYLOAD.size, end);
        event.pathTruncated = truncated;
        event.flags = unsigned64(data, payload + OPEN.open_flags.offset);
        event.syscall = syscallName(this.#machine, data.getUint32(payload + OPEN.syscall.offset, true));
        return event;
      }
      case EVENT_TYPE.EVENT_NETWORK_CONNECT:
        return payloadBytes < CONNECT_PAYLOAD.size ? null : connectEvent(base, record);
      case EVENT_TYPE.EVENT_TCP_STATE:
        return payloadBytes !== TCP_PAYLOAD.size ? null : tcpEvent(base, record);
      default:
        return payloadBytes < VIOLATION_PAYLOAD.size ? null : this.#violationEvent(base, type, record);
    }
  }

  #violationEvent(base: EventBase, type: number, { data, bytes, payload, end }: RecordView): RouterEvent | null {
    const kind = data.getUint16(payload + VIOLATION.kind.offset, true);
    if (kind >= KINDS.length) return null;
    const argument = (index: number) => signed64(data, payload + VIOLATION.args.offset + 8 * index);
    const isOom = kind === VIOLATION_KIND.LIMIT_OOM_VICTIM;
    return {
      ...base,
      event: type === EVENT_TYPE.EVENT_RESOURCE_LIMIT ? "resource_limit" : "security_violation",
      kind: KINDS[kind],
      syscall: isOom ? "" : syscallName(this.#machine, data.getUint32(payload + VIOLATION.syscall.offset, true)),
      detail: this.#texts.decode(bytes, payload + VIOLATION_PAYLOAD.size, end) || detailOf(kind, argument),
    };
  }
}

/** What a system call without a path was asked for. */
function detailOf(kind: number, argument: (index: number) => number): string {
  switch (kind) {
    case VIOLATION_KIND.VIOLATION_PTRACE:
      return `request ${argument(0)} on pid ${argument(1)}`;
    case VIOLATION_KIND.VIOLATION_BPF:
      return `command ${argument(0)}`;
    default:
      return "";
  }
}

function execEvent(base: EventBase, record: RecordView, truncated: boolean): RouterEvent | null {
  const { data, bytes, payload, end, texts } = record;
  const filenameAt = payload + EXEC_PAYLOAD.size;
  const argsAt = filenameAt + data.getUint16(payload + EXEC.filename_len.offset, true);
  if (argsAt + data.getUint16(payload + EXEC.args_len.offset, true) !== end) return null;
  const argv: string[] = [];
  // Each argument ends in a NUL, so an empty last one shows; one that was cut off does not.
  for (let start = argsAt; start < end;) {
    const nul = bytes.indexOf(0, start);
    const argEnd = nul < 0 || nul > end ? end : nul;
    argv.push(texts.decode(bytes, start, argEnd));
    start = argEnd + 1;
  }
  const argc = data.getUint32(payload + EXEC.argc.offset, true);
  return {
    ...base,
    event: "process_exec",
    filename: texts.decode(bytes, filenameAt, argsAt),
    argv,
    argvTruncated: truncated || argv.length < argc,
    ...!base.incomplete && { ppid: data.getUint32(payload + EXEC.ppid.offset, true) },
  };
}

function connectEvent(base: EventBase, record: RecordView): RouterEvent | null {
  const { data, bytes, payload, end } = record;
  const family = data.getUint16(payload + CONNECT.family.offset, true);
  const port = data.getUint16(payload + CONNECT.port.offset, true);
  const addressAt = payload + CONNECT.address.offset;
  const event = "network_connect";
  if (family === AF_UNIX) {
    return {
      ...base,
      event,
      family: "unix",
      address: unixAddress(record, payload + CONNECT_PAYLOAD.size),
      port: 0,
    };
  }
  if (end - payload !== CONNECT_PAYLOAD.size) return null;
  if (family === AF_INET) return { ...base, event, family: "ipv4", address: formatIpv4(bytes, addressAt), port };
  if (family === AF_INET6) return { ...base, event, family: "ipv6", address: formatIpv6(bytes, addressAt), port };
  return null;
}

/** Abstract names start with a NUL, which is written as `@`, and have no end but their length. */
function unixAddress(record: RecordView, start: number): string {
  const { bytes, end, texts } = record;
  if (start < end && bytes[start] === 0) return `@${texts.decode(bytes, start + 1, end)}`;
  return textUpToNul(record, start, end);
}

function tcpEvent(base: EventBase, { data, bytes, payload }: RecordView): RouterEvent | null {
  const family = data.getUint16(payload + TCP.family.offset, true);
  const oldState = TCP_STATES[data.getUint8(payload + TCP.old_state.offset)];
  const newState = TCP_STATES[data.getUint8(payload + TCP.new_state.offset)];
  if ((family !== AF_INET && family !== AF_INET6) || oldState === undefined || newState === undefined) return null;
  const format = family === AF_INET ? formatIpv4 : formatIpv6;
  return {
    ...base,
    event: "tcp_state",
    family: family === AF_INET ? "ipv4" : "ipv6",
    src: format(bytes, payload + TCP.src.offset),
    dst: format(bytes, payload + TCP.dst.offset),
    sport: data.getUint16(payload + TCP.sport.offset, true),
    dport: data.getUint16(payload + TCP.dport.offset, true),
    oldState,
    newState,
  };
}

/** Exact between -2^53 and 2^53, which holds every result; without a bigint on the way. */
function signed64(data: DataView<ArrayBuffer>, at: number): number {
  return data.getInt32(at + 4, true) * TWO_32 + data.getUint32(at, true);
}

/** Exact below 2^53. */
function unsigned64(data: DataView<ArrayBuffer>, at: number): number {
  return data.getUint32(at + 4, true) * TWO_32 + data.getUint32(at, true);
}

/** Whether two 64-bit fields hold the same. */
function sameWords(data: DataView<ArrayBuffer>, a: number, b: number): boolean {
  return data.getInt32(a, true) === data.getInt32(b, true) && data.getInt32(a + 4, true) === data.getInt32(b + 4, true);
}

function textUpToNul({ bytes, texts }: RecordView, start: number, end: number): string {
  let nul = start;
  while (nul < end && bytes[nul] !== 0) nul++;
  return texts.decode(bytes, start, nul);
}
