import { assertEquals } from "../../tests/assert.ts";
import { frameBatch, unframeBatch } from "./method.ts";

Deno.test("unframeBatch() gives what frameBatch() was given, of any length", () => {
  for (const lengthBytes of [0, 1, 127, 128, 16_383, 16_384, 3_000_000]) {
    const batch = crypto.getRandomValues(new Uint8Array(Math.min(lengthBytes, 60_000)));
    const whole = new Uint8Array(lengthBytes);
    whole.set(batch);
    assertEquals(unframeBatch(frameBatch(whole)), whole, `${lengthBytes}`);
  }
});

Deno.test("unframeBatch() leaves alone what is not one batch and nothing else", () => {
  const frame = frameBatch(new Uint8Array([1, 2, 3]));
  assertEquals(unframeBatch(new Uint8Array([...frame, ...frame])), null);
  assertEquals(unframeBatch(frame.subarray(0, frame.length - 1)), null);
  assertEquals(unframeBatch(new Uint8Array([0x0a, 0])), null);
  assertEquals(unframeBatch(new Uint8Array([])), null);
});
