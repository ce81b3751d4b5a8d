/**
 * Run in a namespace: sends packets of many flows as fast as the kernel can make them.
 *
 *     generate.ts IFINDEX FLOWS FIRST_SOURCE PACKETS
 *
 * Waits for the end of standard input, so that several can start together. Prints {"sent": packets made}; how many of
 * them arrived only the receiving end knows.
 */
import { readField, type StructLayout, writeField } from "../../lib/wire/layout.ts";
import { testRun } from "../../lib/ffi/test_run.ts";
import { openSystemLibbpf, openTestObject } from "./bpf.ts";
import { ethernet, ETHERTYPE, filler, ipv4, PROTO, udp } from "./frames.ts";
import { ENDS } from "./namespaces.ts";

/** BPF_F_TEST_XDP_LIVE_FRAMES (Linux 5.18): the frames are really sent, dropped or passed, as the program says. */
const TEST_XDP_LIVE_FRAMES = 1 << 1;

const [ifindex, flows, firstSource, packets] = Deno.args.map(Number);

/** One call into the kernel: long enough that its 20 ms of preparation do not matter, short enough to be stopped. */
const RUN_PACKETS = 1 << 20;
const BATCH_PACKETS = 64;
const XDP_MD_BYTES = 24;
const PAYLOAD_BYTES = 18;

const RODATA = {
  size: 8,
  fields: {
    flows: { offset: 0, size: 4, kind: "uint" },
    first_source: { offset: 4, size: 4, kind: "uint" },
  },
} as const satisfies StructLayout;

using libbpf = openSystemLibbpf();
using object = openTestObject(libbpf, "generator");
const rodata = object.initialValue(".rodata");
writeField(rodata, RODATA, "flows", flows);
writeField(rodata, RODATA, "first_source", firstSource);
object.load();

const mac = (text: string) => text.split(":").map((part) => parseInt(part, 16));
// Not the watched end's own address: the frames end in its stack without a further look.
const frame = ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp(filler(PAYLOAD_BYTES), 1, 9), { dst: "198.51.100.1" }), {
  src: mac(ENDS.peer.mac),
});
// struct xdp_md: u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
const context = new DataView(new ArrayBuffer(XDP_MD_BYTES));
context.setUint32(4, frame.length, true);
context.setUint32(12, ifindex, true);

console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
for (let left = packets; left > 0; left -= RUN_PACKETS) {
  testRun(libbpf, object.programFd("generate"), frame, {
    repeat: Math.min(left, RUN_PACKETS),
    flags: TEST_XDP_LIVE_FRAMES,
    batchSize: BATCH_PACKETS,
    context: new Uint8Array(context.buffer),
  });
}
using counters = object.map(".bss").map({ writable: false });
const counted = { size: 8, fields: { packets: { offset: 0, size: 8, kind: "uint" } } } as const satisfies StructLayout;
console.log(JSON.stringify({ sent: Number(readField(new DataView(counters.buffer), counted, "packets")) }));
