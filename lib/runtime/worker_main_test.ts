import { assertEquals, assertMatch, assertStringIncludes } from "../../tests/assert.ts";
import type { FailingRequest } from "../../tests/support/failing_worker.ts";
import { WorkerError, type WorkerFailure, WorkerHandle } from "./worker_handle.ts";

const WORKER = new URL("../../tests/support/failing_worker.ts", import.meta.url);

type Handle = WorkerHandle<FailingRequest, { kind: "never" }>;

async function nextFailure(handle: Handle): Promise<WorkerFailure> {
  try {
    return await handle.next() as never;
  } catch (error) {
    if (error instanceof WorkerError) return error.failure;
    throw error;
  }
}

/** The failures that requests end in, one each. */
async function failuresOf(...kinds: FailingRequest["kind"][]): Promise<WorkerFailure[]> {
  using handle: Handle = new WorkerHandle(WORKER, { kind: "start" });
  const failures: WorkerFailure[] = [];
  for (const kind of kinds) {
    handle.send({ kind });
    failures.push(await nextFailure(handle));
  }
  return failures;
}

Deno.test("WorkerMain reports what failed first, and what could not be freed after it as a detail", async () => {
  const [{ message, detail, exitCode }] = await failuresOf("throw");
  assertEquals([message, exitCode], ["Cannot do it", 1]);
  assertMatch(detail, /^Error: Cannot do it\n/);
  assertStringIncludes(detail, "\nAfter that, nothing could be freed cleanly: Error: Cannot free it\n");
});

Deno.test("WorkerMain keeps the log of a system call in front of what could not be freed", async () => {
  const [{ detail }] = await failuresOf("refuse");
  assertMatch(detail, /^the verifier's log\nAfter that, nothing could be freed cleanly: Error: Cannot free it\n/);
});

Deno.test("WorkerMain does not try twice to free what cannot be freed", async () => {
  const [first, second] = await failuresOf("end", "throw");
  assertEquals([first.message, second.message], ["Cannot free it", "Cannot do it"]);
  assertEquals(second.detail.includes("Cannot free it"), false);
});
