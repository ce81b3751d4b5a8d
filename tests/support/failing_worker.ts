/** A worker that fails at what it is told, and then at freeing what it holds, for worker_main_test.ts. */
import { SystemError } from "../../lib/runtime/errors.ts";
import { WorkerMain } from "../../lib/runtime/worker_main.ts";

/** `start`: holds something that cannot be freed. The others fail with it. */
export type FailingRequest = { kind: "start" } | { kind: "throw" } | { kind: "refuse" } | { kind: "end" };

class Run implements Disposable {
  [Symbol.dispose](): void {
    throw new Error("Cannot free it");
  }
}

if (typeof WorkerGlobalScope !== "undefined") {
  const main = new WorkerMain<FailingRequest, Run>();
  main.serve(({ kind }) => {
    switch (kind) {
      case "start":
        main.run = new Run();
        return;
      case "throw":
        throw new Error("Cannot do it");
      case "refuse":
        throw new SystemError("load it", 22, { log: "the verifier's log" });
      case "end":
        return main.end();
      default:
        kind satisfies never;
    }
  });
}
