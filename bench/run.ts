/**
 * All benches, one after another: `make bench`, or those that are named: `make bench BENCH="packet_cost drain"`. Machines
 * differ and are shared: quote the ratios.
 */
import { benchChannels } from "./channels.ts";
import { benchCorrelation } from "./correlation.ts";
import { benchCriticalLatency } from "./critical_latency.ts";
import { benchCriticalLoss } from "./critical_loss.ts";
import { benchDoubleBuffer } from "./double_buffer.ts";
import { benchDrain } from "./drain.ts";
import { benchEnrich } from "./enrich.ts";
import { benchFleet } from "./fleet.ts";
import { benchFleetServe } from "./fleet_serve.ts";
import { benchForward } from "./forward.ts";
import { benchHistory } from "./history.ts";
import { benchOpenCost } from "./open_cost.ts";
import { benchOverflow } from "./overflow.ts";
import { benchPacketCost } from "./packet_cost.ts";
import { benchPipeline } from "./pipeline.ts";
import { benchReplay } from "./replay.ts";
import { benchRingRead } from "./ring_read.ts";
import { benchSocketCost } from "./socket_cost.ts";
import { benchStages } from "./stages.ts";
import { benchSyscallCost } from "./syscall_cost.ts";

/** In the order of the data path. */
const BENCHES: Record<string, () => void | Promise<void>> = {
  packet_cost: benchPacketCost,
  overflow: benchOverflow,
  drain: benchDrain,
  forward: benchForward,
  double_buffer: benchDoubleBuffer,
  ring_read: benchRingRead,
  open_cost: benchOpenCost,
  syscall_cost: benchSyscallCost,
  socket_cost: benchSocketCost,
  critical_latency: benchCriticalLatency,
  critical_loss: benchCriticalLoss,
  channels: benchChannels,
  stages: benchStages,
  enrich: benchEnrich,
  pipeline: benchPipeline,
  history: benchHistory,
  replay: benchReplay,
  correlation: benchCorrelation,
  fleet: benchFleet,
  fleet_serve: benchFleetServe,
};

const unknown = Deno.args.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`Cannot run ${unknown.join(", ")}: there are ${Object.keys(BENCHES).join(", ")}`);
  Deno.exit(2);
}
console.log(`Deno ${Deno.version.deno}, Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} CPUs`);
for (const [name, bench] of Object.entries(BENCHES)) {
  if (Deno.args.length === 0 || Deno.args.includes(name)) await bench();
}
