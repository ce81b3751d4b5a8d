/** BPF objects and the flow probe for tests, without a worker around them. */
import { FlowProbe } from "../../lib/aggregate/flows/flow_probe.ts";
import type { FlowProbeOptions } from "../../lib/aggregate/flows/flow_programs.ts";
import { FLOW4_KEY, FLOW6_KEY, FLOW_VALUE, PACKET_COUNTERS } from "../../lib/wire/layouts.gen.ts";
import { readField } from "../../lib/wire/layout.ts";
import { type Libbpf, openLibbpf } from "../../lib/ffi/libbpf.ts";
import { BpfObject } from "../../lib/ffi/bpf_object.ts";
import { pageSizeBytes } from "../../lib/ffi/libc.ts";
import { OTHER_CLASSES } from "../../lib/wire/traffic.ts";
import { addTo, type Ledger, ledgerKey, type Tally } from "./oracle.ts";

/** Where everything is built. */
export const BUILD_DIR = decodeURIComponent(new URL("../../build", import.meta.url).pathname);

// libc is opened once and stays open by design: here, or the first test to use it is taken for one that leaks.
pageSizeBytes();

/** Folder that the aggregator takes for its assets. */
export const ASSETS_DIR = BUILD_DIR;

/** The interface that a test run pretends to come from unless told otherwise. */
const LOOPBACK = { name: "lo", ifindex: 1 };

/** A new folder with what the aggregator needs but for the objects named. */
export async function assetsWithout(...objects: string[]): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "ebpfmon-assets-" });
  await Deno.mkdir(`${dir}/bpf`);
  await Deno.symlink(`${ASSETS_DIR}/lib`, `${dir}/lib`);
  for await (const { name } of Deno.readDir(`${ASSETS_DIR}/bpf`)) {
    if (!objects.includes(name)) await Deno.symlink(`${ASSETS_DIR}/bpf/${name}`, `${dir}/bpf/${name}`);
  }
  return dir;
}

export function openSystemLibbpf(): Libbpf {
  return openLibbpf({ embeddedDir: `${BUILD_DIR}/app/lib` });
}

/** Opens tests/bpf/NAME.bpf.c, compiled. The caller loads it. */
export function openTestObject(libbpf: Libbpf, name: string): BpfObject {
  return BpfObject.open(libbpf, name, Deno.readFileSync(`${BUILD_DIR}/tests/bpf/${name}.bpf.o`));
}

/** The flow programs, loaded for test runs and attached to nothing. */
export async function loadFlowProbe(libbpf: Libbpf, options: Partial<FlowProbeOptions> = {}): Promise<FlowProbe> {
  using stack = new DisposableStack();
  const elf = Deno.readFileSync(`${BUILD_DIR}/bpf/flow.bpf.o`);
  const probe = FlowProbe.create(libbpf, elf, [LOOPBACK], { flowsMax: 65_536, values: "atomic", ...options });
  stack.use(probe);
  await probe.prepareSpare();
  stack.move();
  return probe;
}

export interface Drained {
  /** Flows and classes of each direction: ingress, egress. */
  ledgers: [Ledger, Ledger];
  seen: Tally;
  overflow: Tally;
  /** Sum over the flows. */
  flows: Tally;
  other: Tally;
}

function noTally(): Tally {
  return { packets: 0, bytes: 0, tcpFlags: 0 };
}

/** Ends the window and takes all that was counted in it. */
export function takeWindow(probe: FlowProbe): Drained {
  const { side } = probe.swap();
  const drained: Drained = {
    ledgers: [new Map(), new Map()],
    seen: noTally(),
    overflow: noTally(),
    flows: noTally(),
    other: noTally(),
  };
  const add = (sum: Tally, packets: bigint, bytes: bigint) => {
    sum.packets += Number(packets);
    sum.bytes += Number(bytes);
  };
  probe.drain(side, (family, { count, keys, values }) => {
    const keyLayout = family === 4 ? FLOW4_KEY : FLOW6_KEY;
    const keyView = new DataView(keys.buffer, keys.byteOffset);
    const valueView = new DataView(values.buffer, values.byteOffset);
    const valuesPerEntry = values.length / (keys.length / keyLayout.size) / FLOW_VALUE.size;
    for (let entry = 0; entry < count; entry++) {
      const at = entry * keyLayout.size;
      const tally = noTally();
      for (let i = 0; i < valuesPerEntry; i++) {
        const valueAt = (entry * valuesPerEntry + i) * FLOW_VALUE.size;
        const read = (field: "packets" | "bytes") => readField(valueView, FLOW_VALUE, field, valueAt);
        add(tally, read("packets"), read("bytes"));
        readField(valueView, FLOW_VALUE, "tcp_flags_seen", valueAt).forEach((seen, bit) => {
          if (seen !== 0) tally.tcpFlags |= 1 << bit;
        });
      }
      const address = (field: "src" | "dst") => {
        const { offset, size } = keyLayout.fields[field];
        const digits = Array.from(keys.subarray(at + offset, at + offset + size), (byte) => byte.toString(16));
        return digits.map((digit) => digit.padStart(2, "0")).join("");
      };
      const integer = (field: "sport" | "dport" | "proto" | "direction" | "iface_slot") =>
        readField(keyView, keyLayout as typeof FLOW4_KEY, field, at);
      if (integer("iface_slot") !== probe.slotOf[0]) throw new Error(`Cannot place slot ${integer("iface_slot")}`);
      const key = ledgerKey({
        family,
        src: address("src"),
        dst: address("dst"),
        sport: integer("sport"),
        dport: integer("dport"),
        proto: integer("proto"),
      });
      const ledger = drained.ledgers[integer("direction")];
      if (ledger.has(key)) throw new Error(`Cannot have two entries for one flow: ${key}`);
      addTo(ledger, key, tally);
      add(drained.flows, BigInt(tally.packets), BigInt(tally.bytes));
    }
  });
  probe.takeCounters(side, ({ direction, bytes, byteOffset, cpus, strideBytes }) => {
    for (let cpu = 0; cpu < cpus; cpu++) {
      const view = new DataView(bytes, byteOffset + cpu * strideBytes, PACKET_COUNTERS.size);
      add(
        drained.seen,
        readField(view, PACKET_COUNTERS, "seen_packets"),
        readField(view, PACKET_COUNTERS, "seen_bytes"),
      );
      add(
        drained.overflow,
        readField(view, PACKET_COUNTERS, "overflow_packets"),
        readField(view, PACKET_COUNTERS, "overflow_bytes"),
      );
      const otherPackets = readField(view, PACKET_COUNTERS, "other_packets");
      const otherBytes = readField(view, PACKET_COUNTERS, "other_bytes");
      OTHER_CLASSES.forEach((name, i) => {
        const tally = { packets: Number(otherPackets[i]), bytes: Number(otherBytes[i]), tcpFlags: 0 };
        addTo(drained.ledgers[direction], name, tally);
        add(drained.other, otherPackets[i], otherBytes[i]);
      });
    }
  });
  return drained;
}
