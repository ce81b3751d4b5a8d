/** Waiting for what a test has set going. */
import { delay } from "../../lib/runtime/timers.ts";

const LOOK_MS = 5;

/**
 * Waits until `condition` holds.
 *
 * @param what is to happen, for the error
 * @throws {Error} when it does not hold after `timeoutMs`
 */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = "what the test waits for",
  timeoutMs = 10_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`Cannot go on: ${what} did not happen in ${timeoutMs} ms`);
    await delay(LOOK_MS);
  }
}
