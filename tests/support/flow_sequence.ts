/** Packets of many flows through the flow program, in an order that the test knows: truth for what was counted. */
import type { BpfObject } from "../../lib/ffi/bpf_object.ts";
import { readField, type StructLayout, writeField } from "../../lib/wire/layout.ts";
import type { Libbpf } from "../../lib/ffi/libbpf.ts";
import { testRun } from "../../lib/ffi/test_run.ts";
import { openTestObject } from "./bpf.ts";
import { ethernet, ETHERTYPE, filler, ipv4, PROTO, udp } from "./frames.ts";
import { Random } from "./random.ts";

const BSS = { size: 4, fields: { step: { offset: 0, size: 4, kind: "uint" } } } as const satisfies StructLayout;

/** Length of each frame. */
export const SEQUENCE_FRAME_BYTES = 60;

/** The address that a flow's number becomes. */
export function sequenceAddress(flow: number): string {
  return `10.${flow >> 16 & 255}.${flow >> 8 & 255}.${flow & 255}`;
}

/**
 * Flows of so many packets, the first ones the most often: flow n with a weight of 1 / (n + 1) ** skew (Zipf).
 *
 * @returns the flow of each packet
 */
export function zipf(flows: number, packets: number, { skew, seed }: { skew: number; seed: number }): Uint32Array {
  const sums = new Float64Array(flows);
  let sum = 0;
  for (let i = 0; i < flows; i++) sums[i] = sum += 1 / (i + 1) ** skew;
  const random = new Random(seed);
  return Uint32Array.from({ length: packets }, () => {
    const at = random.below(2 ** 32) / 2 ** 32 * sum;
    let [low, high] = [0, flows - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/** Packets by flow. */
export function countsOf(sequence: Uint32Array, flows: number): Uint32Array {
  const counts = new Uint32Array(flows);
  for (const flow of sequence) counts[flow]++;
  return counts;
}

/** A driver with room for sequences of so many packets. */
export class FlowSequence implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #object: BpfObject;
  readonly #steps: Uint32Array<ArrayBuffer>;
  readonly #globals: DataView<ArrayBuffer>;

  constructor(libbpf: Libbpf, packetsMax: number) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#object = stack.use(openTestObject(libbpf, "flow_sequence"));
    this.#object.setMaxEntries("sequence", packetsMax);
    this.#object.load();
    this.#steps = new Uint32Array(stack.use(this.#object.map("sequence").map({ writable: true })).buffer);
    this.#globals = new DataView(stack.use(this.#object.map(".bss").map({ writable: true })).buffer);
    this.#owned = stack.move();
  }

  /** Hands each packet to the program, in order. @returns nanoseconds a packet, this driver's own included */
  run(programFd: number, sequence: Uint32Array): number {
    for (let i = 0; i < sequence.length; i++) this.#steps[2 * i] = sequence[i];
    writeField(this.#globals, BSS, "step", 0);
    this.#object.map("target").update(new Uint8Array(4), new Uint8Array(Int32Array.of(programFd).buffer));
    const payload = udp(filler(SEQUENCE_FRAME_BYTES - 42), 40_000, 443);
    const frame = ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, payload, { dst: "198.51.100.1" }));
    const { durationNs } = testRun(this.#libbpf, this.#object.programFd("drive"), frame, { repeat: sequence.length });
    const walked = readField(this.#globals, BSS, "step");
    if (walked !== sequence.length) throw new Error(`Cannot count: ${walked} of ${sequence.length} packets were sent`);
    return durationNs;
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
