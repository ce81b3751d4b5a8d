/** The flow programs of bpf/flow.bpf.c, and how their object is loaded. */
import { BpfMap } from "../../ffi/bpf_map.ts";
import { BpfObject } from "../../ffi/bpf_object.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { SIDES } from "../../ffi/side.ts";
import { writeField } from "../../wire/layout.ts";
import { FLOW_RODATA, REPLAY_SHAPE } from "../../wire/layouts.gen.ts";
import type { Direction } from "../../wire/traffic.ts";
import { type FlowMapOptions, flowMapSpecs } from "./flow_maps.ts";
import type { FlowOptions } from "./flow_options.ts";
import { OverflowMaps } from "./overflow_maps.ts";
import { findSlots, type SlotTable } from "./slots.ts";

/** Programs of bpf/flow.bpf.c. */
export const FLOW_PROGRAMS = ["ingress_xdp", "ingress_xdp_frags", "ingress_tcx", "egress_tcx", "sample_clock"] as const;
export type FlowProgram = typeof FLOW_PROGRAMS[number];

const BPF_PROG_TYPE_XDP = 6;
const HELPER_XDP_GET_BUFF_LEN = 188; // Linux 5.18

/** What clsact filters run: each calls the program beside it. */
export const CLSACT_PROGRAMS = { ingress: "ingress_clsact", egress: "egress_clsact" } as const;
export const TCX_PROGRAMS = { ingress: "ingress_tcx", egress: "egress_tcx" } as const satisfies Record<
  Direction,
  FlowProgram
>;

/** Hands the frames of a capture to `ingress_tcx`; loaded where there are any. */
export const REPLAY_PROGRAM = "replay_tcx";

/** How the programs count. */
export interface FlowProbeOptions extends FlowMapOptions, Pick<FlowOptions, "prefixesMax" | "order"> {
  /** Whether frames are those of a capture, with its times and lengths (`frameReplay`): then nothing is attached. */
  replays?: boolean;
}

/** The object in the kernel, its maps of maps still empty. */
export interface LoadedFlow {
  object: BpfObject;
  table: SlotTable;
  programs: readonly FlowProgram[];
  cpus: number;
}

/**
 * Loads the programs that this kernel takes.
 *
 * @param elf the compiled bpf/flow.bpf.c
 * @throws {PrivilegeError}
 * @throws {UnsupportedError}
 */
export function loadFlow(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  interfaces: { name: string; ifindex: number }[],
  options: FlowProbeOptions,
): LoadedFlow {
  using stack = new DisposableStack();
  const cpus = libbpf.symbols.libbpf_num_possible_cpus();
  const table = findSlots(interfaces.map((iface) => iface.ifindex));
  const hasFrags = libbpf.symbols.libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, HELPER_XDP_GET_BUFF_LEN, null) === 1;
  const programs = FLOW_PROGRAMS.filter((name) => name !== "ingress_xdp_frags" || hasFrags);

  const object = stack.use(BpfObject.open(libbpf, "flow", elf));
  const rodata = object.initialValue(".rodata");
  writeField(rodata, FLOW_RODATA, "cpus", cpus);
  writeField(rodata, FLOW_RODATA, "slots", table.slots);
  writeField(rodata, FLOW_RODATA, "slot_multiplier", table.multiplier);
  writeField(rodata, FLOW_RODATA, "slot_shift", table.shift);
  writeField(rodata, FLOW_RODATA, "per_cpu_values", options.values === "percpu");
  writeField(rodata, FLOW_RODATA, "replays", options.replays === true);
  for (const name of FLOW_PROGRAMS) object.setAutoload(name, programs.includes(name));
  const replays = options.replays === true;
  object.setAutoload(REPLAY_PROGRAM, replays);
  if (replays) object.setMaxEntries("captured_frames", REPLAY_SHAPE.REPLAY_FRAMES);
  object.setMaxEntries("packet_counters", SIDES.length * table.slots * 2 * cpus);
  OverflowMaps.configure(object, rodata, {
    cpus,
    prefixesMax: options.prefixesMax,
    byBytes: options.order === "bytes",
  });
  // The shape of the inner maps, whose size may differ from one to the next.
  using templates = new DisposableStack();
  const [v4, v6] = flowMapSpecs({ ...options, flowsMax: 1 }, 0).map((spec) =>
    templates.use(BpfMap.create(libbpf, spec))
  );
  object.setInnerMap("flows4", v4);
  object.setInnerMap("flows6", v6);
  object.load();
  stack.move();
  return { object, table, programs, cpus };
}
