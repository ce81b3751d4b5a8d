import { assertEquals } from "../../tests/assert.ts";
import { type DeadLetter, DeadLetters } from "./dead_letters.ts";

function letter(unixNs: bigint, record = Uint8Array.of(1)): DeadLetter {
  return { stage: "filter", error: "no", attempts: 1, unixNs, record };
}

Deno.test("DeadLetters drops the oldest when it is full, and counts it", () => {
  const queue = new DeadLetters(3);
  for (let i = 0n; i < 8n; i++) {
    queue.add(letter(i));
    assertEquals(queue.added, queue.size + queue.dropped);
  }
  assertEquals(queue.letters().map(({ unixNs }) => unixNs), [5n, 6n, 7n]);
  assertEquals([queue.size, queue.added, queue.dropped], [3, 8, 5]);
  assertEquals(queue.take().map(({ unixNs }) => unixNs), [5n, 6n, 7n]);
  assertEquals([queue.size, queue.take()], [0, []]);
  for (let i = 10n; i < 14n; i++) queue.add(letter(i));
  assertEquals(queue.take().map(({ unixNs }) => unixNs), [11n, 12n, 13n]);
});

Deno.test("DeadLetters copies a record that is lent, and keeps no endless error", () => {
  const queue = new DeadLetters(1);
  const memory = Uint8Array.of(9, 1, 2, 9);
  queue.add({ ...letter(1n, memory.subarray(1, 3)), error: "x".repeat(5_000) });
  memory.fill(0);
  const [kept] = queue.letters();
  assertEquals([...kept.record], [1, 2]);
  assertEquals([kept.record.buffer.byteLength, kept.error.length], [2, 1_000]);
});
