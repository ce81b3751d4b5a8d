/** A worker's own end of a failure: from what was thrown to what crosses. */
import { exitCodeOf, SystemError } from "./errors.ts";
import type { WorkerFailure } from "./worker_handle.ts";

/** The log of the system call that failed, or else the stack, becomes the detail. */
export function failureOf(error: unknown): WorkerFailure {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof SystemError ? error.cause : error;
  const log = cause instanceof SystemError ? cause.log : "";
  return { message, exitCode: exitCodeOf(error), detail: log || (error instanceof Error && error.stack) || "" };
}
