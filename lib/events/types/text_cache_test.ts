import { assertEquals } from "../../../tests/assert.ts";
import { TextCache } from "./text_cache.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("TextCache.decode() gives the same text first, again, and after another took its slot", () => {
  // One slot: every text meets every other.
  const cache = new TextCache(1, 8);
  for (const text of ["a", "a", "b", "ab", "a", "", "żółw", "żółw", "b"]) {
    const padded = bytes(`>${text}<`);
    assertEquals(cache.decode(padded, 1, padded.length - 1), text);
  }
});

Deno.test("TextCache.decode() tells texts of one length apart, and texts that start alike", () => {
  const cache = new TextCache(2, 8);
  for (const text of ["bash", "bass", "bas", "bash", "bash0", "bash"]) {
    assertEquals(cache.decode(bytes(text), 0, bytes(text).length), text);
  }
});

Deno.test("TextCache.decode() takes a text of any length, and bytes that are no UTF-8", () => {
  const cache = new TextCache(4, 8);
  const long = "x".repeat(300);
  assertEquals(cache.decode(bytes(long), 0, 300), long);
  assertEquals(cache.decode(bytes("12345678"), 0, 8), "12345678");
  for (let i = 0; i < 2; i++) assertEquals(cache.decode(Uint8Array.of(0x61, 0xff, 0x62), 0, 3), "a\ufffdb");
});
