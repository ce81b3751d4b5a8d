/** Records of events as the kernel writes them, and batches of them, for tests and benches without a kernel. */
import {
  CONNECT_PAYLOAD,
  EVENT,
  EXEC_PAYLOAD,
  EXIT_PAYLOAD,
  OPEN_PAYLOAD,
  TCP_PAYLOAD,
  VIOLATION_PAYLOAD,
} from "../../lib/wire/layouts.gen.ts";
import { envelopeLength, EventBatch } from "../../lib/events/event_batch.ts";
import type { ProcessInfo } from "../../lib/processes/process_info.ts";
import { EVENT_TYPES, type EventType, SEVERITIES, type Severity } from "../../lib/events/event.ts";

export interface RecordFields {
  severity?: Severity;
  tsNs?: number;
  pid?: number;
  uid?: number;
  comm?: string;
  cgroupId?: bigint;
  weight?: number;
  repeats?: number;
  /** Bits of enum event_flag. */
  flags?: number;
  payload?: Uint8Array;
}

const TEXT = new TextEncoder();
const AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;

/** A sound record of any type. Without a payload of its own, one of zeros, or of the loopback, of the type's size. */
export function eventRecord(event: EventType, fields: RecordFields = {}): Uint8Array<ArrayBuffer> {
  const payload = fields.payload ?? DEFAULT_PAYLOADS[event];
  const record = new Uint8Array(EVENT.size + payload.length);
  const data = new DataView(record.buffer);
  const at = EVENT.fields;
  data.setBigUint64(at.ts_ns.offset, BigInt(fields.tsNs ?? 5_000_000_000), true);
  data.setUint16(at.type.offset, EVENT_TYPES.indexOf(event), true);
  data.setUint8(at.severity.offset, SEVERITIES.indexOf(fields.severity ?? "info"));
  data.setUint32(at.pid.offset, fields.pid ?? 4242, true);
  data.setUint32(at.uid.offset, fields.uid ?? 1000, true);
  data.setUint32(at.data_len.offset, payload.length, true);
  data.setBigUint64(at.cgroup_id.offset, fields.cgroupId ?? 9n, true);
  record.set(TEXT.encode(fields.comm ?? "worker"), at.comm.offset);
  data.setUint32(at.weight.offset, fields.weight ?? 1, true);
  data.setUint32(at.repeats.offset, fields.repeats ?? 1, true);
  data.setUint16(at.flags.offset, fields.flags ?? 0, true);
  data.setUint8(at.home_ring.offset, 1);
  record.set(payload, EVENT.size);
  return record;
}

export function openPayload(path: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...new Uint8Array(OPEN_PAYLOAD.size), ...TEXT.encode(path)]);
}

/** @param args each ends in a NUL */
export function execPayload(filename: string, args: string): Uint8Array<ArrayBuffer> {
  const texts = [TEXT.encode(filename), TEXT.encode(args)];
  const head = new DataView(new ArrayBuffer(EXEC_PAYLOAD.size));
  head.setUint16(EXEC_PAYLOAD.fields.filename_len.offset, texts[0].length, true);
  head.setUint16(EXEC_PAYLOAD.fields.args_len.offset, texts[1].length, true);
  return Uint8Array.from([...new Uint8Array(head.buffer), ...texts[0], ...texts[1]]);
}

/** @param address of 4 or 16 bytes; empty for a unix socket, whose path is then the text */
export function connectPayload(address: Uint8Array, port: number, path = ""): Uint8Array<ArrayBuffer> {
  const { fields, size } = CONNECT_PAYLOAD;
  const payload = new Uint8Array(size + path.length);
  const data = new DataView(payload.buffer);
  payload.set(address, fields.address.offset);
  data.setUint16(fields.family.offset, familyOf(address), true);
  data.setUint16(fields.port.offset, port, true);
  payload.set(TEXT.encode(path), size);
  return payload;
}

export function tcpPayload(
  source: { address: Uint8Array; port: number },
  destination: { address: Uint8Array; port: number },
): Uint8Array<ArrayBuffer> {
  const { fields, size } = TCP_PAYLOAD;
  const payload = new Uint8Array(size);
  const data = new DataView(payload.buffer);
  payload.set(source.address, fields.src.offset);
  payload.set(destination.address, fields.dst.offset);
  data.setUint16(fields.family.offset, familyOf(source.address), true);
  data.setUint16(fields.sport.offset, source.port, true);
  data.setUint16(fields.dport.offset, destination.port, true);
  payload[fields.old_state.offset] = 2;
  payload[fields.new_state.offset] = 1;
  return payload;
}

/** @param path that the system call was given */
export function violationPayload(path: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...new Uint8Array(VIOLATION_PAYLOAD.size), ...TEXT.encode(path)]);
}

function familyOf(address: Uint8Array): number {
  return address.length === 0 ? AF_UNIX : address.length === 4 ? AF_INET : AF_INET6;
}

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const DEFAULT_PAYLOADS: Record<EventType, Uint8Array> = {
  process_exec: execPayload("/bin/ls", "ls\0-l\0"),
  process_exit: new Uint8Array(EXIT_PAYLOAD.size),
  file_open: openPayload("/etc/hosts"),
  network_connect: connectPayload(LOOPBACK, 443),
  tcp_state: tcpPayload({ address: LOOPBACK, port: 40_000 }, { address: LOOPBACK, port: 443 }),
  security_violation: violationPayload("/mnt"),
  resource_limit: violationPayload("/dev/null"),
};

/** A batch of records, with what is known of their processes. */
export function batchOf(records: Uint8Array[], processes: (ProcessInfo | null)[] = []): EventBatch {
  const batch = new EventBatch(records.reduce((sum, { length }) => sum + envelopeLength(length, 0), 8));
  for (const [i, record] of records.entries()) {
    // Never at 0: an offset that is taken for "none" would show.
    const offset = batch.usedBytes + 8;
    batch.bytes.set(record, offset);
    batch.offsets[i] = offset;
    batch.lengths[i] = record.length;
    batch.process[i] = processes[i] ?? null;
    batch.usedBytes += envelopeLength(record.length, 0);
  }
  batch.count = records.length;
  return batch;
}

export function processInfo(overrides: Partial<ProcessInfo> = {}): ProcessInfo {
  return {
    pid: 4242,
    startNs: 1,
    name: "worker",
    ppid: 1,
    parentName: "init",
    exe: "/usr/bin/worker",
    uid: 1000,
    user: "alice",
    containerId: "",
    podUid: "",
    encoded: new Uint8Array(),
    ...overrides,
  };
}
