import { assertEquals } from "../../tests/assert.ts";
import { type Failure, RetryQueue, type RetryQueueOptions } from "./retry_queue.ts";
import { type After, after } from "./timers.ts";

const BUSY: Failure = { reason: "busy", retry: true };
const TIMEOUT_MS = 99_999;
const GRACE_MS = 77_777;

/** Answers with these in turn, the last one again and again; "never": when the attempt is ended. */
function scripted(answers: (Failure | null | Error | "never")[], options: Partial<RetryQueueOptions<string>> = {}) {
  const seen = { batches: [] as string[][], givenUp: [] as [string[], string][], waits: [] as number[], retries: 0 };
  // Long waits end when they are cancelled, short ones at once.
  const instant: After = (ms, callback) => {
    if (ms === TIMEOUT_MS || ms === GRACE_MS) return after(ms, callback);
    seen.waits.push(ms);
    return after(0, callback);
  };
  const queue = new RetryQueue<string>({
    attempt: async (batch, signal) => {
      seen.batches.push(batch);
      const answer = answers[Math.min(seen.batches.length, answers.length) - 1];
      if (answer instanceof Error) throw answer;
      if (answer !== "never") return answer;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      throw new DOMException("aborted", "AbortError");
    },
    givenUp: (batch, reason) => seen.givenUp.push([batch, reason]),
    retrying: () => seen.retries++,
    after: instant,
    random: () => 1,
    timeoutMs: TIMEOUT_MS,
    attemptsMax: 4,
    backoffMs: 100,
    backoffMsMax: 250,
    ...options,
  });
  return { queue, seen };
}

Deno.test("RetryQueue delivers in order, one after the other or as many at a time as it is told", async () => {
  const single = scripted([null]);
  for (const item of ["a", "b", "c"]) single.queue.push(item);
  assertEquals(single.queue.size, 3);
  await single.queue.close(GRACE_MS);
  assertEquals([single.seen.batches, single.queue.size], [[["a"], ["b"], ["c"]], 0]);

  const pairs = scripted([null], { batchLength: (waiting) => Math.min(2, waiting.length) });
  for (const item of ["a", "b", "c"]) pairs.queue.push(item);
  await pairs.queue.close(GRACE_MS);
  assertEquals(pairs.seen.batches, [["a", "b"], ["c"]]);
});

Deno.test("RetryQueue waits longer each time up to a bound, or for as long as the receiver says", async () => {
  const { queue, seen } = scripted([BUSY, { ...BUSY, retryAfterMs: 7 }, new Error("refused"), null]);
  queue.push("a");
  await queue.close(GRACE_MS);
  assertEquals([seen.waits, seen.retries, seen.givenUp], [[100, 7, 250], 3, []]);
});

Deno.test("RetryQueue gives up after the last attempt, or at once where insisting is of no use", async () => {
  const busy = scripted([BUSY, BUSY, null], { attemptsMax: 2 });
  busy.queue.push("a");
  busy.queue.push("b");
  await busy.queue.close(GRACE_MS);
  assertEquals(busy.seen.givenUp, [[["a"], "busy, attempt 2 of 2"]]);
  assertEquals(busy.seen.batches, [["a"], ["a"], ["b"]]);

  const refused = scripted([{ reason: "refused", retry: false }]);
  refused.queue.push("a");
  await refused.queue.close(GRACE_MS);
  assertEquals([refused.seen.givenUp, refused.seen.retries], [[[["a"], "refused, attempt 1 of 4"]], 0]);
});

Deno.test("RetryQueue ends an attempt that takes too long", async () => {
  const { queue, seen } = scripted(["never", null], { timeoutMs: 3 });
  queue.push("a");
  await queue.close(GRACE_MS);
  assertEquals([seen.batches.length, seen.givenUp], [2, []]);
  const late = scripted(["never"], { timeoutMs: 3, attemptsMax: 1 });
  late.queue.push("a");
  await late.queue.close(GRACE_MS);
  assertEquals(late.seen.givenUp, [[["a"], "no answer in 3 ms, attempt 1 of 1"]]);
});

Deno.test("RetryQueue.close() waits no longer than told, and gives up what is left", async () => {
  const { queue, seen } = scripted(["never"]);
  queue.push("a");
  queue.push("b");
  await queue.close(3);
  assertEquals(seen.givenUp, [[["a"], "aborted, attempt 1 of 4"], [["b"], "stopped before it was sent"]]);
  assertEquals([queue.stopped, queue.size, seen.retries], [true, 0, 0]);
});
