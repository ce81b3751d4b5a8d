/** All benches, one after another: `make bench`. Machines differ and are shared: quote the ratios. */
import { benchDrain } from "./drain.ts";
import { benchForward } from "./forward.ts";
import { benchPacketCost } from "./packet_cost.ts";

console.log(`Deno ${Deno.version.deno}, Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} CPUs`);
await benchPacketCost();
await benchDrain();
await benchForward();
