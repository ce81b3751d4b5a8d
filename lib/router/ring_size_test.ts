import { assertEquals } from "../../tests/assert.ts";
import { RingSize } from "./ring_size.ts";

Deno.test("RingSize doubles a ring that dropped, up to its limit", () => {
  const size = new RingSize(64, 256);
  assertEquals([size.next(0n), size.next(1n), size.next(2n), size.next(3n), size.next(3n)], [64, 128, 256, 256, 256]);
});

Deno.test("RingSize doubles a ring that was nearly full once", () => {
  const size = new RingSize(64, 256);
  size.observe(0.8);
  size.observe(0.1);
  assertEquals([size.next(0n), size.next(0n)], [128, 128]);
});

Deno.test("RingSize gives room back step by step after quiet times, never below the start", () => {
  const size = new RingSize(64, 256);
  size.next(1n);
  size.next(2n);
  const sizes = Array.from({ length: 100 }, () => size.next(2n));
  assertEquals([sizes[28], sizes[29], sizes[58], sizes[59], sizes[99]], [256, 128, 128, 64, 64]);
});

Deno.test("RingSize keeps a larger ring that is in use", () => {
  const size = new RingSize(64, 256);
  size.next(1n);
  for (let i = 0; i < 100; i++) {
    size.observe(0.3);
    assertEquals(size.next(1n), 128);
  }
});
