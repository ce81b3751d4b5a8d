/**
 * A process in bytes, as it follows its record in a channel; little-endian, padded with zeros to a multiple of 8:
 *
 *     u32 hash of what follows | u32 length in all | f64 startNs | u32 pid | u32 ppid | u32 uid
 *     u16 length of name, parentName, exe, user, containerId, podUid | these texts in UTF-8
 */
import type { ProcessInfo } from "./process_info.ts";

/** The fields that a ProcessInfo is made from: all but its bytes. */
export type ProcessFields = Omit<ProcessInfo, "encoded">;

/** The texts in the order in which they are encoded, with the most bytes of each. */
const TEXTS = [
  ["name", 64],
  ["parentName", 64],
  ["exe", 512],
  ["user", 64],
  ["containerId", 128],
  ["podUid", 64],
] as const;

const HASH_AT = 0, LENGTH_AT = 4, START_AT = 8, PID_AT = 16, PPID_AT = 20, UID_AT = 24, TEXT_LENGTHS_AT = 28;
const HEADER_BYTES = TEXT_LENGTHS_AT + 2 * TEXTS.length;

/** The greatest length of an encoded process. */
export const PROCESS_BYTES_MAX = padded(HEADER_BYTES + TEXTS.reduce((sum, [, bytesMax]) => sum + bytesMax, 0));

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

function padded(lengthBytes: number): number {
  return lengthBytes + 7 & ~7;
}

/** A process that is encoded when its bytes are first asked for; where all stages share a worker, they never are. */
class EncodableProcess implements ProcessInfo {
  readonly pid: number;
  readonly startNs: number;
  readonly name: string;
  readonly ppid: number;
  readonly parentName: string;
  readonly exe: string;
  readonly uid: number;
  readonly user: string;
  readonly containerId: string;
  readonly podUid: string;
  #encoded: Uint8Array<ArrayBuffer> | undefined;

  constructor(fields: ProcessFields, encoded?: Uint8Array<ArrayBuffer>) {
    this.pid = fields.pid;
    this.startNs = fields.startNs;
    this.name = fields.name;
    this.ppid = fields.ppid;
    this.parentName = fields.parentName;
    this.exe = fields.exe;
    this.uid = fields.uid;
    this.user = fields.user;
    this.containerId = fields.containerId;
    this.podUid = fields.podUid;
    this.#encoded = encoded;
  }

  get encoded(): Uint8Array<ArrayBuffer> {
    return this.#encoded ??= encodeProcess(this);
  }
}

/**
 * Makes a process. Its texts are kept as they are, with control characters, but cut at the length that a channel
 * carries.
 */
export function createProcess(fields: ProcessFields): ProcessInfo {
  const bounded: ProcessFields & Record<typeof TEXTS[number][0], string> = { ...fields };
  for (const [text, bytesMax] of TEXTS) bounded[text] = boundedText(fields[text], bytesMax);
  return new EncodableProcess(bounded);
}

/** Cuts a text between two characters, so that it has at most `bytesMax` bytes in UTF-8. */
function boundedText(text: string, bytesMax: number): string {
  // A UTF-16 unit takes at most 3 bytes.
  if (text.length * 3 <= bytesMax) return text;
  const bytes = new Uint8Array(bytesMax);
  const { read } = ENCODER.encodeInto(text, bytes);
  return read === text.length ? text : text.slice(0, read);
}

/** Encodes a process. @param info texts that are longer than a channel carries are cut */
export function encodeProcess(info: ProcessFields): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PROCESS_BYTES_MAX);
  const data = new DataView(bytes.buffer);
  data.setFloat64(START_AT, info.startNs, true);
  data.setUint32(PID_AT, info.pid, true);
  data.setUint32(PPID_AT, info.ppid, true);
  data.setUint32(UID_AT, info.uid, true);
  let end = HEADER_BYTES;
  TEXTS.forEach(([text, bytesMax], i) => {
    const { written } = ENCODER.encodeInto(info[text], bytes.subarray(end, end + bytesMax));
    data.setUint16(TEXT_LENGTHS_AT + 2 * i, written, true);
    end += written;
  });
  end = padded(end);
  data.setUint32(LENGTH_AT, end, true);
  // FNV-1a (Fowler, Noll and Vo), a word at a time.
  let hash = 0x811c9dc5;
  for (let at = LENGTH_AT; at < end; at += 4) hash = Math.imul(hash ^ data.getUint32(at, true), 0x01000193);
  data.setUint32(HASH_AT, hash ^ hash >>> 15, true);
  return bytes.slice(0, end);
}

/**
 * Decoded processes that are kept, a power of two: a worker meets few processes at a time, and 4,096 take about a
 * megabyte.
 */
const CACHE_SLOTS = 4096;

interface Decoded {
  /** The process's bytes as words. They are compared before `process` is returned, because a hash can be forged. */
  words: Uint32Array<ArrayBuffer>;
  process: ProcessInfo;
}

const cache: (Decoded | undefined)[] = new Array(CACHE_SLOTS);
/** The view of the last batch's memory, made again when the memory is another. */
let memory = new Uint32Array(0);
let memoryFrom: Uint8Array<ArrayBuffer> | undefined;

/**
 * Decodes the process at `start`. The same bytes give the same object, as long as no other process replaces it among
 * those that are kept.
 *
 * @param end the end of the bytes that may belong to the process
 * @throws {RangeError} when the bytes are no process
 */
export function decodeProcess(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): ProcessInfo {
  if (start < 0 || end > bytes.length || end - start < HEADER_BYTES) {
    throw new RangeError(`Cannot decode a process: ${end - start} bytes, at least ${HEADER_BYTES} are needed`);
  }
  // Channels align it; what comes from elsewhere is compared in a copy.
  if ((bytes.byteOffset + start) % 4 !== 0) return decodeProcess(bytes.slice(start, end), 0, end - start);
  if (memoryFrom !== bytes) {
    memoryFrom = bytes;
    memory = new Uint32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2);
  }
  const given = memory;
  const at = (bytes.byteOffset + start) >> 2;
  const lengthBytes = given[at + LENGTH_AT / 4];
  if (lengthBytes < HEADER_BYTES || lengthBytes > end - start || lengthBytes % 8 !== 0) {
    throw new RangeError(`Cannot decode a process: its length is ${lengthBytes}, there are ${end - start} bytes`);
  }
  const slot = given[at] & CACHE_SLOTS - 1;
  const known = cache[slot];
  const words = lengthBytes >> 2;
  if (known !== undefined && known.words.length === words) {
    const kept = known.words;
    let same = 0;
    while (same < words && kept[same] === given[at + same]) same++;
    if (same === words) return known.process;
  }
  const encoded = bytes.slice(start, start + lengthBytes);
  const process = new EncodableProcess(fieldsOf(encoded), encoded);
  cache[slot] = { words: new Uint32Array(encoded.buffer), process };
  return process;
}

function fieldsOf(encoded: Uint8Array<ArrayBuffer>): ProcessFields {
  const data = new DataView(encoded.buffer);
  let end = HEADER_BYTES;
  const texts = TEXTS.map((_, i) => {
    const start = end;
    end += data.getUint16(TEXT_LENGTHS_AT + 2 * i, true);
    if (end > encoded.length) throw new RangeError(`Cannot decode a process: its texts end behind its bytes`);
    return DECODER.decode(encoded.subarray(start, end));
  });
  const [name, parentName, exe, user, containerId, podUid] = texts;
  return {
    pid: data.getUint32(PID_AT, true),
    startNs: data.getFloat64(START_AT, true),
    name,
    ppid: data.getUint32(PPID_AT, true),
    parentName,
    exe,
    uid: data.getUint32(UID_AT, true),
    user,
    containerId,
    podUid,
  };
}
