import { assertEquals } from "../../tests/assert.ts";
import { type After, after, delay } from "./timers.ts";

/** A timer that fires at once, or waits for ever, and counts how often it was cancelled. */
function fakeAfter(firesAtOnce: boolean) {
  const seen = { waits: [] as number[], cancelled: 0 };
  const fake: After = (ms, callback) => {
    seen.waits.push(ms);
    if (firesAtOnce) queueMicrotask(callback);
    return () => seen.cancelled++;
  };
  return { seen, fake };
}

Deno.test("after() calls back, unless it is cancelled", async () => {
  const called: string[] = [];
  const cancel = after(0, () => called.push("cancelled"));
  cancel();
  await new Promise<void>((resolve) => after(1, resolve));
  assertEquals(called, []);
});

Deno.test("delay() ends when the time is over", async () => {
  const { seen, fake } = fakeAfter(true);
  await delay(7, { after: fake });
  assertEquals(seen.waits, [7]);
});

Deno.test("delay() ends with its signal, and leaves no timer behind", async () => {
  const { seen, fake } = fakeAfter(false);
  const stop = new AbortController();
  const slept = delay(1_000, { signal: stop.signal, after: fake });
  stop.abort();
  await slept;
  assertEquals(seen, { waits: [1_000], cancelled: 1 });
  await delay(1_000, { signal: stop.signal, after: fake });
  assertEquals(seen.waits, [1_000]);
});
