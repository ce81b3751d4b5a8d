import { assertEquals } from "../../tests/assert.ts";
import { Backoff } from "./backoff.ts";

Deno.test("Backoff doubles its bound up to the limit, and jitter takes anything below it", () => {
  const highest = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
  assertEquals(Array.from({ length: 6 }, () => highest.next()), [100, 200, 400, 800, 1000, 1000]);
  highest.reset();
  assertEquals(highest.next(), 100);
  const lowest = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 0 });
  assertEquals([lowest.next(), lowest.next()], [0, 0]);
});

Deno.test("Backoff stays at the limit after a thousand failures", () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
  for (let i = 0; i < 2000; i++) backoff.next();
  assertEquals(backoff.next(), 1000);
});
