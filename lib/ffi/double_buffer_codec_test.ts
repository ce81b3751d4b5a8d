import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { bytesCodec, type Codec, U32, U64 } from "./double_buffer_codec.ts";

/** The bytes of a value, and what they are read back as; at an odd place in a larger buffer. */
function coded<T>(codec: Codec<T>, value: T): [number[], T] {
  const view = new DataView(new ArrayBuffer(16), 1);
  codec.encode(value, view, 2);
  const bytes = [...new Uint8Array(view.buffer)];
  assertEquals(bytes.toSpliced(3, codec.sizeBytes), new Array(16 - codec.sizeBytes).fill(0));
  return [bytes.slice(3, 3 + codec.sizeBytes), codec.decode(view, 2)];
}

Deno.test("codecs write the bytes of C types, and read them back", () => {
  assertEquals(coded(U32, 0xfffefdfc), [[0xfc, 0xfd, 0xfe, 0xff], 0xfffefdfc]);
  assertEquals(coded(U64, 0xff00000000000001n), [[1, 0, 0, 0, 0, 0, 0, 0xff], 0xff00000000000001n]);
  assertEquals(coded(bytesCodec(3), Uint8Array.of(7, 8, 9)), [[7, 8, 9], Uint8Array.of(7, 8, 9)]);
});

Deno.test("codecs refuse what does not fit", () => {
  for (const value of [-1, 2 ** 32, 0.5, NaN]) {
    assertThrows(() => coded(U32, value), RangeError, `Cannot encode ${value}`);
  }
  for (const value of [-1n, 1n << 64n]) assertThrows(() => coded(U64, value), RangeError, "an integer of 64 bits");
  assertThrows(() => coded(bytesCodec(3), Uint8Array.of(1)), RangeError, "Cannot encode 1 bytes: the struct has 3");
});
