import { assertEquals, assertGreater, assertMatch, assertThrows } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { CaptureDecoder, gunzipped } from "./capture.ts";

interface Read {
  timeNs: bigint;
  bytes: number[];
  wireBytes: number;
  linkType: number;
}

/** Feeds the file in pieces. */
function readAll(file: Uint8Array, pieceBytes = file.length): { frames: Read[]; end: string | null } {
  const decoder = new CaptureDecoder();
  const frames: Read[] = [];
  for (let at = 0; at < file.length; at += pieceBytes) {
    decoder.push(file.subarray(at, at + pieceBytes));
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      frames.push({ ...frame, bytes: [...frame.bytes] });
    }
  }
  return { frames, end: decoder.end() };
}

/** Integers of 2, 4 and 8 bytes in one byte order, and bytes as they are. */
class Writer {
  readonly #bytes: number[] = [];
  readonly #littleEndian: boolean;

  constructor(littleEndian: boolean) {
    this.#littleEndian = littleEndian;
  }

  #integer(value: bigint, lenBytes: number): this {
    const bytes = Array.from({ length: lenBytes }, (_, i) => Number(value >> BigInt(8 * i) & 0xffn));
    this.#bytes.push(...this.#littleEndian ? bytes : bytes.reverse());
    return this;
  }

  u16(...values: number[]): this {
    values.forEach((value) => this.#integer(BigInt(value), 2));
    return this;
  }

  u32(...values: number[]): this {
    values.forEach((value) => this.#integer(BigInt(value), 4));
    return this;
  }

  u64(value: bigint): this {
    return this.#integer(BigInt.asUintN(64, value), 8);
  }

  /** Padded with zeroes to 4 bytes. */
  padded(bytes: number[]): this {
    this.#bytes.push(...bytes, ...Array(-bytes.length & 3).fill(0));
    return this;
  }

  raw(bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  get bytes(): number[] {
    return this.#bytes;
  }
}

interface PcapRecord {
  seconds: number;
  fraction: number;
  kept: number[];
  wireBytes: number;
}

function pcap(littleEndian: boolean, magic: number, records: PcapRecord[], linkType = 1): Uint8Array {
  const writer = new Writer(littleEndian).u32(magic).u16(2, 4).u32(0, 0, 65_535, linkType);
  for (const { seconds, fraction, kept, wireBytes } of records) {
    writer.u32(seconds, fraction, kept.length, wireBytes).raw(kept);
  }
  return Uint8Array.from(writer.bytes);
}

function block(littleEndian: boolean, type: number, body: Writer): number[] {
  const lenBytes = body.bytes.length + 12;
  return new Writer(littleEndian).u32(type, lenBytes).raw(body.bytes).u32(lenBytes).bytes;
}

function section(littleEndian: boolean, more = new Writer(littleEndian)): number[] {
  const body = new Writer(littleEndian).u32(0x1a2b3c4d).u16(1, 0).u64(-1n).raw(more.bytes);
  return block(littleEndian, 0x0a0d0d0a, body);
}

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const RECORDS: PcapRecord[] = [
  { seconds: 1_700_000_000, fraction: 999_999, kept: [1, 2, 3], wireBytes: 1514 },
  { seconds: 0xffff_ffff, fraction: 1, kept: [], wireBytes: 60 },
  { seconds: 1_700_000_001, fraction: 0, kept: [9, 8, 7, 6, 5], wireBytes: 5 },
];

for (const littleEndian of [true, false]) {
  const order = littleEndian ? "little" : "big";

  for (const [magic, unitNs] of [[MICROSECONDS, 1_000n], [NANOSECONDS, 1n]] as const) {
    Deno.test(`CaptureDecoder reads ${order}-endian pcap with units of ${unitNs} ns, however it is cut in pieces`, () => {
      const file = pcap(littleEndian, magic, RECORDS, 113);
      const expected = RECORDS.map(({ seconds, fraction, kept, wireBytes }) => ({
        timeNs: BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * unitNs,
        bytes: kept,
        wireBytes,
        linkType: 113,
      }));
      for (const pieceBytes of [1, 2, 3, 7, 16, 41, file.length]) {
        assertEquals(readAll(file, pieceBytes), { frames: expected, end: null });
      }
    });
  }

  Deno.test(`CaptureDecoder reads ${order}-endian pcapng: every kind of packet block, two interfaces, unknown blocks`, () => {
    const write = () => new Writer(littleEndian);
    const offset = write().u16(14, 8).u64(-10n).u16(0, 0);
    const file = Uint8Array.from([
      ...section(littleEndian, write().u16(3, 4).raw([65, 66, 67, 68]).u16(0, 0)),
      // Without options: microseconds.
      ...block(littleEndian, 1, write().u16(1, 0).u32(4)),
      // if_name of 3 bytes, then nanoseconds, then an offset in seconds.
      ...block(
        littleEndian,
        1,
        write().u16(101, 0).u32(0).u16(2, 3).padded([97, 98, 99]).u16(9, 1).padded([9]).raw(offset.bytes),
      ),
      // if_tsresol as a power of two.
      ...block(littleEndian, 1, write().u16(276, 0).u32(0).u16(9, 1).padded([0x8a])),
      ...block(littleEndian, 0x0bad, write().raw(Array(4000).fill(0xee))),
      ...block(littleEndian, 6, write().u32(0, 1, 5, 3, 99).padded([1, 2, 3]).u16(2, 4).u32(7).u16(0, 0)),
      ...block(littleEndian, 6, write().u32(1, 0, 2_000_000_003, 1, 1).padded([4])),
      ...block(littleEndian, 3, write().u32(60).padded([5, 6, 7, 8])),
      ...block(littleEndian, 2, write().u16(2, 77).u32(0, 3 * 1024 + 512, 2, 2).padded([9, 9])),
      // Another section, in the other byte order, with an interface 0 of its own.
      ...section(!littleEndian),
      ...block(!littleEndian, 1, new Writer(!littleEndian).u16(228, 0).u32(0)),
      ...block(!littleEndian, 6, new Writer(!littleEndian).u32(0, 0, 7, 0, 40)),
    ]);
    const frames: Read[] = [
      { timeNs: ((1n << 32n) + 5n) * 1_000n, bytes: [1, 2, 3], wireBytes: 99, linkType: 1 },
      { timeNs: 2_000_000_003n - 10_000_000_000n, bytes: [4], wireBytes: 1, linkType: 101 },
      { timeNs: 2_000_000_003n - 10_000_000_000n, bytes: [5, 6, 7, 8], wireBytes: 60, linkType: 1 },
      { timeNs: 3_500_000_000n, bytes: [9, 9], wireBytes: 2, linkType: 276 },
      { timeNs: 7_000n, bytes: [], wireBytes: 40, linkType: 228 },
    ];
    for (const pieceBytes of [1, 5, 64, file.length]) assertEquals(readAll(file, pieceBytes), { frames, end: null });
  });
}

Deno.test("CaptureDecoder.end() tells where a file ends within a record, and what came before is read", () => {
  const file = pcap(true, MICROSECONDS, RECORDS);
  for (let length = 24 + 1; length < file.length; length++) {
    const { frames, end } = readAll(file.subarray(0, length));
    const begins = [24, 43, 59, 80];
    const whole = begins.filter((begin) => begin <= length).length - 1;
    assertEquals(frames.length, whole);
    const expected = begins.includes(length)
      ? null
      : `the file ends at byte ${length}, within the record that begins at ${begins[whole]}`;
    assertEquals(end, expected);
  }
});

Deno.test("CaptureDecoder.end() tells that a skipped block is cut off", () => {
  const file = Uint8Array.from([...section(true), ...block(true, 0x0bad, new Writer(true).u32(1, 2, 3))]);
  assertEquals(readAll(file.subarray(0, 40)), { frames: [], end: "the file ends at byte 40, within a block" });
});

Deno.test("CaptureDecoder says at which byte a file is malformed", () => {
  const write = () => new Writer(true);
  const ng = (...blocks: number[][]) => Uint8Array.from([...section(true), ...blocks.flat()]);
  const described = block(true, 1, write().u16(1, 0).u32(0));
  const packet = write().u32(0, 0, 0, 4, 4).padded([1, 2, 3, 4]);
  const otherLength = block(true, 6, packet);
  otherLength[otherLength.length - 4]++;
  const cases: [file: Uint8Array, message: string][] = [
    [Uint8Array.of(1, 2, 3, 4, 5), "Cannot read the capture: it is neither pcap nor pcapng"],
    [Uint8Array.of(1, 2), "Cannot read the capture: it has only 2 bytes"],
    [new Uint8Array(), "Cannot read the capture: it has only 0 bytes"],
    [
      pcap(true, MICROSECONDS, RECORDS).with(24 + 16 + 3 + 8 + 3, 0xff),
      "Cannot read the capture: malformed at byte 43: a packet of 4278190080 bytes",
    ],
    [
      Uint8Array.from(section(true)).with(8, 0),
      "Cannot read the capture: malformed at byte 0: a section without its byte order",
    ],
    [ng(write().u32(6, 10, 10).bytes), "Cannot read the capture: malformed at byte 28: a block of 10 bytes"],
    [
      ng(block(true, 6, packet)),
      "Cannot read the capture: malformed at byte 28: a packet of interface 0, which is not described",
    ],
    [ng(described, otherLength), "Cannot read the capture: malformed at byte 48: a block whose two lengths differ"],
    [
      ng(described, block(true, 6, write().u32(0, 0x7fff_ffff, 0, 4, 4).padded([1, 2, 3, 4]))),
      "Cannot read the capture: malformed at byte 48: a packet from after the year 2262",
    ],
    [
      ng(described, block(true, 6, write().u32(0, 0, 0, 8, 8).padded([1, 2, 3, 4]))),
      "Cannot read the capture: malformed at byte 48: a packet of 8 bytes in a block of 36",
    ],
    [
      ng(block(true, 1, write().u16(1, 0).u32(0).u16(9, 40))),
      "Cannot read the capture: malformed at byte 44: an option that passes its block's end",
    ],
  ];
  for (const [file, message] of cases) assertThrows(() => readAll(file), Error, message);
});

Deno.test("CaptureDecoder reads a damaged file to its end or says where it is malformed", () => {
  const random = new Random(7);
  const packets = Array.from(
    { length: 6 },
    (_, i) =>
      block(true, [6, 3, 2][i % 3], new Writer(true).u32(...i % 3 === 1 ? [4] : [0, 0, 7, 4, 4]).padded([1, 2, 3, 4])),
  );
  const option = new Writer(true).u16(9, 1).padded([9]).u16(0, 0);
  const described = block(true, 1, new Writer(true).u16(1, 0).u32(0).raw(option.bytes));
  const files = [
    pcap(true, MICROSECONDS, RECORDS),
    Uint8Array.from([...section(true), ...described, ...packets.flat()]),
  ];
  let malformed = 0;
  for (let round = 0; round < 20_000; round++) {
    const file = files[round & 1].slice();
    for (let damage = 0; damage < 1 + round % 3; damage++) file[random.below(file.length)] = random.below(256);
    try {
      readAll(file, 1 + random.below(file.length));
    } catch (error) {
      assertMatch((error as Error).message, /^Cannot read the capture: (malformed at byte \d+: |it is neither )/);
      malformed++;
    }
  }
  assertGreater(malformed, 1_000);
});

Deno.test("gunzipped() leaves a plain stream alone and unpacks a compressed one, from pieces of one byte too", async () => {
  const file = pcap(true, NANOSECONDS, RECORDS);
  const packed = await new Response(
    new Response(Uint8Array.from(file)).body!.pipeThrough(new CompressionStream("gzip")),
  ).bytes();
  for (const bytes of [Uint8Array.from(file), packed, new Uint8Array([0x1f]), new Uint8Array()]) {
    const pieces = ReadableStream.from(Array.from(bytes, (byte) => Uint8Array.of(byte)));
    const read = await new Response(await gunzipped(pieces, new AbortController().signal)).bytes();
    assertEquals(read, bytes === packed ? Uint8Array.from(file) : bytes);
  }
});
