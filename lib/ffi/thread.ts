/**
 * Tells whether a worker's thread has ended. `Worker.terminate()` returns while the thread still runs, until it next
 * waits. Until then it may write to shared memory.
 */
import { fileExists } from "./libc.ts";

/** True when the thread has ended. @param threadId id of a thread of this process; the kernel does not reuse it soon */
export function threadEnded(threadId: number): boolean {
  return !fileExists(`/proc/self/task/${threadId}`);
}
