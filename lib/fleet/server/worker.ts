/**
 * The worker that owns the fleet's store. A call that fails rejects for its caller alone. The messages are in
 * store_messages.ts.
 */
/// <reference lib="deno.worker" />
import { WorkerMain } from "../../runtime/worker_main.ts";
import { FleetDatabase } from "./database.ts";
import type { StoreCallName, StoreCalls, StoreReport, StoreRequest } from "./store_messages.ts";

type Handlers = {
  [Name in StoreCallName]: (
    database: FleetDatabase,
    request: StoreCalls[Name]["request"],
  ) => StoreCalls[Name]["answer"];
};

const HANDLERS: Handlers = {
  accept: (database, { batches, position }) => database.accept(batches, position),
  lastSequences: (database, { source }) => database.lastSequences(source),
  read: (database, { after, limit }) => database.read(after, limit),
  addGroups: (database, { groups, checkpoint }) => database.addGroups(groups, checkpoint),
  untraced: (database, { after, limit }) => database.untraced(after, limit),
  traced: (database, { ids }) => database.traced(ids),
  forgetUntraced: (database) => database.forgetUntraced(),
  checkpoint: (database, { reader }) => database.checkpoint(reader),
  agents: (database) => database.agents(),
  groups: (database, { query }) => database.groups(query),
  topFlows: (database, { query }) => database.topFlows(query),
  alerts: (database, { limit }) => database.alerts(limit),
  counts: (database) => database.counts(),
};

function report(message: StoreReport): void {
  self.postMessage(message);
}

const main = new WorkerMain<StoreRequest, FleetDatabase>();

main.serve((request) => {
  switch (request.kind) {
    case "start":
      main.run = new FleetDatabase(request.options);
      report({ kind: "ready" });
      break;
    case "call": {
      const { id, name } = request;
      if (main.run === undefined) return report({ kind: "refused", id, why: "the store is closed" });
      try {
        // That a request belongs to its name is beyond what the compiler follows through a table.
        const handle = HANDLERS[name] as (database: FleetDatabase, request: unknown) => unknown;
        report({ kind: "answer", id, answer: handle(main.run, request.request) });
      } catch (error) {
        report({ kind: "refused", id, why: (error as Error).message });
      }
      break;
    }
    case "stop":
      main.end();
      report({ kind: "stopped" });
      break;
    default:
      request satisfies never;
  }
});
