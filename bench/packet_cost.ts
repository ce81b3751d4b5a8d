/**
 * Bench 1: nanoseconds a packet of the shipped XDP program, less those of a program that only passes, over the same
 * for the simplest flow counter. One flow, then 100,000; TCP and UDP.
 */
import { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { benchFrame, DRIVER_OBJECT, FLOW_OBJECT, LOOPBACK, median, openDriver } from "./support.ts";

const ROUNDS = 15;
const PACKETS = 1_000_000;
const FLOWS_MAX = 131_072;

export async function benchPacketCost(): Promise<void> {
  console.log("\n1. Cost of a packet (BPF_PROG_TEST_RUN, ns; ratio = (ours - pass) / (simple - pass))");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  const driverElf = await Deno.readFile(DRIVER_OBJECT);
  const flowElf = await Deno.readFile(FLOW_OBJECT);
  for (const flows of [1, 100_000]) {
    for (const proto of ["udp", "tcp"] as const) {
      const { object, aim, driveFd } = openDriver(libbpf, driverElf, flows);
      using _object = object;
      using atomic = FlowProbe.create(libbpf, flowElf, LOOPBACK, { flowsMax: FLOWS_MAX, values: "atomic" });
      using percpu = FlowProbe.create(libbpf, flowElf, LOOPBACK, { flowsMax: FLOWS_MAX, values: "percpu" });
      const programs = {
        pass: object.programFd("pass"),
        simple: object.programFd("simple"),
        ours: atomic.programFd("ingress_xdp"),
        "ours, per CPU": percpu.programFd("ingress_xdp"),
      };
      const durations = Object.entries(programs).map(([name, fd]) => ({ name, fd, ns: [] as number[] }));
      for (let round = 0; round < ROUNDS; round++) {
        for (const { fd, ns } of durations) {
          aim(fd);
          const frame = benchFrame(proto);
          ns.push(testRun(libbpf, flows === 1 ? fd : driveFd, frame, { repeat: PACKETS }).durationNs);
        }
      }
      const [pass, simple, ours, oursPerCpu] = durations.map(({ ns }) => median(ns));
      const ratio = (ns: number) => ((ns - pass) / (simple - pass)).toFixed(2);
      console.log(
        `   ${String(flows).padStart(7)} flows, ${proto}: pass ${pass}, simple ${simple}, ours ${ours}: ratio ` +
          `${ratio(ours)}; per-CPU values ${oursPerCpu}: ratio ${ratio(oursPerCpu)}`,
      );
    }
  }
}

if (import.meta.main) await benchPacketCost();
