/** Flow maps that are much too small: what is exact stays exact, and the largest flows are named all the same. */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { drainWindow } from "../lib/aggregate/flows/drain_window.ts";
import { FlowReducer, type ReducerOptions } from "../lib/aggregate/flows/flow_reducer.ts";
import { largestFlows } from "../lib/aggregate/flows/overflow_rank.ts";
import type { FlowRow, FlowWindow } from "../lib/aggregate/windows/flow_window.ts";
import type { FlowProbe } from "../lib/aggregate/flows/flow_probe.ts";
import type { FlowProbeOptions } from "../lib/aggregate/flows/flow_programs.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { loadFlowProbe, openSystemLibbpf } from "./support/bpf.ts";
import { countsOf, FlowSequence, SEQUENCE_FRAME_BYTES, sequenceAddress, zipf } from "./support/flow_sequence.ts";
import { ethernet, ETHERTYPE, filler, ipv4, ipv6, PROTO, udp } from "./support/frames.ts";

const MAP_FLOWS = 10_000;
const TOP_MAX = 1_000;
const CLOCK = { toNs: (ticks: bigint) => ticks };

type Counted = ReturnType<FlowReducer["finish"]>;

/** Probe and reducer as the aggregator has them. */
class Watch implements Disposable {
  readonly #owned: DisposableStack;
  readonly probe: FlowProbe;
  readonly #reducer: FlowReducer;

  private constructor(probe: FlowProbe, owned: DisposableStack, options: Partial<ReducerOptions>) {
    this.#owned = owned;
    this.probe = probe;
    const interfaceOfSlot: string[] = [];
    interfaceOfSlot[probe.slotOf[0]] = "lo";
    this.#reducer = new FlowReducer({ interfaceOfSlot, valuesPerEntry: 1, topMax: TOP_MAX, filter: null, ...options });
  }

  static async start(
    libbpf: ReturnType<typeof openSystemLibbpf>,
    options: Partial<FlowProbeOptions> = {},
    reducerOptions: Partial<ReducerOptions> = {},
  ): Promise<Watch> {
    using stack = new DisposableStack();
    const probe = stack.use(await loadFlowProbe(libbpf, { flowsMax: MAP_FLOWS, ...options }));
    return new Watch(probe, stack.move(), { order: options.order, ...reducerOptions });
  }

  get fd(): number {
    return this.probe.programFd("ingress_xdp");
  }

  endWindow(): Counted {
    const { side } = this.probe.swap();
    drainWindow(this.probe, side, { reducer: this.#reducer });
    return this.#reducer.finish(CLOCK);
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

function flowNumber(address: string): number {
  const [, high, middle, low] = address.split(".").map(Number);
  return high << 16 | middle << 8 | low;
}

/** The law: everything seen is in a flow, in overflow or elsewhere; the overflow is all in a network or in the rest. */
function assertExact({ interfaces, overflow }: Counted, packets: number): void {
  const [{ seen, flows, overflow: lost }] = interfaces;
  assertEquals(seen, { packets, bytes: packets * SEQUENCE_FRAME_BYTES });
  assertEquals(flows.packets + lost.packets, packets);
  assertEquals(lost.bytes, lost.packets * SEQUENCE_FRAME_BYTES);
  assertEquals(overflow === undefined, lost.packets === 0);
}

/** Share of rows whose truth lies within their bounds. */
function insideShare(rows: FlowRow[], truth: (flow: number) => number): number {
  const inside = rows.filter(({ src, packets, bytes, errorPackets, errorBytes }) => {
    const true_ = truth(flowNumber(src));
    return packets <= true_ && true_ <= packets + errorPackets! &&
      bytes <= true_ * SEQUENCE_FRAME_BYTES && true_ * SEQUENCE_FRAME_BYTES <= bytes + errorBytes!;
  });
  return inside.length / rows.length;
}

/** Numbers of the K flows with the most packets. */
function largest(counts: Uint32Array, k: number): Set<number> {
  return new Set(Array.from(counts.keys()).sort((a, b) => counts[b] - counts[a]).slice(0, k));
}

function overlap(rows: FlowRow[], counts: Uint32Array, k: number): number {
  const truth = largest(counts, k);
  // Where several flows have as many packets as the last of them, any of these is right.
  const least = Math.min(...Array.from(truth, (flow) => counts[flow]));
  return rows.slice(0, k).filter(({ src }) => counts[flowNumber(src)] >= least).length / k;
}

/** The smallest flows first, so that they fill the map: the worst that can happen to the largest ones. */
function smallestFirst(sequence: Uint32Array, counts: Uint32Array): Uint32Array {
  const seen = new Set<number>();
  const small = Array.from(counts.keys()).filter((flow) => counts[flow] === 1).slice(0, MAP_FLOWS);
  for (const flow of small) seen.add(flow);
  return Uint32Array.from([...small, ...sequence.filter((flow) => !seen.has(flow))]);
}

for (
  const { flows, packets, skew } of [
    { flows: 100_000, packets: 1_000_000, skew: 1.0 },
    { flows: 1_000_000, packets: 4_000_000, skew: 1.0 },
    { flows: 1_000_000, packets: 4_000_000, skew: 1.2 },
  ]
) {
  const title = `${flows} flows of skew ${skew.toFixed(1)} over a map of ${MAP_FLOWS}`;
  const sequence = zipf(flows, packets, { skew, seed: 7 });
  const counts = countsOf(sequence, flows);

  Deno.test(`${title}: totals are exact, the largest 100 are named, estimates lie in their bounds`, async () => {
    using libbpf = openSystemLibbpf();
    using watch = await Watch.start(libbpf);
    using traffic = new FlowSequence(libbpf, packets);
    traffic.run(watch.fd, sequence);
    const window = watch.endWindow();
    assertExact(window, packets);
    assertGreater(window.interfaces[0].overflow.packets, packets / 20);
    const named = largestFlows(window, "packets", TOP_MAX);
    assert(overlap(named, counts, 100) >= 0.95, `overlap ${overlap(named, counts, 100)}`);
    const inside = insideShare(window.overflow!.estimates, (flow) => counts[flow]);
    assert(inside >= 0.99, `${inside} inside`);
    for (const row of named) if (row.errorPackets === undefined) assertEquals(row.packets, counts[flowNumber(row.src)]);
  });

  Deno.test(`${title}, the smallest first: the largest 100 are named though none of them found room`, async () => {
    using libbpf = openSystemLibbpf();
    using watch = await Watch.start(libbpf);
    using traffic = new FlowSequence(libbpf, packets);
    const worst = smallestFirst(sequence, counts);
    traffic.run(watch.fd, worst);
    const window = watch.endWindow();
    assertExact(window, worst.length);
    const named = largestFlows(window, "packets", TOP_MAX);
    for (const row of named.slice(0, 50)) assert(row.errorPackets !== undefined);
    assert(overlap(named, counts, 100) >= 0.95, `overlap ${overlap(named, counts, 100)}`);
    const inside = insideShare(window.overflow!.estimates, (flow) => counts[flow]);
    assert(inside >= 0.99, `${inside} inside`);
  });
}

Deno.test("overflow is counted exactly by source network, and what no network has room for is the rest", async () => {
  const flows = 20_000;
  const sequence = zipf(flows, 200_000, { skew: 0.7, seed: 3 });
  const counts = countsOf(sequence, flows);
  using libbpf = openSystemLibbpf();
  for (const prefixesMax of [16_384, 20]) {
    using watch = await Watch.start(libbpf, { flowsMax: 1, prefixesMax });
    using traffic = new FlowSequence(libbpf, sequence.length);
    traffic.run(watch.fd, sequence);
    const window = watch.endWindow();
    assertExact(window, sequence.length);
    const { prefixes, prefixCount, rest } = window.overflow!;
    const truth = new Map<string, number>();
    for (let flow = 0; flow < flows; flow++) {
      const network = sequenceAddress(flow).replace(/\.\d+$/, ".0/24");
      // The one flow that has room is not among them.
      const found = flow === flowNumber(window.top[0].src) ? 0 : counts[flow];
      truth.set(network, (truth.get(network) ?? 0) + found);
    }
    for (const { iface, direction, prefix, packets, bytes } of prefixes) {
      assertEquals([iface, direction], ["lo", "ingress"]);
      assertEquals(packets, truth.get(prefix));
      assertEquals(bytes, packets * SEQUENCE_FRAME_BYTES);
    }
    const { overflow } = window.interfaces[0];
    assertEquals(rest.bytes, rest.packets * SEQUENCE_FRAME_BYTES);
    assertEquals(prefixCount, Math.min(truth.size, prefixesMax));
    if (prefixesMax > truth.size) {
      assertEquals(rest.packets, 0);
      const sum = [...truth.values()].reduce((sum, packets) => sum + packets, 0);
      assertEquals(sum, overflow.packets);
      const order = [...truth.values()].sort((a, b) => b - a).slice(0, prefixes.length);
      assertEquals(prefixes.map(({ packets }) => packets), order);
    } else {
      assertEquals(rest.packets, overflow.packets - prefixes.reduce((sum, { packets }) => sum + packets, 0));
      assertGreater(rest.packets, 0);
    }
  }
});

Deno.test("a window after one that overflowed has nothing of it, on either side", async () => {
  const flows = 1_000;
  const sequence = zipf(flows, 20_000, { skew: 1, seed: 5 });
  const counts = countsOf(sequence, flows);
  using libbpf = openSystemLibbpf();
  using watch = await Watch.start(libbpf, { flowsMax: 128, prefixesMax: 2 });
  using traffic = new FlowSequence(libbpf, sequence.length);
  const windows = Array.from({ length: 4 }, () => {
    traffic.run(watch.fd, sequence);
    return watch.endWindow();
  });
  for (const window of windows) {
    assertExact(window, sequence.length);
    assertEquals(window.overflow!.rest, windows[0].overflow!.rest);
    assertEquals(window.overflow!.prefixes, windows[0].overflow!.prefixes);
    assertEquals(insideShare(window.overflow!.estimates, (flow) => counts[flow]), 1);
  }
  traffic.run(watch.fd, sequence.slice(0, 5));
  const quiet = watch.endWindow();
  assertExact(quiet, 5);
  assertEquals(quiet.overflow, undefined);
});

Deno.test("flows of IPv6 without room are counted by their /48 and named", async () => {
  using libbpf = openSystemLibbpf();
  using watch = await Watch.start(libbpf, { flowsMax: 1 });
  const send = (src: string, sport: number, times: number) => {
    const frame = ethernet(ETHERTYPE.ipv6, ipv6(PROTO.udp, udp(filler(20), sport, 53), { src }));
    testRun(libbpf, watch.fd, frame, { repeat: times });
    return frame.length;
  };
  // The one that has room.
  send("2001:db8:ffff::1", 1, 1);
  const lenBytes = send("2001:db8:1:2::3", 1000, 7);
  send("2001:db8:1:4::5", 1001, 5);
  send("2001:db8:2::1", 1002, 3);
  const { overflow } = watch.endWindow();
  const network = (prefix: string, packets: number) => ({
    iface: "lo",
    direction: "ingress" as const,
    prefix,
    packets,
    bytes: packets * lenBytes,
  });
  assertEquals(overflow!.prefixes, [network("2001:db8:1::/48", 12), network("2001:db8:2::/48", 3)]);
  assertEquals(
    overflow!.estimates.map((
      { src, sport, dport, packets, errorPackets },
    ) => [src, sport, dport, packets, errorPackets]),
    [["2001:db8:1:2::3", 1000, 53, 7, 0], ["2001:db8:1:4::5", 1001, 53, 5, 0], ["2001:db8:2::1", 1002, 53, 3, 0]],
  );
});

Deno.test("with order bytes the flows of the most bytes are kept, not those of the most packets", async () => {
  using libbpf = openSystemLibbpf();
  using watch = await Watch.start(libbpf, { flowsMax: 1, order: "bytes" });
  const send = (src: string, payloadBytes: number, times: number) =>
    testRun(
      libbpf,
      watch.fd,
      ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp(filler(payloadBytes)), { src })),
      { repeat: times },
    );
  send("192.0.2.99", 18, 1);
  send("192.0.2.1", 18, 50);
  send("192.0.2.2", 1_400, 10);
  const { top, overflow } = watch.endWindow();
  assertEquals(overflow!.estimates.map(({ src }) => src), ["192.0.2.2", "192.0.2.1"]);
  const window = { top, overflow } as Pick<FlowWindow, "top" | "overflow">;
  assertEquals(largestFlows(window, "bytes", 2).map(({ src }) => src), ["192.0.2.2", "192.0.2.1"]);
});
