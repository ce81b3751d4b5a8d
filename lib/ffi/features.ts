/**
 * What this machine can do for ebpfmon: each feature tried for real, nothing concluded from a version number.
 */
import { probeTcx } from "./bpf_link.ts";
import { missingCapabilities } from "./capabilities.ts";
import { FLOW_PROGRAMS, FlowProbe } from "./flow_probe.ts";
import { fileExists, readKernelFile } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import { ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EVENT_TYPES, type EventType } from "../router/protocol.ts";
import { type ProcessObject, ProcessProbe } from "./process_probe.ts";
import { RetransmitProbe } from "./retransmit_probe.ts";
import { RouterProbe } from "./router_probe.ts";
import { SocketOwnerProbe } from "./socket_owner_probe.ts";
import { testRun } from "./test_run.ts";

export interface Feature {
  name: string;
  works: boolean;
  /** Without a needed feature `monitor` does not run; without another it does less. */
  needed: boolean;
  /** What was found, or why it does not work. */
  why: string;
  /** What to do about it; empty when it works. */
  remedy: string;
}

const LO_IFINDEX = 1;

/** enum bpf_prog_type, with the kernel that has it. */
const PROGRAM_TYPES = [
  { name: "XDP programs", type: 6, since: "4.8", needed: true },
  { name: "tc programs", type: 3, since: "4.1", needed: true },
  { name: "tracepoint programs", type: 5, since: "4.7", needed: false },
  { name: "raw tracepoint programs", type: 17, since: "4.17", needed: false },
] as const;

/** enum bpf_map_type, with the kernel that has it. */
const MAP_TYPES = [
  { name: "hash maps", type: 1, since: "3.19", needed: true },
  { name: "per-CPU hash maps", type: 5, since: "4.6", needed: false },
  { name: "maps of maps", type: 12, since: "4.12", needed: true },
  { name: "LPM tries", type: 11, since: "4.11", needed: false },
  { name: "ring buffers", type: 27, since: "5.8", needed: false },
] as const;

function readText(path: string): string | null {
  try {
    return readKernelFile(path).trim();
  } catch {
    return null;
  }
}

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

/** Loads the shipped flow programs and has each count a packet; attaches to nothing. */
async function flowFeatures(libbpf: Libbpf, flowElf: Uint8Array<ArrayBuffer>): Promise<Feature[]> {
  const features: Feature[] = [];
  const remedy = "run with --debug for the verifier's log and report it";
  try {
    using probe = FlowProbe.create(libbpf, flowElf, [{ name: "lo", ifindex: LO_IFINDEX }], {
      flowsMax: 16,
      values: "atomic",
    });
    await probe.prepareSpare();
    for (const program of FLOW_PROGRAMS.filter((name) => name !== "sample_clock")) {
      const loaded = probe.programs.includes(program);
      const needed = program !== "ingress_xdp_frags";
      const name = `program ${program}`;
      if (!loaded) {
        const why = "the kernel cannot pass frames in several buffers to XDP";
        features.push({ name, works: false, needed, why, remedy: "Linux 5.18, for jumbo frames in native mode" });
        continue;
      }
      testRun(libbpf, probe.programFd(program), sampleFrame());
      let flows = 0;
      probe.drain(probe.swap().side, (_family, batch) => flows += batch.count);
      const works = flows === 1;
      const why = works ? "loaded, counted a test packet" : `counted ${flows} flows for one test packet`;
      features.push({ name, works, needed, why, remedy: works ? "" : remedy });
    }
    const tcx = probeTcx(libbpf, probe.programFd("egress_tcx"));
    features.push({
      name: "TCX links",
      works: tcx,
      needed: false,
      why: tcx
        ? "egress is watched, and let go with the process"
        : "the kernel does not know the attach type; egress is watched through clsact filters",
      remedy: tcx ? "" : "Linux 6.6; ebpfmon detach removes what a kill -9 leaves",
    });
  } catch (error) {
    features.push({ name: "flow programs", works: false, needed: true, why: (error as Error).message, remedy });
  }
  return features;
}

/** Loads the event programs; attaches to nothing. */
function eventFeatures(libbpf: Libbpf, routerElf: Uint8Array<ArrayBuffer>): Feature[] {
  const feature = (event: EventType, works: boolean, why: string): Feature => ({
    name: `events ${event}`,
    works,
    needed: false,
    why,
    remedy: works ? "" : "nothing to do: the other sources are watched",
  });
  try {
    using probe = new RouterProbe(libbpf, routerElf, {
      ...ROUTER_DEFAULTS,
      ringBytes: { critical: 4096, normal: 4096, debug: 4096 },
      sources: [...EVENT_TYPES],
      rules: [],
    });
    return EVENT_TYPES.map((event) => {
      const lacking = probe.notices.filter((notice) => notice.startsWith(event) || notice.includes(`, ${event}`));
      return feature(event, probe.sources.includes(event), lacking.join("; ") || "its programs are loaded");
    });
  } catch (error) {
    return EVENT_TYPES.map((event) => feature(event, false, (error as Error).message));
  }
}

/** Loads what `load` loads; attaches to nothing. */
function programsFeature(name: string, remedy: string, load: () => Disposable): Feature {
  const feature = (works: boolean, why: string): Feature => ({
    name,
    works,
    needed: false,
    why,
    remedy: works ? "" : remedy,
  });
  try {
    using _probe = load();
    return feature(true, "its programs are loaded");
  } catch (error) {
    return feature(false, (error as Error).message);
  }
}

/** Loads the programs that note who uses which socket; attaches to nothing. */
function ownerFeature(libbpf: Libbpf, socketOwnerElf: Uint8Array<ArrayBuffer>): Feature {
  const feature = (works: boolean, why: string): Feature => ({
    name: "owners of flows",
    works,
    needed: false,
    why,
    remedy: works ? "" : "nothing to do: flows are counted all the same",
  });
  try {
    using probe = new SocketOwnerProbe(libbpf, socketOwnerElf, { ownersMax: 1_024 });
    return feature(probe.notices.length === 0, probe.notices.join("; ") || "its programs are loaded");
  } catch (error) {
    return feature(false, (error as Error).message);
  }
}

function systemFeatures(): Feature[] {
  const jit = readText("/proc/sys/net/core/bpf_jit_enable");
  const lockdown = /\[(\w+)\]/.exec(readText("/sys/kernel/security/lockdown") ?? "")?.[1];
  const btf = fileExists("/sys/kernel/btf/vmlinux");
  const kprobes = fileExists("/sys/bus/event_source/devices/kprobe/type");
  const notNeeded = "nothing to do: ebpfmon works without";
  return [
    {
      name: "BPF JIT",
      works: jit !== "0",
      needed: false,
      why: jit === null ? "the kernel does not say" : `net.core.bpf_jit_enable is ${jit}`,
      remedy: jit === "0" ? "sysctl net.core.bpf_jit_enable=1: programs run several times faster" : "",
    },
    {
      name: "kernel BTF",
      works: btf,
      needed: false,
      why: btf ? "/sys/kernel/btf/vmlinux is there" : "no /sys/kernel/btf/vmlinux",
      remedy: btf ? "" : "a kernel with CONFIG_DEBUG_INFO_BTF",
    },
    {
      name: "kprobes",
      works: kprobes,
      needed: false,
      why: kprobes ? "the kernel has them" : "the kernel was built without",
      remedy: kprobes ? "" : notNeeded,
    },
    ...(lockdown === undefined ? [] : [{
      name: "lockdown",
      works: lockdown === "none",
      needed: false,
      why: `the kernel's lockdown is "${lockdown}"`,
      remedy: lockdown === "none" ? "" : notNeeded,
    }]),
  ];
}

/**
 * Tries everything. Takes about a second; leaves nothing behind.
 *
 * @param elfs the compiled programs of bpf/
 */
export async function probeFeatures(
  libbpf: Libbpf,
  elfs: Record<"flow" | "router" | "socketOwner" | "retransmit", Uint8Array<ArrayBuffer>> & {
    process: (name: ProcessObject) => Uint8Array<ArrayBuffer>;
  },
): Promise<Feature[]> {
  const missing = missingCapabilities(readText("/proc/self/status") ?? "");
  const privilege: Feature = {
    name: "privileges",
    works: missing.length === 0,
    needed: true,
    why: missing.length === 0 ? "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are held" : `${missing.join(", ")} missing`,
    remedy: missing.length === 0 ? "" : "run it with sudo",
  };
  const library: Feature = {
    name: "libbpf",
    works: true,
    needed: true,
    why: `version ${libbpf.version}, ${libbpf.source}`,
    remedy: "",
  };
  // Every probe below would fail for the one reason that is told already.
  if (!privilege.works) return [privilege, library, ...systemFeatures()];
  const probed = (kinds: typeof PROGRAM_TYPES | typeof MAP_TYPES, probe: (type: number) => number): Feature[] =>
    kinds.map(({ name, type, since, needed }) => {
      const works = probe(type) === 1;
      const why = works ? "the kernel takes them" : "the kernel refuses them";
      return { name, works, needed, why, remedy: works ? "" : `Linux ${since}` };
    });
  return [
    privilege,
    library,
    ...probed(PROGRAM_TYPES, (type) => libbpf.symbols.libbpf_probe_bpf_prog_type(type, null)),
    ...probed(MAP_TYPES, (type) => libbpf.symbols.libbpf_probe_bpf_map_type(type, null)),
    ...await flowFeatures(libbpf, elfs.flow),
    ...eventFeatures(libbpf, elfs.router),
    programsFeature(
      "process activity",
      "a kernel with CONFIG_FTRACE_SYSCALLS and CONFIG_BPF_EVENTS, for top and monitor --activity",
      () => new ProcessProbe(libbpf, elfs.process, { entriesMax: 16, sampling: 1 }),
    ),
    ownerFeature(libbpf, elfs.socketOwner),
    programsFeature(
      "retransmits of flows",
      "nothing to do: flows are counted all the same",
      () => new RetransmitProbe(libbpf, elfs.retransmit, { entriesMax: 16 }),
    ),
    ...systemFeatures(),
  ];
}
