import { probeTcx } from "../ffi/bpf_link.ts";
import { FlowProbe } from "../aggregate/flows/flow_probe.ts";
import type { FlowProgram } from "../aggregate/flows/flow_programs.ts";
import { SIDES } from "../ffi/side.ts";
import { testRun } from "../ffi/test_run.ts";
import { broken, type CheckContext, elfOf, type FeatureKind, working } from "./check.ts";
import type { Feature } from "./feature.ts";

const LO = { name: "lo", ifindex: 1 };
const COMMANDS = ["monitor", "measure", "agent"] as const;

const KINDS = {
  ingress: { name: "flows in", commands: COMMANDS, neededBy: COMMANDS },
  egress: { name: "flows out", commands: COMMANDS, neededBy: [] },
  tcx: { name: "flows in, --mode tcx", commands: COMMANDS, neededBy: [] },
  jumbo: { name: "flows in, jumbo frames", commands: COMMANDS, neededBy: [] },
  replay: { name: "replay of captures", commands: ["replay"], neededBy: ["replay"] },
} as const satisfies Record<string, FeatureKind>;

/** Ethernet, IPv4, UDP to port 9: one packet of one flow. */
function sampleFrame(): Uint8Array<ArrayBuffer> {
  const frame = new DataView(new ArrayBuffer(64));
  frame.setUint16(12, 0x0800);
  frame.setUint8(14, 0x45);
  frame.setUint16(16, 50);
  frame.setUint8(23, 17);
  frame.setUint32(26, 0x7f000001);
  frame.setUint32(30, 0x7f000001);
  frame.setUint16(36, 9);
  return new Uint8Array(frame.buffer);
}

/** Runs a loaded program over one packet. @throws {Error} when the program does not count it */
function countOne({ libbpf }: CheckContext, probe: FlowProbe, program: FlowProgram): void {
  testRun(libbpf, probe.programFd(program), sampleFrame());
  let flows = 0;
  probe.drain(probe.swap().side, (_family, batch) => flows += batch.count);
  if (flows !== 1) throw new Error(`program "${program}" counted ${flows} flows for one test packet`);
}

/** Turns an attempt into a feature: the way that it returns, or why it threw. */
function tried(kind: FeatureKind, attempt: () => string): Feature {
  try {
    return working(kind, attempt());
  } catch (error) {
    return broken(kind, error);
  }
}

/** Loads the flow programs and has each count a packet; attaches to no interface. */
export async function checkFlows(context: CheckContext): Promise<Feature[]> {
  const { libbpf } = context;
  const options = { flowsMax: 16, values: "atomic" } as const;
  try {
    using probe = FlowProbe.create(libbpf, elfOf(context, "flow"), [LO], options);
    await probe.prepareSpare();
    const hook = probeTcx(libbpf, probe.programFd("egress_tcx")) ? "TCX" : "clsact";
    const counted = (program: FlowProgram, way: string) => () => {
      countOne(context, probe, program);
      return way;
    };
    const frags = probe.programs.includes("ingress_xdp_frags");
    return [
      tried(KINDS.ingress, counted("ingress_xdp", "XDP")),
      frags
        ? tried(KINDS.jumbo, counted("ingress_xdp_frags", "native XDP"))
        : working(KINDS.jumbo, "generic XDP", { why: ONE_BUFFER }),
      tried(KINDS.tcx, counted("ingress_tcx", HOOKS[hook])),
      tried(KINDS.egress, counted("egress_tcx", HOOKS[hook])),
      checkReplay(context),
    ];
  } catch (error) {
    return Object.values(KINDS).map((kind) => broken(kind, error));
  }
}

/** Loads the programs that replay a capture and has them count a frame; nothing is ever attached for a replay. */
function checkReplay(context: CheckContext): Feature {
  return tried(KINDS.replay, () => {
    const options = { flowsMax: 16, values: "atomic", replays: true } as const;
    using probe = FlowProbe.create(context.libbpf, elfOf(context, "flow"), [LO], options);
    using replay = probe.frameReplay();
    const frame = sampleFrame();
    replay.frame.set(frame);
    replay.add(frame.length, { wireBytes: frame.length, ticks: 1n });
    replay.flush();
    let flows = 0;
    probe.drain(SIDES[0], (_family, batch) => flows += batch.count);
    if (flows !== 1) throw new Error(`the capture's only frame was counted as ${flows} flows`);
    return "test runs";
  });
}

const ONE_BUFFER = "before Linux 5.18 native XDP takes no frame that needs several buffers";

/** Where the tc programs are attached. There is no TCX before Linux 6.6. */
const HOOKS = { TCX: "TCX", clsact: "clsact filter" } as const;
