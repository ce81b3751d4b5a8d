import { assert, assertEquals } from "../../../tests/assert.ts";
import type { FlowOrder } from "../windows/flow_window.ts";
import { type RankedFlow, TopFlows } from "./top_flows.ts";

function flow(packets: number, bytes = packets * 100, keyByte = 0, family: 4 | 6 = 4): RankedFlow {
  const key = new Uint8Array(family === 4 ? 16 : 40).fill(keyByte);
  return { family, key, packets, bytes, firstSeenJiffies: 1n, lastSeenJiffies: 2n, tcpFlags: 0 };
}

function admits(top: TopFlows, candidate: RankedFlow): boolean {
  // Keys lie one after another in a batch.
  const keys = new Uint8Array([...new Uint8Array(candidate.key.length), ...candidate.key]);
  return top.admits(candidate, keys, candidate.key.length);
}

function offer(top: TopFlows, candidate: RankedFlow): void {
  if (admits(top, candidate)) top.add(candidate);
}

function topOf(flowsMax: number, flows: RankedFlow[]): RankedFlow[] {
  const top = new TopFlows(flowsMax);
  for (const it of flows) offer(top, it);
  return top.take();
}

Deno.test("TopFlows keeps the same flows as a sort of all of them, in any order of arrival", () => {
  let state = 12_345;
  const random = (below: number) => (state = Math.imul(state, 48_271) >>> 1) % below;
  for (let round = 0; round < 50; round++) {
    // Few values, so that many tie.
    const flows = Array.from({ length: 1 + random(300) }, (_, i) => flow(random(20), random(5), i % 256));
    const byRank = (a: RankedFlow, b: RankedFlow) => b.packets - a.packets || b.bytes - a.bytes || a.key[0] - b.key[0];
    const flowsMax = 1 + random(40);
    const kept = topOf(flowsMax, flows);
    const rank = (it: RankedFlow) => [it.packets, it.bytes, it.key[0]];
    assertEquals(kept.map(rank), [...flows].sort(byRank).slice(0, flowsMax).map(rank));
  }
});

Deno.test("TopFlows ranks equal traffic by family, then key, however it arrives", () => {
  const flows = [flow(5, 500, 3), flow(5, 500, 1), flow(5, 500, 2), flow(5, 500, 0, 6)];
  const expected = [[4, 1], [4, 2]];
  assertEquals(topOf(2, flows).map((it) => [it.family, it.key[0]]), expected);
  assertEquals(topOf(2, flows.reverse()).map((it) => [it.family, it.key[0]]), expected);
});

Deno.test("TopFlows.admits() turns away exactly what would not be kept", () => {
  const top = new TopFlows(2);
  assert(admits(top, flow(0)));
  offer(top, flow(10, 1_000, 5));
  offer(top, flow(20));
  assert(!admits(top, flow(9, 5_000)));
  assert(!admits(top, flow(10, 999)));
  assert(!admits(top, flow(10, 1_000, 5)));
  assert(!admits(top, flow(10, 1_000, 6)));
  assert(admits(top, flow(10, 1_000, 4)));
  assert(admits(top, flow(11, 0)));
});

Deno.test("TopFlows.add() copies the key, which is lent", () => {
  const top = new TopFlows(1);
  const lent = flow(1, 1, 7);
  offer(top, lent);
  lent.key.fill(0);
  assertEquals(top.take()[0].key[0], 7);
});

Deno.test("TopFlows.take() empties it for the next window", () => {
  const top = new TopFlows(3);
  offer(top, flow(1));
  assertEquals(top.take().length, 1);
  assertEquals(top.take(), []);
});

Deno.test("TopFlows keeps whole IPv6 keys", () => {
  const key = Uint8Array.from({ length: 40 }, (_, i) => i);
  const [kept] = topOf(1, [{ ...flow(1, 1, 0, 6), key }]);
  assertEquals(kept.key, key);
});

Deno.test("TopFlows ranks by bytes, or by a TCP flag first, where asked to", () => {
  const flows = [
    { ...flow(10, 100, 1), tcpFlags: 0b10010 },
    { ...flow(5, 900, 2), tcpFlags: 0b00100 },
    { ...flow(7, 200, 3), tcpFlags: 0b10110 },
    { ...flow(20, 50, 4), tcpFlags: 0 },
  ];
  const ranked = (order: FlowOrder) => {
    const top = new TopFlows(3, order);
    for (const it of flows) offer(top, it);
    return top.take().map(({ key }) => key[0]);
  };
  assertEquals(ranked("packets"), [4, 1, 3]);
  assertEquals(ranked("bytes"), [2, 3, 1]);
  assertEquals(ranked("resets"), [3, 2, 4]);
  assertEquals(ranked("new"), [1, 3, 4]);
});

Deno.test("TopFlows ranks by segments sent again, or by their share of the packets, where asked to", () => {
  const flows = [
    { ...flow(10, 100, 1), retransmits: 2 },
    { ...flow(5, 900, 2), retransmits: 1 },
    { ...flow(100, 200, 3), retransmits: 9 },
    { ...flow(20, 50, 4), retransmits: 0 },
    flow(200, 50, 5), // nobody knows
  ];
  const ranked = (order: FlowOrder) => {
    const top = new TopFlows(4, order);
    for (const it of flows) offer(top, it);
    return top.take().map(({ key }) => key[0]);
  };
  assertEquals(ranked("retransmits"), [3, 1, 2, 5]);
  // Equal shares rank by packets.
  assertEquals(ranked("retransmit-share"), [1, 2, 3, 5]);
});
