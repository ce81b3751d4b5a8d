import { assertEquals } from "../../tests/assert.ts";
import { crc32c } from "./crc32c.ts";

Deno.test("crc32c() gives what RFC 3720 lists", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assertEquals(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

Deno.test("crc32c() goes on where it stopped", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
  for (const cut of [0, 1, 8, 13, 99, 100]) {
    assertEquals(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes));
  }
});
