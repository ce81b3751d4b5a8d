/** Full speed: packets made in the kernel, millions of them, against the receiving end's own counters. */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import type { AggregatorOptions } from "../lib/aggregate/aggregator_messages.ts";
import type { FlowWindow } from "../lib/aggregate/windows/flow_window.ts";
import { linesOf } from "./support/lines.ts";
import { Monitor, totalsOf } from "./support/monitor.ts";
import { TestNet } from "./support/namespaces.ts";

const FRAME_BYTES = 60;
const FIRST_SOURCE = 0x0a00_0000;
const ROUNDS_MAX = 20;
/** Busy windows in a row that must have had room for every flow. */
const SETTLED_WINDOWS = 5;

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

/**
 * Watches a load; checks the law, window by window and as a whole.
 * @param enough whether the windows so far show what the test is about; the load is sent again while they do not, because
 *   how many windows it takes depends on the machine
 */
async function watch(load: Load, options: Partial<AggregatorOptions>, enough: (windows: FlowWindow[]) => boolean) {
  await using net = await TestNet.create({ queues: load.senders });
  const monitor = await Monitor.start(net, { direction: "ingress", ingressMode: "native", topMax: 10, ...options });
  const before = await net.counters("watched");
  let sent = 0, received = 0, rounds = 0;
  do {
    sent += await generate(net, load);
    rounds++;
    await net.settle();
    received = (await net.counters("watched")).rxPackets - before.rxPackets;
    await monitor.counted(received);
  } while (!enough(monitor.windows) && rounds < ROUNDS_MAX);
  const windows = await monitor.stop();
  assert(enough(windows), `not shown in ${rounds} rounds and ${windows.length} windows`);

  const { totals, broken } = totalsOf(windows);
  assertEquals(broken, []);
  const { packets, bytes } = totals.seen.ingress;
  assertEquals(packets, received);
  assertEquals(bytes, received * FRAME_BYTES);
  assertEquals(totals.flows.packets + totals.overflow.packets + totals.other.packets, received);
  assertEquals(totals.other.packets, 0);
  assertEquals(sent, rounds * load.packets);
  // Some are dropped before they reach the program, when the receiver's queue of 256 is full; not all, or the test is void.
  assertGreater(received, sent / 10);
  return { windows, totals, alerts: monitor.alerts };
}

function busy(windows: FlowWindow[]): FlowWindow[] {
  return windows.filter((window) => window.flows > 0);
}

/** @returns whether more than so many windows have flows */
function moreThan(count: number): (windows: FlowWindow[]) => boolean {
  return (windows) => busy(windows).length > count;
}

function overflowing(windows: FlowWindow[]): FlowWindow[] {
  return windows.filter(({ overflow }) => overflow !== undefined);
}

for (const values of ["atomic", "percpu"] as const) {
  Deno.test(`4 million packets of 1,000 flows across windows of 100 ms: every one is counted, values ${values}`, async () => {
    const { windows, totals } = await watch(
      { packets: 4_000_000, flows: 1_000 },
      { values, windowMs: 100 },
      moreThan(5),
    );
    assertEquals(totals.overflow.packets, 0);
    for (const window of windows) assertGreater(1_001, window.flows);
    assert(busy(windows).some(({ flows }) => flows === 1_000));
  });

  Deno.test(`4 million packets of one flow from two CPUs: every one is counted, values ${values}`, async () => {
    const before = await receiveRuns();
    const { windows } = await watch(
      { packets: 4_000_000, flows: 1, senders: 2 },
      { values, windowMs: 100 },
      moreThan(0),
    );
    const after = await receiveRuns();
    // Both CPUs must have counted, or nothing was shown.
    for (const cpu of [0, 1]) assertGreater(after[cpu] - before[cpu], 1_000);
    for (const window of windows) assertGreater(2, window.flows);
  });
}

Deno.test("4 million packets of 100,000 flows across windows of 250 ms: every one is counted", async () => {
  const options = { flowsMax: 131_072, windowMs: 250 };
  const { totals } = await watch({ packets: 4_000_000, flows: 100_000 }, options, moreThan(3));
  assertEquals(totals.overflow.packets, 0);
});

Deno.test("5,000 flows in a map of 1,000 entries: what finds no room is counted as overflow", async () => {
  const options = { flowsMax: 1_000, windowMs: 100 };
  const { windows, totals } = await watch({ packets: 2_000_000, flows: 5_000 }, options, moreThan(0));
  assertGreater(totals.overflow.packets, 0);
  assertGreater(totals.flows.packets, 0);
  assertEquals(totals.overflow.bytes, totals.overflow.packets * FRAME_BYTES);
  for (const { flows } of windows) assertGreater(1_001, flows);
});

Deno.test("5,000 flows from two CPUs in a map of 1,000: the overflow is all in networks, estimates are no more than it", async () => {
  const load = { packets: 2_000_000, flows: 5_000, senders: 2 };
  const options = { flowsMax: 1_000, topMax: 1_000, windowMs: 200 };
  const { windows } = await watch(load, options, (windows) => overflowing(windows).length > 2);
  for (const { interfaces, overflow } of windows) {
    const lost = interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
    assertEquals(overflow === undefined, lost === 0);
    if (overflow === undefined) continue;
    const { prefixes, rest, estimates } = overflow;
    assertEquals(prefixes.reduce((sum, { packets }) => sum + packets, rest.packets), lost);
    assertEquals(prefixes.reduce((sum, { bytes }) => sum + bytes, rest.bytes), lost * FRAME_BYTES);
    assertGreater(estimates.length, 900);
    assert(estimates.reduce((sum, { packets }) => sum + packets, 0) <= lost);
  }
});

Deno.test("a map of 1,000 entries grows under 5,000 flows until all have room, says so once, and loses no packet", async () => {
  const options = { flowsMax: 1_000, flowsLimit: 100_000, windowMs: 100 };
  // Three doublings of two sides, each seen a window or two after it was asked for; then all have room.
  const settled = (windows: FlowWindow[]) => {
    const last = busy(windows).slice(-SETTLED_WINDOWS);
    return last.length === SETTLED_WINDOWS && last.every(({ overflow }) => overflow === undefined);
  };
  const { windows, alerts } = await watch({ packets: 2_000_000, flows: 5_000 }, options, settled);
  assert(busy(windows)[0].overflow !== undefined);
  const capacities = windows.map(({ capacity }) => capacity);
  assertEquals(capacities[0], 2_000);
  // IPv4's map has grown, that of IPv6 has not.
  assertEquals(capacities.at(-1), 9_000);
  assertEquals(alerts, ["flow_map_grown"]);
});

Deno.test("windows of automatic length shorten while flows find no room, and every packet is counted", async () => {
  const lengthsMs = (windows: FlowWindow[]) => windows.map(({ startNs, endNs }) => Number(endNs - startNs) / 1e6);
  // The last window ends when it is told to.
  const shortened = (windows: FlowWindow[]) => lengthsMs(windows.slice(0, -1)).some((ms) => ms > 490 && ms < 700);
  const load = { packets: 4_000_000, flows: 100_000 };
  const { windows } = await watch(load, { flowsMax: 10_000, windowAuto: true }, shortened);
  // The first is a second long, and the traffic starts after it.
  assertGreater(lengthsMs(windows)[0], 990);
  assert(shortened(windows.slice(1)));
});
