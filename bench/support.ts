/** What the benches share: their programs, medians over interleaved rounds, the frame that they send. */
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import type { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import type { Libbpf } from "../lib/ffi/libbpf.ts";

export const BUILD_DIR = "build/bench";
/** Built by the Makefile, from bench/bpf/. */
export const DRIVER_OBJECT = `${BUILD_DIR}/bpf/packet_cost.bpf.o`;
export const FLOW_OBJECT = "build/bpf/flow.bpf.o";

export async function outputOf(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** All that a program prints. @param started called when there is something, which watchers print once they watch */
export async function textOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>, started: () => void): Promise<string> {
  let all = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    all += text;
    started();
  }
  started();
  return all;
}

/** The program that the Makefile builds of bench/NAME.c. */
export function programPath(name: string): string {
  return `${BUILD_DIR}/${name}`;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Ethernet, IPv4, then TCP with ACK set or UDP: 64 bytes. */
export function benchFrame(proto: "tcp" | "udp"): Uint8Array<ArrayBuffer> {
  const frame = new DataView(new ArrayBuffer(64));
  frame.setUint16(12, 0x0800);
  frame.setUint8(14, 0x45);
  frame.setUint16(16, 50);
  frame.setUint8(23, proto === "tcp" ? 6 : 17);
  frame.setUint32(26, 0x0a000001);
  frame.setUint32(30, 0x0a010001);
  frame.setUint16(34, 40_000);
  frame.setUint16(36, 443);
  if (proto === "tcp") frame.setUint16(46, 0x5010);
  return new Uint8Array(frame.buffer);
}

/** The programs of bench/bpf/packet_cost.bpf.c, with `drive` walking through `flows` flows. */
export function openDriver(
  libbpf: Libbpf,
  elf: Uint8Array<ArrayBuffer>,
  flows: number,
): { object: BpfObject; aim(programFd: number): void; driveFd: number } {
  const object = BpfObject.open(libbpf, "bench", elf);
  object.initialValue(".rodata").setUint32(0, flows, true);
  object.load();
  const target = object.map("target");
  return {
    object,
    aim: (programFd) => target.update(new Uint8Array(4), new Uint8Array(Int32Array.of(programFd).buffer)),
    driveFd: object.programFd("drive"),
  };
}

/** The shipped programs in the kernel, attached to nothing: test runs say that they come from `lo`. */
export const LOOPBACK: Parameters<typeof FlowProbe.open>[2] = [{ name: "lo", ifindex: 1 }];
