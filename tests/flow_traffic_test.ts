/** Real traffic between two namespaces: the aggregator against tcpdump and the kernel's own counters. */
import { assert, assertEquals, assertGreater, assertLess } from "./assert.ts";
import type { AggregatorOptions } from "../lib/aggregate/aggregator_messages.ts";
import { type Bytes, sampleFrames } from "./support/frames.ts";
import { linesOf } from "./support/lines.ts";
import { Monitor, totalsOf } from "./support/monitor.ts";
import { ENDS, type NetSide, TestNet } from "./support/namespaces.ts";
import { differences, enterFrame, type Ledger } from "./support/oracle.ts";
import { Capture, type CapturedFrame } from "./support/pcap.ts";

const OTHER_END = { watched: "peer", peer: "watched" } as const;
const ETHERNET_HEADER_BYTES = 14;
/** How often segments are sent before the test gives up to have them all arrive. */
const ROUNDS_MAX = 20;

function macOf(side: NetSide): number[] {
  return ENDS[side].mac.split(":").map((part) => parseInt(part, 16));
}

/** One TCP connection that carries a known number of bytes each way. */
async function connectTcp(net: TestNet, family: "ipv4" | "ipv6", toServerBytes: number, toClientBytes: number) {
  const address = ENDS.watched[family];
  const serverArgs = ["tcp-serve", address, "5001", `${toServerBytes}`, `${toClientBytes}`];
  const server = net.spawnScript("watched", "talker.ts", serverArgs);
  const lines = linesOf(server.stdout);
  assertEquals((await lines.next()).value, "listening");
  await net.runScript("peer", "talker.ts", ["tcp-connect", address, "5001", `${toClientBytes}`, `${toServerBytes}`]);
  assertEquals(JSON.parse((await lines.next()).value!), { sent: toClientBytes, received: toServerBytes });
  await lines.return(undefined);
  await server.status;
}

/** Frames with the MACs of an end as their source, so that a capture tells the direction. */
function addressed(frame: Bytes, from: NetSide): Bytes {
  const copy = frame.slice();
  copy.set(macOf(OTHER_END[from]), 0);
  copy.set(macOf(from), 6);
  return copy;
}

async function sendRaw(net: TestNet, from: NetSide, frames: { frame: Bytes; count: number }[]): Promise<number> {
  const hex = (frame: Bytes) => Array.from(frame, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const input = frames.map(({ frame, count }) => ({ hex: hex(addressed(frame, from)), count }));
  const ifindex = `${await net.ifindex(from)}`;
  const sent = await net.runScript<{ accepted: number; refused: number }>(
    from,
    "sender.ts",
    [ifindex],
    JSON.stringify(input),
  );
  assertEquals(sent.refused, 0);
  return sent.accepted;
}

/** Ledgers of a capture on the peer's end: what it sent is what the watched end took in. */
function ledgersOf(frames: CapturedFrame[]): { ingress: Ledger; egress: Ledger } {
  const ledgers = { ingress: new Map(), egress: new Map() };
  const peerMac = macOf("peer");
  for (const { bytes, lengthBytes } of frames) {
    assertEquals(bytes.length, lengthBytes);
    enterFrame(peerMac.every((byte, i) => bytes[6 + i] === byte) ? ledgers.ingress : ledgers.egress, bytes);
  }
  return ledgers;
}

/** Watches `traffic` and compares every flow with tcpdump, and the totals with the kernel's counters. */
async function compare(options: Partial<AggregatorOptions>, traffic: (net: TestNet) => Promise<void>): Promise<void> {
  await using net = await TestNet.create({ gso: false });
  const monitor = await Monitor.start(net, options);
  const capture = await Capture.start(net, "peer");
  await net.settle();
  const before = await net.counters("watched");
  await traffic(net);
  await net.settle();
  const after = await net.counters("watched");
  const captured = ledgersOf(await capture.stop());
  const { totals, broken } = totalsOf(await monitor.stop());

  assertEquals(broken, []);
  assertEquals(differences(totals.ledgers.ingress, captured.ingress), []);
  assertEquals(differences(totals.ledgers.egress, captured.egress), []);
  assertEquals(totals.overflow.packets, 0);
  const { ingress, egress } = totals.seen;
  assertEquals(ingress.packets, after.rxPackets - before.rxPackets);
  assertEquals(egress.packets, after.txPackets - before.txPackets);
  assertEquals(egress.bytes, after.txBytes - before.txBytes);
  // With a native XDP program on it, veth leaves the Ethernet header out of the bytes it says it received.
  const unreportedBytes = monitor.ready.interfaces[0].mode === "native" ? ingress.packets * ETHERNET_HEADER_BYTES : 0;
  assertEquals(ingress.bytes, after.rxBytes - before.rxBytes + unreportedBytes);
  assertGreater(ingress.packets, 0);
  assertGreater(egress.packets, 0);
}

for (const egressHook of ["tcx", "clsact"] as const) {
  for (const family of ["ipv4", "ipv6"] as const) {
    Deno.test(`TCP, UDP and ICMP over ${family} are counted packet for packet as tcpdump has them, by ${egressHook}`, async () => {
      await compare({ egressHook }, async (net) => {
        const watched = ENDS.watched[family];
        await connectTcp(net, family, 300_000, 200_000);
        await net.runScript("peer", "talker.ts", ["udp-send", watched, "9", "50", "400"]);
        await net.runScript("watched", "talker.ts", ["udp-send", ENDS.peer[family], "9", "20", "1300"]);
        await net.run("peer", "ping", ["-q", "-c", "10", "-i", "0.01", watched]);
      });
    });
  }
}

for (const ingressMode of ["native", "generic", "tcx", "clsact"] as const) {
  Deno.test(`raw frames of every kind are counted both ways in mode ${ingressMode} as tcpdump has them`, async () => {
    const frames = [...sampleFrames().values()].filter((frame) => frame.length <= 1_514);
    const egressHook = ingressMode === "clsact" ? "clsact" : "tcx";
    await compare({ ingressMode, egressHook }, async (net) => {
      const sent = frames.map((frame, i) => ({ frame, count: 1 + i % 4 }));
      const count = sent.reduce((sum, { count }) => sum + count, 0);
      assertEquals(await sendRaw(net, "peer", sent), count);
      assertEquals(await sendRaw(net, "watched", sent), count);
    });
  });
}

Deno.test("per-CPU values count TCP as tcpdump has it", async () => {
  await compare({ values: "percpu" }, async (net) => {
    await connectTcp(net, "ipv4", 500_000, 500_000);
    await connectTcp(net, "ipv6", 500_000, 500_000);
  });
});

Deno.test("a GSO packet counts as the packets that it becomes on the wire", async () => {
  // A burst may overrun the veth's queue, counted on its way out, never in: then the two sides cannot be compared by flow.
  for (let round = 1; await sendSegments() > 0; round++) {
    assertLess(round, ROUNDS_MAX, "packets are lost in each round");
  }
});

/** Sends what is cut into segments, and compares both ends. @returns packets that were lost between them */
async function sendSegments(): Promise<number> {
  await using net = await TestNet.create({ gso: true });
  const sender = await Monitor.start(net, { direction: "egress" }, "watched");
  const receiver = await Monitor.start(net, { direction: "ingress", ingressMode: "native" }, "peer");
  const dropped = async () => (await net.counters("watched")).txDropped + (await net.counters("peer")).rxDropped;
  const droppedBefore = await dropped();
  for (const family of ["ipv4", "ipv6"] as const) await connectTcp(net, family, 100_000, 8_000_000);
  await net.settle();
  const lost = await dropped() - droppedBefore;
  const sent = totalsOf(await sender.stop());
  const received = totalsOf(await receiver.stop());
  assertEquals([...sent.broken, ...received.broken], []);
  assertEquals(sent.totals.seen.egress.packets, received.totals.seen.ingress.packets + lost);
  assertGreater(sent.totals.seen.egress.bytes, 16_000_000);
  assert(sent.totals.seen.egress.packets > 10_000);
  if (lost > 0) return lost;
  assertEquals(differences(sent.totals.ledgers.egress, received.totals.ledgers.ingress), []);
  return 0;
}
