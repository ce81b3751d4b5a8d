/**
 * Bench: a window of a second at a million packets/s over 1,000, 100,000 and 1,000,000 flows, in maps that hold all of
 * them and in maps that do not: nanoseconds a packet over those of a program that only passes, records a window, and how
 * many of the largest hundred flows are named.
 */
import { drainWindow } from "../lib/aggregate/flows/drain_window.ts";
import { FlowReducer } from "../lib/aggregate/flows/flow_reducer.ts";
import { largestFlows } from "../lib/aggregate/flows/overflow_rank.ts";
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import { countsOf, FlowSequence, sequenceAddress, zipf } from "../tests/support/flow_sequence.ts";
import { DRIVER_OBJECT, FLOW_OBJECT, LOOPBACK, median, openDriver } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const TOP_MAX = 100;

/** A window of this sequence. @returns nanoseconds a packet, and what the window says */
function runWindow(probe: FlowProbe, reducer: FlowReducer, { traffic, sequence }: {
  traffic: FlowSequence;
  sequence: Uint32Array;
}) {
  const ns = traffic.run(probe.programFd("ingress_xdp"), sequence);
  const { side } = probe.swap();
  const started = performance.now();
  drainWindow(probe, side, { reducer });
  const window = reducer.finish({ toNs: (ticks) => ticks });
  return { ns, window, drainMs: performance.now() - started };
}

async function benchMap(run: BenchRun, libbpf: Libbpf, { flows, flowsMax, packets, passFd, traffic }: {
  flows: number;
  flowsMax: number;
  packets: number;
  passFd: number;
  traffic: FlowSequence;
}): Promise<void> {
  const sequence = zipf(flows, packets, { skew: 1, seed: 1 });
  const counts = countsOf(sequence, flows);
  const elf = await Deno.readFile(FLOW_OBJECT);
  using probe = FlowProbe.create(libbpf, elf, LOOPBACK, { flowsMax, values: "atomic" });
  await probe.prepareSpare();
  const interfaceOfSlot: string[] = [];
  interfaceOfSlot[probe.slotOf[0]] = "lo";
  const reducer = new FlowReducer({ interfaceOfSlot, valuesPerEntry: 1, topMax: TOP_MAX, filter: null });
  const pass: number[] = [];
  const ours: number[] = [];
  const drains: number[] = [];
  let last: ReturnType<typeof runWindow>["window"] | undefined;
  for (let round = 0; round < run.pick(5, 1); round++) {
    pass.push(traffic.run(passFd, sequence));
    const { ns, window, drainMs } = runWindow(probe, reducer, { traffic, sequence });
    ours.push(ns);
    drains.push(drainMs);
    last = window;
    const [{ seen, flows: named, overflow }] = window.interfaces;
    run.equal("the number of packets that were seen", seen.packets, packets);
    run.equal("the number of packets in flows and in the overflow", named.packets + overflow.packets, packets);
    const distinct = counts.filter((count) => count > 0).length;
    run.equal("the number of flows", window.flows, Math.min(distinct, flowsMax));
    const sent = new Map(Array.from(counts, (count, flow) => [sequenceAddress(flow), count]));
    if (distinct <= flowsMax) {
      for (const { src, packets } of window.top) {
        run.equal(`the number of packets from ${src}`, packets, sent.get(src)!);
      }
    }
  }
  const { overflow, interfaces } = last!;
  const records = last!.flows + (overflow === undefined ? 0 : overflow.prefixes.length + overflow.estimates.length);
  const named = new Set(largestFlows(last!, "packets", TOP_MAX).map(({ src }) => src));
  const largest = Array.from(counts.keys()).sort((a, b) => counts[b] - counts[a]).slice(0, TOP_MAX);
  const hits = largest.filter((flow) => named.has(sequenceAddress(flow))).length;
  const lost = interfaces[0].overflow.packets / interfaces[0].seen.packets;
  run.report(
    `   ${String(flows).padStart(9)} flows, maps of ${String(flowsMax).padStart(7)}: ${
      median(ours) - median(pass)
    } ns, ` +
      `overflow ${(lost * 100).toFixed(1)} %, packets a record ${(packets / records).toFixed(1)}, ` +
      `drain ${median(drains).toFixed(0)} ms, largest 100 named: ${hits}`,
  );
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\nMaps that are too small (BPF_PROG_TEST_RUN; ns a packet less those of a program that passes)");
  const packets = run.pick(1_000_000, 20_000);
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  using object = openDriver(libbpf, await Deno.readFile(DRIVER_OBJECT), 1).object;
  using traffic = new FlowSequence(libbpf, packets);
  const passFd = object.programFd("pass");
  for (const flows of run.pick([1_000, 100_000, 1_000_000], [100, 10_000])) {
    for (const flowsMax of run.pick([10_000, 131_072], [1_000, 20_000])) {
      await benchMap(run, libbpf, { flows, flowsMax, packets, passFd, traffic });
    }
  }
}
