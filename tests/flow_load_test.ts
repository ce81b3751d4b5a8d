/** Full speed: packets made in the kernel, millions of them, against the receiving end's own counters. */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import type { AggregatorOptions, FlowWindow } from "../lib/aggregate/protocol.ts";
import { linesOf } from "./support/lines.ts";
import { Monitor, totalsOf } from "./support/monitor.ts";
import { TestNet } from "./support/namespaces.ts";

const FRAME_BYTES = 60;
const FIRST_SOURCE = 0x0a00_0000;

interface Load {
  packets: number;
  flows: number;
  /** Processes, each on a CPU of its own; all send the same flows. */
  senders?: number;
}

/** Sends at full speed from the peer's end. @returns packets sent, whether or not they arrived */
async function generate(net: TestNet, { packets, flows, senders = 1 }: Load): Promise<number> {
  const ifindex = await net.ifindex("peer");
  const children = Array.from({ length: senders }, (_, cpu) => {
    const args = [`${ifindex}`, `${flows}`, `${FIRST_SOURCE}`, `${packets / senders}`];
    return net.spawnScript("peer", "generate.ts", args, { stdin: "piped", cpu: senders > 1 ? cpu : undefined });
  });
  const outputs = children.map((child) => linesOf(child.stdout));
  for (const lines of outputs) assertEquals((await lines.next()).value, "ready");
  for (const child of children) await child.stdin.close();
  let sent = 0;
  for (const [i, lines] of outputs.entries()) {
    sent += JSON.parse((await lines.next()).value!).sent;
    await lines.return(undefined);
    await children[i].status;
  }
  return sent;
}

/** How often each CPU has taken packets in. */
async function receiveRuns(): Promise<number[]> {
  const { stdout } = await new Deno.Command("cat", { args: ["/proc/softirqs"] }).output();
  return /NET_RX:\s+(.*)/.exec(new TextDecoder().decode(stdout))![1].trim().split(/\s+/).map(Number);
}

/** Watches a load; checks the law, window by window and as a whole. */
async function watch(load: Load, options: Partial<AggregatorOptions>) {
  await using net = await TestNet.create({ queues: load.senders });
  const monitor = await Monitor.start(net, { direction: "ingress", ingressMode: "native", topMax: 10, ...options });
  const before = await net.counters("watched");
  const sent = await generate(net, load);
  await net.settle();
  const after = await net.counters("watched");
  const windows = await monitor.stop();

  const { totals, broken } = totalsOf(windows);
  assertEquals(broken, []);
  const received = after.rxPackets - before.rxPackets;
  const { packets, bytes } = totals.seen.ingress;
  assertEquals(packets, received);
  assertEquals(bytes, received * FRAME_BYTES);
  assertEquals(totals.flows.packets + totals.overflow.packets + totals.other.packets, received);
  assertEquals(totals.other.packets, 0);
  assertEquals(sent, load.packets);
  // Some are dropped before they reach the program, when the receiver's queue of 256 is full; not all, or the test is void.
  assertGreater(received, load.packets / 10);
  return { windows, totals, alerts: monitor.alerts };
}

function busy(windows: FlowWindow[]): FlowWindow[] {
  return windows.filter((window) => window.flows > 0);
}

for (const values of ["atomic", "percpu"] as const) {
  Deno.test(`4 million packets of 1,000 flows across windows of 100 ms: every one is counted, values ${values}`, async () => {
    const { windows, totals } = await watch({ packets: 4_000_000, flows: 1_000 }, { values, windowMs: 100 });
    assertEquals(totals.overflow.packets, 0);
    assertGreater(busy(windows).length, 5);
    for (const window of busy(windows).slice(1, -1)) assertEquals(window.flows, 1_000);
  });

  Deno.test(`4 million packets of one flow from two CPUs: every one is counted, values ${values}`, async () => {
    const before = await receiveRuns();
    const { windows } = await watch({ packets: 4_000_000, flows: 1, senders: 2 }, { values, windowMs: 100 });
    const after = await receiveRuns();
    // Both CPUs must have counted, or nothing was shown.
    for (const cpu of [0, 1]) assertGreater(after[cpu] - before[cpu], 1_000);
    for (const window of windows) assertGreater(2, window.flows);
  });
}

Deno.test("4 million packets of 100,000 flows across windows of 250 ms: every one is counted", async () => {
  const { windows, totals } = await watch({ packets: 4_000_000, flows: 100_000 }, { flowsMax: 131_072, windowMs: 250 });
  assertEquals(totals.overflow.packets, 0);
  assertGreater(busy(windows).length, 3);
});

Deno.test("5,000 flows in a map of 1,000 entries: what finds no room is counted as overflow", async () => {
  const { windows, totals } = await watch({ packets: 2_000_000, flows: 5_000 }, { flowsMax: 1_000, windowMs: 100 });
  assertGreater(totals.overflow.packets, 0);
  assertGreater(totals.flows.packets, 0);
  assertEquals(totals.overflow.bytes, totals.overflow.packets * FRAME_BYTES);
  for (const { flows } of windows) assertGreater(1_001, flows);
});

Deno.test("5,000 flows from two CPUs in a map of 1,000: the overflow is all in networks, estimates are no more than it", async () => {
  const load = { packets: 2_000_000, flows: 5_000, senders: 2 };
  const { windows } = await watch(load, { flowsMax: 1_000, topMax: 1_000, windowMs: 200 });
  let overflowed = 0;
  for (const { interfaces, overflow } of windows) {
    const lost = interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
    assertEquals(overflow === undefined, lost === 0);
    if (overflow === undefined) continue;
    overflowed++;
    const { prefixes, rest, estimates } = overflow;
    assertEquals(prefixes.reduce((sum, { packets }) => sum + packets, rest.packets), lost);
    assertEquals(prefixes.reduce((sum, { bytes }) => sum + bytes, rest.bytes), lost * FRAME_BYTES);
    assertGreater(estimates.length, 900);
    assert(estimates.reduce((sum, { packets }) => sum + packets, 0) <= lost);
  }
  assertGreater(overflowed, 2);
});

Deno.test("a map of 1,000 entries grows under 5,000 flows until all have room, says so once, and loses no packet", async () => {
  const { windows, alerts } = await watch({ packets: 4_000_000, flows: 5_000 }, {
    flowsMax: 1_000,
    flowsLimit: 100_000,
    windowMs: 100,
  });
  const overflowed = busy(windows).map(({ overflow }) => overflow !== undefined);
  assert(overflowed[0]);
  // Three doublings of two sides, each seen a window or two after it was asked for; then all have room.
  assertGreater(overflowed.length, 15);
  assert(!overflowed.slice(-5).includes(true), `${overflowed}`);
  const capacities = windows.map(({ capacity }) => capacity);
  assertEquals(capacities[0], 2_000);
  // IPv4's map has grown, that of IPv6 has not.
  assertEquals(capacities.at(-1), 9_000);
  assertEquals(alerts, ["flow_map_grown"]);
});

Deno.test("windows of automatic length shorten while flows find no room, and every packet is counted", async () => {
  const { windows } = await watch({ packets: 8_000_000, flows: 100_000 }, { flowsMax: 10_000, windowAuto: true });
  const lengthsMs = windows.map(({ startNs, endNs }) => Number(endNs - startNs) / 1e6);
  // The first is a second long, and the traffic starts after it.
  assert(lengthsMs[0] > 990 && lengthsMs[0] < 1_300, `${lengthsMs}`);
  assert(lengthsMs.slice(0, -1).some((ms) => ms > 490 && ms < 700), `${lengthsMs}`);
});
