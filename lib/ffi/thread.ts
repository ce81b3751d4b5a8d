/**
 * Whether a worker's thread has ended. `Worker.terminate()` only asks for it: the thread runs on until it next waits,
 * and must not be taken for dead before, since it may still write to shared memory.
 */
import { fileExists } from "./libc.ts";

/** @param threadId of this process; numbers are not given out again soon */
export function threadEnded(threadId: number): boolean {
  return !fileExists(`/proc/self/task/${threadId}`);
}
