/**
 * Bench 2: ending a window of 100,000 flows (swap, drain, decode, ten largest), ours over plain C on libbpf doing the
 * same to the same maps. Rounds of both alternate.
 */
import { FlowReducer } from "../lib/aggregate/flows/flow_reducer.ts";
import { TickClock } from "../lib/aggregate/windows/tick_clock.ts";
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import { FLOW_BSS } from "../lib/wire/layouts.gen.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import {
  benchFrame,
  DRIVER_OBJECT,
  FLOW_OBJECT,
  LOOPBACK,
  median,
  openDriver,
  outputOf,
  programPath,
} from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

/** Where the C program flips the side that packets are counted on. */
const GENERATION_AT = FLOW_BSS.fields["window.generation"].offset;

export async function bench(run: BenchRun): Promise<void> {
  const flows = run.pick(100_000, 1_000);
  const rounds = run.pick(5, 1);
  const windowsARound = run.pick(5, 3);
  run.report(`\n2. End of a window of ${flows} flows (ms; ratio = ours / C)`);
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const peer = programPath("drain");
  const { object, aim, driveFd } = openDriver(libbpf, await Deno.readFile(DRIVER_OBJECT), flows);
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
  for (let round = 0; round < rounds; round++) {
    const peerArgs = [FLOW_OBJECT, DRIVER_OBJECT, ...[flows, windowsARound, GENERATION_AT].map(String)];
    for (const line of (await outputOf(peer, ...peerArgs)).trim().split("\n")) {
      const [us, countedFlows, countedPackets] = line.split(" ").map(Number);
      run.equal("the number of flows that C counted", countedFlows, flows);
      run.equal("the number of packets that C counted", countedPackets, 2 * flows);
      theirs.push(us / 1000);
    }
    run.equal("the number of windows that C ended", theirs.length, (round + 1) * windowsARound);
    for (let i = 0; i < windowsARound; i++) {
      testRun(libbpf, driveFd, benchFrame("udp"), { repeat: 2 * flows });
      const start = performance.now();
      const { side } = probe.swap();
      const swapped = performance.now();
      probe.drain(side, (family, batch) => reducer.addBatch(family, batch));
      probe.takeCounters(side, (block) => reducer.addCounters(block));
      const window = reducer.finish(clock);
      ours.push({ total: performance.now() - start, swap: swapped - start });
      const packets = window.interfaces.reduce((sum, it) => sum + it.flows.packets, 0);
      run.equal("the number of flows", window.flows, flows);
      run.equal("the number of packets", packets, 2 * flows);
    }
  }
  const [total, peerTotal] = [median(ours.map((it) => it.total)), median(theirs)];
  const swap = median(ours.map((it) => it.swap));
  run.report(
    `   ours ${total.toFixed(1)} (of it the swap ${swap.toFixed(1)}), C ${peerTotal.toFixed(1)}: ratio ` +
      (total / peerTotal).toFixed(2),
  );
}
