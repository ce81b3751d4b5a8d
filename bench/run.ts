/** All benches, one after another: `make bench`. Machines differ and are shared: quote the ratios. */
import { benchCriticalLatency } from "./critical_latency.ts";
import { benchCriticalLoss } from "./critical_loss.ts";
import { benchDrain } from "./drain.ts";
import { benchForward } from "./forward.ts";
import { benchOpenCost } from "./open_cost.ts";
import { benchPacketCost } from "./packet_cost.ts";
import { benchRingRead } from "./ring_read.ts";

console.log(`Deno ${Deno.version.deno}, Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} CPUs`);
await benchPacketCost();
await benchDrain();
await benchForward();
await benchRingRead();
await benchOpenCost();
await benchCriticalLatency();
await benchCriticalLoss();
