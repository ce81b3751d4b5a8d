import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { type FieldName, type FieldValue, readField, type StructLayout, writeField } from "./layout.ts";

/** One field of every kind, at an offset that is not zero. */
const RECORD = {
  size: 48,
  fields: {
    port: { offset: 0, size: 2, kind: "be" },
    delta: { offset: 2, size: 2, kind: "int" },
    len_bytes: { offset: 4, size: 4, kind: "uint" },
    ts_ns: { offset: 8, size: 8, kind: "uint" },
    on: { offset: 16, size: 1, kind: "bool" },
    comm: { offset: 17, size: 7, kind: "chars" },
    address: { offset: 24, size: 4, kind: "bytes" },
    "header.pids": { offset: 28, size: 8, kind: "array", length: 2, element: { size: 4, kind: "uint" } },
    balance: { offset: 40, size: 8, kind: "int" },
  },
} as const satisfies StructLayout;

const GOLDEN = Uint8Array.of(
  ...[0x1f, 0x90], // port: 8080, network byte order
  ...[0xfe, 0xff], // delta: -2
  ...[0x01, 0x02, 0x03, 0xff], // len_bytes: 0xff030201
  ...[0x15, 0x81, 0xe9, 0x7d, 0xf4, 0x10, 0x22, 0x11], // ts_ns: 1234567890123456789
  ...[0x01], // on
  ...[0x63, 0x75, 0x72, 0x6c, 0x00, 0x00, 0x00], // comm: "curl"
  ...[0xc0, 0x00, 0x02, 0x01], // address: 192.0.2.1
  ...[0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x80], // header.pids: 1, 0x80000002
  ...[0x00, 0x00, 0x00, 0x00], // padding
  ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // balance: -1
);

type RecordValues = { [N in FieldName<typeof RECORD>]: FieldValue<typeof RECORD["fields"][N]> };

const VALUES: RecordValues = {
  port: 8080,
  delta: -2,
  len_bytes: 0xff030201,
  ts_ns: 1234567890123456789n,
  on: true,
  comm: "curl",
  address: Uint8Array.of(192, 0, 2, 1),
  "header.pids": [1, 0x80000002],
  balance: -1n,
};

const NAMES = Object.keys(VALUES) as FieldName<typeof RECORD>[];

/** The golden record at an odd place in a larger buffer. */
function goldenView(): { view: DataView; base: number } {
  const buffer = new Uint8Array(3 + 5 + RECORD.size);
  buffer.set(GOLDEN, 8);
  return { view: new DataView(buffer.buffer, 3), base: 5 };
}

Deno.test("readField() reads every kind of field from golden bytes", () => {
  const { view, base } = goldenView();
  for (const name of NAMES) assertEquals(readField(view, RECORD, name, base), VALUES[name], name);
});

Deno.test("writeField() writes every kind of field as golden bytes", () => {
  const view = new DataView(new ArrayBuffer(RECORD.size));
  for (const name of NAMES) writeField(view, RECORD, name, VALUES[name]);
  assertEquals(new Uint8Array(view.buffer), GOLDEN);
});

Deno.test("readField() reads text that fills its field without a NUL", () => {
  const view = new DataView(new ArrayBuffer(RECORD.size));
  new Uint8Array(view.buffer).fill(0x61, 17, 24);
  assertEquals(readField(view, RECORD, "comm"), "aaaaaaa");
});

Deno.test("readField() reads text from memory shared between threads", () => {
  const memory = new Uint8Array(new SharedArrayBuffer(RECORD.size));
  memory.set(GOLDEN);
  assertEquals(readField(new DataView(memory.buffer), RECORD, "comm"), "curl");
});

Deno.test("readField() lends bytes instead of copying them", () => {
  const { view, base } = goldenView();
  const address = readField(view, RECORD, "address", base);
  view.setUint8(base + 24, 10);
  assertEquals(address[0], 10);
});

Deno.test("writeField() clears what longer text left behind", () => {
  const view = new DataView(new ArrayBuffer(RECORD.size));
  writeField(view, RECORD, "comm", "firefo");
  writeField(view, RECORD, "comm", "sh");
  assertEquals(new Uint8Array(view.buffer, 17, 7), Uint8Array.of(0x73, 0x68, 0, 0, 0, 0, 0));
});

Deno.test("writeField() refuses what does not fit", () => {
  const view = new DataView(new ArrayBuffer(RECORD.size));
  assertThrows(() => writeField(view, RECORD, "port", 65536), RangeError, '"port": 65536');
  assertThrows(() => writeField(view, RECORD, "port", -1), RangeError);
  assertThrows(() => writeField(view, RECORD, "delta", 32768), RangeError);
  assertThrows(() => writeField(view, RECORD, "len_bytes", 2 ** 32), RangeError);
  assertThrows(() => writeField(view, RECORD, "len_bytes", 1.5), RangeError);
  assertThrows(() => writeField(view, RECORD, "ts_ns", 1n << 64n), RangeError);
  assertThrows(() => writeField(view, RECORD, "balance", 1n << 63n), RangeError);
  assertThrows(() => writeField(view, RECORD, "comm", "1234567"), RangeError, "text has 7 bytes, room is 6");
  assertThrows(() => writeField(view, RECORD, "address", new Uint8Array(3)), RangeError, "length is 3, must be 4");
  assertThrows(() => writeField(view, RECORD, "header.pids", [1]), RangeError, "length is 1, must be 2");
  assertEquals(new Uint8Array(view.buffer), new Uint8Array(RECORD.size));
});
