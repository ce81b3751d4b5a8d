/** A fleet server of its own process, so that it can be killed. Says READY and its port, drains on SIGTERM. */
import { FleetServer, type FleetServerOptions } from "../../lib/fleet/server/grpc_service.ts";
import { bySeverity } from "../../lib/fleet/by_severity.ts";
import type { FleetStore } from "../../lib/fleet/server/fleet_store.ts";
import { FileStore } from "./fleet_file_store.ts";

export interface ServerProgramOptions extends Omit<FleetServerOptions, "store" | "onNotice"> {
  /** File of the store; none: what is accepted is forgotten. */
  storePath?: string;
}

const options: ServerProgramOptions = JSON.parse(Deno.args[0]);
const forgetful: FleetStore = {
  lastSequences: () => Promise.resolve(bySeverity(0)),
  accept: () => Promise.resolve(),
};
const store = options.storePath === undefined ? forgetful : new FileStore(options.storePath);
const server = await FleetServer.listen({ ...options, store, onNotice: (notice) => console.error(notice) });
console.log(`READY ${server.port}`);
await new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
await server.drain(5000);
Deno.exit(0);
