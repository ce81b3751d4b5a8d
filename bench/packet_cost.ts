/**
 * Bench 1: nanoseconds a packet of the shipped XDP program, less those of a program that only passes, over the same
 * for the simplest flow counter. One flow, then 100,000; TCP and UDP.
 */
import { drainWindow } from "../lib/aggregate/flows/drain_window.ts";
import { FlowReducer } from "../lib/aggregate/flows/flow_reducer.ts";
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import type { BpfObject } from "../lib/ffi/bpf_object.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { benchFrame, DRIVER_OBJECT, FLOW_OBJECT, LOOPBACK, median, openDriver } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

/** Entries that the map of the simplest flow counter holds. */
const SIMPLE_FLOWS_MAX = 131_072;
const XDP_PASS = 2;

/** Ends the window. @returns how many flows and packets were counted in it */
function counted(probe: FlowProbe, valuesPerEntry: number): { flows: number; packets: number } {
  const reducer = new FlowReducer({ interfaceOfSlot: ["lo", "lo"], valuesPerEntry, topMax: 10, filter: null });
  const { side } = probe.swap();
  drainWindow(probe, side, { reducer });
  const { flows, interfaces } = reducer.finish({ toNs: (ticks) => ticks });
  return { flows, packets: interfaces.reduce((sum, it) => sum + it.flows.packets, 0) };
}

/** The same of the simplest flow counter, whose map it empties. */
function countedSimply(object: BpfObject): { flows: number; packets: number } {
  const map = object.map("simple_flows");
  let packets = 0;
  const flows = map.drain(({ count, values }) => {
    const view = new DataView(values.buffer, values.byteOffset);
    // struct simple_value begins with the packets.
    for (let i = 0; i < count; i++) packets += Number(view.getBigUint64(i * map.spec.valueBytes, true));
  }, SIMPLE_FLOWS_MAX);
  return { flows, packets };
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\n1. Cost of a packet (BPF_PROG_TEST_RUN, ns; ratio = (ours - pass) / (simple - pass))");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const driverElf = await Deno.readFile(DRIVER_OBJECT);
  const flowElf = await Deno.readFile(FLOW_OBJECT);
  const rounds = run.pick(15, 2);
  const flowsMax = run.pick(131_072, 2_048);
  const packets = run.pick(1_000_000, 5_000);
  for (const flows of [1, run.pick(100_000, 1_000)]) {
    for (const proto of ["udp", "tcp"] as const) {
      const { object, aim, driveFd } = openDriver(libbpf, driverElf, flows);
      using _object = object;
      using atomic = FlowProbe.create(libbpf, flowElf, LOOPBACK, { flowsMax, values: "atomic" });
      using percpu = FlowProbe.create(libbpf, flowElf, LOOPBACK, { flowsMax, values: "percpu" });
      await Promise.all([atomic.prepareSpare(), percpu.prepareSpare()]);
      const programs = {
        pass: object.programFd("pass"),
        simple: object.programFd("simple"),
        ours: atomic.programFd("ingress_xdp"),
        "ours, per CPU": percpu.programFd("ingress_xdp"),
      };
      const durations = Object.entries(programs).map(([name, fd]) => ({ name, fd, ns: [] as number[] }));
      for (let round = 0; round < rounds; round++) {
        for (const { fd, ns } of durations) {
          aim(fd);
          const frame = benchFrame(proto);
          const { result, durationNs } = testRun(libbpf, flows === 1 ? fd : driveFd, frame, { repeat: packets });
          run.equal("what a program says to do with a packet", result, XDP_PASS);
          ns.push(durationNs);
        }
      }
      for (
        const [who, sum] of [
          ["simple", countedSimply(object)],
          ["ours", counted(atomic, 1)],
          ["ours, per CPU", counted(percpu, percpu.cpus)],
        ] as const
      ) {
        run.equal(`the number of flows that "${who}" counted`, sum.flows, flows);
        run.equal(`the number of packets that "${who}" counted`, sum.packets, rounds * packets);
      }
      const [pass, simple, ours, oursPerCpu] = durations.map(({ ns }) => median(ns));
      const ratio = (ns: number) => ((ns - pass) / (simple - pass)).toFixed(2);
      run.report(
        `   ${String(flows).padStart(7)} flows, ${proto}: pass ${pass}, simple ${simple}, ours ${ours}: ratio ` +
          `${ratio(ours)}; per-CPU values ${oursPerCpu}: ratio ${ratio(oursPerCpu)}`,
      );
    }
  }
}
