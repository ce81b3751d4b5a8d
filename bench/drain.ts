/**
 * Bench 2: ending a window of 100,000 flows (swap, drain, decode, ten largest), ours over plain C on libbpf doing the
 * same to the same maps. Rounds of both alternate.
 */
import { FlowReducer } from "../lib/aggregate/flows/flow_reducer.ts";
import { TickClock } from "../lib/aggregate/windows/tick_clock.ts";
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { benchFrame, compileC, DRIVER_OBJECT, FLOW_OBJECT, LOOPBACK, median, openDriver, run } from "./support.ts";

const FLOWS = 100_000;
const ROUNDS = 5;
const WINDOWS_A_ROUND = 5;

export async function benchDrain(): Promise<void> {
  console.log(`\n2. End of a window of ${FLOWS} flows (ms; ratio = ours / C)`);
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const peer = await compileC("drain");
  const { object, aim, driveFd } = openDriver(libbpf, await Deno.readFile(DRIVER_OBJECT), FLOWS);
  using _object = object;
  using probe = FlowProbe.create(libbpf, await Deno.readFile(FLOW_OBJECT), LOOPBACK, {
    flowsMax: 131_072,
    values: "atomic",
  });
  await probe.prepareSpare();
  aim(probe.programFd("ingress_xdp"));
  const clock = new TickClock(probe.sampleClock());
  const reducer = new FlowReducer({ interfaceOfSlot: ["lo", "lo"], valuesPerEntry: 1, topMax: 10, filter: null });

  const ours: { total: number; swap: number }[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const peerArgs = [FLOW_OBJECT, DRIVER_OBJECT, String(FLOWS), String(WINDOWS_A_ROUND)];
    theirs.push(...(await run(peer, ...peerArgs)).trim().split("\n").map((us) => Number(us) / 1000));
    for (let i = 0; i < WINDOWS_A_ROUND; i++) {
      testRun(libbpf, driveFd, benchFrame("udp"), { repeat: 2 * FLOWS });
      const start = performance.now();
      const { side } = probe.swap();
      const swapped = performance.now();
      probe.drain(side, (family, batch) => reducer.addBatch(family, batch));
      probe.takeCounters(side, (block) => reducer.addCounters(block));
      const { flows, interfaces } = reducer.finish(clock);
      ours.push({ total: performance.now() - start, swap: swapped - start });
      const packets = interfaces.reduce((sum, it) => sum + it.flows.packets, 0);
      if (flows !== FLOWS || packets !== 2 * FLOWS) throw new Error(`Counted ${packets} packets in ${flows} flows`);
    }
  }
  const [total, peerTotal] = [median(ours.map((it) => it.total)), median(theirs)];
  const swap = median(ours.map((it) => it.swap));
  console.log(
    `   ours ${total.toFixed(1)} (of it the swap ${swap.toFixed(1)}), C ${peerTotal.toFixed(1)}: ratio ` +
      (total / peerTotal).toFixed(2),
  );
}

if (import.meta.main) await benchDrain();
