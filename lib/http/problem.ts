/** Answers to requests that go wrong. */
import type { Context } from "hono";

/** A request that makes no sense; its message says what would. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

/** Answers with an error, as JSON. */
export function problem(
  context: Context,
  status: 400 | 401 | 403 | 404 | 408 | 413 | 415 | 422 | 500 | 503,
  error: string,
): Response {
  return context.json({ error }, status);
}
