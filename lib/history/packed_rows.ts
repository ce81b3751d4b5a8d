/**
 * The flows of one window as a few bytes each. A table of rows would spend more on row headers, page slots and an index
 * than on the counts: here a flow of IPv4 takes about 20 bytes, and a window is one value, whole or not there.
 *
 *     packed  = count, texts, { row }
 *     texts   = count, { length, UTF-8 bytes }                 names of interfaces, commands and containers, each once
 *     row     = bits (1 byte), iface (index), proto (1 byte), src, dst (4 or 16 bytes each), sport, dport (2 bytes each),
 *               [ tcp flags (1 byte) ], packets, bytes, [ pid ], [ comm (index) ], [ container (index) ],
 *               [ error packets, error bytes ]              of an estimate
 *
 * Ports are big-endian; counts, lengths and indexes are LEB128: seven bits a byte, low ones first.
 */

import type { LevelRow } from "./levels.ts";

const EGRESS = 1, IPV6 = 2, HAS_FLAGS = 4, HAS_PID = 8, HAS_COMM = 16, HAS_CONTAINER = 32, HAS_ERROR = 64;

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

class ByteWriter {
  #bytes = new Uint8Array(4096);
  #length = 0;

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#reserve(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
  }

  /** A whole number below 2^53. */
  number(value: number): void {
    for (; value > 0x7f; value = Math.floor(value / 0x80)) this.byte(value % 0x80 | 0x80);
    this.byte(value);
  }

  count(value: bigint): void {
    for (; value > SAFE; value >>= 7n) this.byte(Number(value & 0x7fn) | 0x80);
    this.number(Number(value));
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Seven groups of seven bits are a number; more are a bigint. */
const GROUPS_SAFE = 7;

class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    if (this.#at >= this.#bytes.length) throw new RangeError("Cannot read packed flows: they are cut short");
    return this.#bytes[this.#at++];
  }

  /** Fills `target`. */
  bytes(target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.byte();
  }

  number(): number {
    return Number(this.count());
  }

  count(): bigint {
    let low = 0;
    for (let group = 0, unit = 1; group < GROUPS_SAFE; group++, unit *= 0x80) {
      const byte = this.byte();
      low += (byte & 0x7f) * unit;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 7n * BigInt(GROUPS_SAFE);; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }
}

/** Packs the flows of a window. */
export function packRows(rows: readonly LevelRow[]): Uint8Array<ArrayBuffer> {
  const indexes = new Map<string, number>();
  for (const { iface, comm, container } of rows) {
    for (const text of [iface, comm, container]) {
      if (text !== undefined && !indexes.has(text)) indexes.set(text, indexes.size);
    }
  }
  const writer = new ByteWriter();
  writer.number(rows.length);
  writer.number(indexes.size);
  const encoder = new TextEncoder();
  for (const text of indexes.keys()) {
    const bytes = encoder.encode(text);
    writer.number(bytes.length);
    writer.bytes(bytes);
  }
  for (const row of rows) packRow(writer, row, indexes);
  return writer.take();
}

function packRow(writer: ByteWriter, row: LevelRow, indexes: Map<string, number>): void {
  const { pid, comm, container, sport, dport, errorPackets, errorBytes } = row;
  const bits = (row.direction === "egress" ? EGRESS : 0) | (row.family === 6 ? IPV6 : 0) |
    (row.tcpFlags !== 0 ? HAS_FLAGS : 0) | (pid !== undefined ? HAS_PID : 0) |
    (comm !== undefined ? HAS_COMM : 0) | (container !== undefined ? HAS_CONTAINER : 0) |
    (errorPackets !== undefined ? HAS_ERROR : 0);
  writer.byte(bits);
  writer.number(indexes.get(row.iface)!);
  writer.byte(row.proto);
  writer.bytes(row.src);
  writer.bytes(row.dst);
  for (const byte of [sport >> 8, sport & 0xff, dport >> 8, dport & 0xff]) writer.byte(byte);
  if (row.tcpFlags !== 0) writer.byte(row.tcpFlags);
  writer.count(row.packets);
  writer.count(row.bytes);
  if (pid !== undefined) writer.number(pid);
  if (comm !== undefined) writer.number(indexes.get(comm)!);
  if (container !== undefined) writer.number(indexes.get(container)!);
  if (errorPackets !== undefined) {
    writer.count(errorPackets);
    writer.count(errorBytes!);
  }
}

/**
 * Hands out the packed flows one by one. The row and its addresses are lent for the time of the call.
 *
 * @throws {RangeError} when the bytes are not what `packRows` makes
 */
export function forEachRow(packed: Uint8Array, visit: (row: LevelRow) => void): void {
  const reader = new ByteReader(packed);
  const count = reader.number();
  const decoder = new TextDecoder();
  const texts = Array.from({ length: reader.number() }, () => {
    const bytes = new Uint8Array(Math.min(reader.number(), packed.length));
    reader.bytes(bytes);
    return decoder.decode(bytes);
  });
  const text = () => {
    const found = texts[reader.number()];
    if (found === undefined) throw new RangeError("Cannot read packed flows: a name is missing");
    return found;
  };
  const addresses = { 4: [new Uint8Array(4), new Uint8Array(4)], 6: [new Uint8Array(16), new Uint8Array(16)] };
  for (let i = 0; i < count; i++) {
    const bits = reader.byte();
    const family = bits & IPV6 ? 6 : 4;
    const [src, dst] = addresses[family];
    const iface = text();
    const proto = reader.byte();
    reader.bytes(src);
    reader.bytes(dst);
    const row: LevelRow = {
      family,
      iface,
      direction: bits & EGRESS ? "egress" : "ingress",
      src,
      dst,
      sport: reader.byte() << 8 | reader.byte(),
      dport: reader.byte() << 8 | reader.byte(),
      proto,
      tcpFlags: bits & HAS_FLAGS ? reader.byte() : 0,
      packets: reader.count(),
      bytes: reader.count(),
    };
    if (bits & HAS_PID) row.pid = reader.number();
    if (bits & HAS_COMM) row.comm = text();
    if (bits & HAS_CONTAINER) row.container = text();
    if (bits & HAS_ERROR) {
      row.errorPackets = reader.count();
      row.errorBytes = reader.count();
    }
    visit(row);
  }
  if (!reader.atEnd) throw new RangeError("Cannot read packed flows: more follows than was announced");
}
