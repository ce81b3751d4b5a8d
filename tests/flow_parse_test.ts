/** Every flow program over crafted and mutated frames by BPF_PROG_TEST_RUN, against the oracle. */
import { assertEquals, assertGreater } from "./assert.ts";
import type { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import type { FlowProgram } from "../lib/aggregate/flows/flow_programs.ts";
import type { Libbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { loadFlowProbe, openSystemLibbpf, takeWindow } from "./support/bpf.ts";
import { type Bytes, concat, ethernet, ETHERTYPE, filler, ipv4, PROTO, sampleFrames, udp } from "./support/frames.ts";
import { classify, differences, enterFrame, type Ledger, ledgerKey } from "./support/oracle.ts";
import { Random } from "./support/random.ts";

/** Each program with the verdict it returns and the direction it counts in. */
const PROGRAMS: { program: FlowProgram; result: number; direction: 0 | 1 }[] = [
  { program: "ingress_xdp", result: 2, direction: 0 },
  { program: "ingress_xdp_frags", result: 2, direction: 0 },
  { program: "ingress_tcx", result: -1, direction: 0 },
  { program: "egress_tcx", result: -1, direction: 1 },
];

const ETHERNET_HEADER_BYTES = 14;
const MUTATED_FRAMES = 21_000;
const MUTATED_BATCH = 1_500;

/** Linux 6.18 refuses to make an skb of an IP packet that ends within its fixed header; such a frame is left out. */
function fitsTestRun(program: FlowProgram, frame: Bytes): boolean {
  const type = frame[12] << 8 | frame[13];
  const headerBytes = type === ETHERTYPE.ipv4 ? 20 : type === ETHERTYPE.ipv6 ? 40 : 0;
  return program.startsWith("ingress_xdp") || frame.length >= ETHERNET_HEADER_BYTES + headerBytes;
}

/** Runs `program` over the frames and checks everything that was counted. @returns what was wrong */
function check(
  libbpf: Libbpf,
  probe: FlowProbe,
  { program, result, direction }: typeof PROGRAMS[number],
  frames: Iterable<{ frame: Bytes; repeat?: number }>,
): string[] {
  const wrong: string[] = [];
  const expected: Ledger = new Map();
  for (const { frame, repeat = 1 } of frames) {
    if (!fitsTestRun(program, frame)) continue;
    enterFrame(expected, frame, repeat);
    // Not by the option: with more than one run the kernel patches the XDP dispatcher first, which takes 20 ms.
    for (let i = 0; i < repeat; i++) {
      const run = testRun(libbpf, probe.programFd(program), frame);
      if (run.result !== result) wrong.push(`returned ${run.result}`);
    }
  }
  const { ledgers, seen, flows, overflow, other } = takeWindow(probe);
  wrong.push(...differences(ledgers[direction], expected));
  if (ledgers[direction ^ 1].size > 0) wrong.push("counted in the other direction");
  for (const unit of ["packets", "bytes"] as const) {
    const sum = flows[unit] + overflow[unit] + other[unit];
    if (seen[unit] !== sum) wrong.push(`${unit}: seen ${seen[unit]}, accounted for ${sum}`);
  }
  return wrong;
}

for (const target of PROGRAMS) {
  Deno.test(`${target.program} tells every kind of frame as the oracle does, field by field`, async () => {
    using libbpf = openSystemLibbpf();
    using probe = await loadFlowProbe(libbpf);
    const wrong = [...sampleFrames()].flatMap(([name, frame], i) =>
      check(libbpf, probe, target, [{ frame, repeat: 1 + i % 3 }]).map((line) => `${name}: ${line}`)
    );
    assertEquals(wrong, []);
  });

  Deno.test(`${target.program} tells frames cut off at every length as the oracle does`, async () => {
    using libbpf = openSystemLibbpf();
    using probe = await loadFlowProbe(libbpf);
    const wrong = [...sampleFrames()].filter(([, frame]) => frame.length <= 256).flatMap(([name, frame]) => {
      // No two have the same length, so that two mistakes cannot cancel each other out in the bytes.
      const lengths = Array.from({ length: frame.length - ETHERNET_HEADER_BYTES }, (_, i) => ETHERNET_HEADER_BYTES + i);
      const cut = lengths.map((length) => ({ frame: frame.slice(0, length) }));
      return check(libbpf, probe, target, cut).map((line) => `${name}, cut: ${line}`);
    });
    assertEquals(wrong, []);
  });

  Deno.test(`${target.program} tells ${MUTATED_FRAMES} mutated frames as the oracle does`, async () => {
    using libbpf = openSystemLibbpf();
    using probe = await loadFlowProbe(libbpf);
    const seed = Random.freshSeed();
    const random = new Random(seed);
    const samples = [...sampleFrames().values()];
    const classes = new Set<string>();
    for (let done = 0; done < MUTATED_FRAMES; done += MUTATED_BATCH) {
      const frames = Array.from({ length: MUTATED_BATCH }, () => ({ frame: mutate(random, samples) }));
      for (const { frame } of frames) {
        const verdict = classify(frame);
        classes.add("class" in verdict ? verdict.class : `ipv${verdict.family}`);
      }
      if (check(libbpf, probe, target, frames).length === 0) continue;
      // One by one, to name the first that differs.
      for (const { frame } of frames) {
        const wrong = check(libbpf, probe, target, [{ frame }]);
        const hex = Array.from(frame, (byte) => byte.toString(16).padStart(2, "0")).join("");
        assertEquals(wrong, [], `seed ${seed}, frame ${hex}`);
      }
      throw new Error(`seed ${seed}: frames differ together that agree one by one`);
    }
    assertEquals([...classes].sort(), ["fragment", "ipv4", "ipv6", "malformed", "non_ip", "truncated"], `seed ${seed}`);
  });
}

/** A sample with a few bytes changed, mostly in its headers, and sometimes cut or padded. */
function mutate(random: Random, samples: Bytes[]): Bytes {
  const sample = random.pick(samples);
  let frame = sample.slice();
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = 12 + random.below(Math.max(1, Math.min(frame.length, 100) - 12));
    if (at >= frame.length) continue;
    const change = random.below(3);
    // One bit, any byte, or a byte of some header: a small number or a protocol's.
    if (change === 0) frame[at] ^= 1 << random.below(8);
    else if (change === 1) frame[at] = random.below(256);
    else frame[at] = random.pick([0, 1, 4, 5, 6, 8, 17, 43, 44, 51, 58, 59, 60, 132, 0x45, 0x60, 0x81, 0xff]);
  }
  const cut = random.below(8);
  if (cut === 0) frame = frame.slice(0, ETHERNET_HEADER_BYTES + random.below(frame.length - ETHERNET_HEADER_BYTES + 1));
  if (cut === 1) frame = concat(frame, filler(1 + random.below(32)));
  return frame;
}

Deno.test("ingress_xdp_frags counts the whole of a frame that lies in several buffers", async () => {
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf);
  const frame = ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp(new Uint8Array(8_900))));
  assertEquals(check(libbpf, probe, PROGRAMS[1], [{ frame, repeat: 3 }]), []);
});

for (const values of ["atomic", "percpu"] as const) {
  Deno.test(`a full map of ${values} values sends new flows to overflow and counts the old ones on`, async () => {
    using libbpf = openSystemLibbpf();
    using probe = await loadFlowProbe(libbpf, { flowsMax: 16, values });
    const target = PROGRAMS[0];
    const frameOf = (sport: number) => ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], sport)));
    const flows = 100;
    for (let round = 0; round < 6; round++) {
      for (let sport = 1; sport <= flows; sport++) {
        testRun(libbpf, probe.programFd(target.program), frameOf(sport));
      }
    }
    const window = takeWindow(probe);
    const kept = window.ledgers[0];
    assertGreater(kept.size, 0);
    assertEquals(window.seen.packets, flows * 6);
    assertEquals(window.flows.packets, kept.size * 6);
    assertEquals(window.overflow, {
      packets: (flows - kept.size) * 6,
      bytes: (flows - kept.size) * 6 * 42,
      tcpFlags: 0,
    });
    assertEquals(window.seen.bytes, flows * 6 * 42);
  });
}

Deno.test("the comparison with the oracle notices a single packet and a single byte", async () => {
  using libbpf = openSystemLibbpf();
  using probe = await loadFlowProbe(libbpf);
  const frame = sampleFrames().get("UDP over IPv4")!;
  testRun(libbpf, probe.programFd("ingress_xdp"), frame, { repeat: 1_000 });
  const { ledgers: [actual] } = takeWindow(probe);
  const expected: Ledger = new Map();
  enterFrame(expected, frame, 1_001);
  assertEquals(differences(actual, expected).length, 1);
  const tally = actual.get(ledgerKey(classify(frame)))!;
  enterFrame(actual, frame);
  assertEquals(differences(actual, expected), []);
  tally.bytes++;
  assertEquals(differences(actual, expected).length, 1);
});
