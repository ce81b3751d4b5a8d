/** An agent and a server in one bundle: says OK when an event got through, over mutual TLS. */
import { Batcher } from "../../lib/fleet/agent/batcher.ts";
import { AgentLink } from "../../lib/fleet/agent/link.ts";
import { Spool } from "../../lib/fleet/agent/spool.ts";
import { bySeverity } from "../../lib/fleet/by_severity.ts";
import { FleetServer } from "../../lib/fleet/server/grpc_service.ts";
import { fleetEvent } from "./fleet_events.ts";
import { delay } from "../../lib/runtime/timers.ts";

const tls: { ca: string; cert: string; key: string } = JSON.parse(Deno.args[0]);
const onNotice = (notice: string) => console.error(notice);
let stored = 0;
const server = await FleetServer.listen({
  listen: { host: "127.0.0.1", port: 0 },
  store: {
    lastSequences: () => Promise.resolve(bySeverity(0)),
    accept: (batches) => {
      for (const { events } of batches) stored += events;
      return Promise.resolve();
    },
  },
  tls,
  onNotice,
});
using spool = new Spool({ memoryBytesMax: 1_000_000, onNotice });
const link = new AgentLink(spool, {
  servers: [{ host: "127.0.0.1", port: server.port }],
  identity: { agentId: "agent-1", host: "", version: "", bootId: "" },
  tls,
  gzip: true,
  onNotice,
});
const clock = () => ({ unixNs: 0n, bootUnixNs: 0n });
const batcher = new Batcher(spool, { flushMs: 0, bytesMax: 100_000, clock, onBatch: () => link.wake() });
batcher.add(Array.from({ length: 1000 }, (_, n) => fleetEvent(n)));
const stopping = new AbortController();
const running = link.run(stopping.signal);
while (spool.stats.events.acknowledged < 1000) await delay(5);
stopping.abort();
await running;
await server.drain(1000);
console.log(stored === 1000 ? "OK" : `stored ${stored}`);
Deno.exit(0);
