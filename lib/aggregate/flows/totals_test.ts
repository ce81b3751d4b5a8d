import { assert, assertEquals } from "../../../tests/assert.ts";
import { flowWindow, interfaceTraffic, RETRANSMITS } from "../../../tests/support/windows.ts";
import { addWindow, balance, emptyTotals, isBalanced, otherTotal } from "./totals.ts";

Deno.test("addWindow() adds up windows, flow summaries, traffic and matches", () => {
  const totals = emptyTotals();
  addWindow(totals, flowWindow());
  addWindow(totals, flowWindow({ sequence: 1, flows: 5 }));
  assertEquals(totals.windows, 2n);
  assertEquals(totals.flowSummaries, 7n);
  assertEquals(totals.seen, { packets: 400n, bytes: 40_000n });
  assertEquals(totals.flows, { packets: 280n, bytes: 28_000n });
  assertEquals(totals.overflow, { packets: 80n, bytes: 8_000n });
  assertEquals(totals.other.truncated, { packets: 12n, bytes: 1_200n });
  assertEquals(totals.matched, { flowSummaries: 2n, packets: 120n, bytes: 13_000n });
  assertEquals(otherTotal(totals), { packets: 40n, bytes: 4_000n });
});

Deno.test("addWindow() adds up what was sent again, once a window has counted it", () => {
  const totals = emptyTotals();
  addWindow(totals, flowWindow());
  assertEquals(totals.retransmits, undefined);
  const retransmits = RETRANSMITS;
  addWindow(totals, flowWindow({ retransmits }));
  addWindow(totals, flowWindow({ retransmits: { ...retransmits, segments: 11, unattributed: 4, missedRuns: 0 } }));
  assertEquals(totals.retransmits, {
    segments: 21n,
    attributed: 12n,
    unattributed: 7n,
    overflow: 2n,
    forwarded: 8n,
    elsewhere: 10n,
    missedRuns: 2n,
  });
});

Deno.test("addWindow() keeps interfaces and directions apart, and those that went away", () => {
  const totals = emptyTotals();
  addWindow(totals, flowWindow());
  addWindow(totals, flowWindow({ interfaces: [interfaceTraffic({ iface: "eth1" })] }));
  addWindow(totals, flowWindow({ interfaces: [interfaceTraffic()] }));
  assertEquals(
    totals.interfaces.map(({ iface, direction, seen }) => [iface, direction, seen.packets]),
    [["eth0", "ingress", 200n], ["eth0", "egress", 100n], ["eth1", "ingress", 100n]],
  );
});

Deno.test("addWindow() stays exact beyond 2^53", () => {
  const totals = emptyTotals();
  const bytes = Number.MAX_SAFE_INTEGER;
  const traffic = interfaceTraffic({ seen: { packets: 1, bytes } });
  for (let i = 0; i < 3; i++) addWindow(totals, flowWindow({ interfaces: [traffic] }));
  assertEquals(totals.seen.bytes, 3n * BigInt(bytes));
});

Deno.test("balance() is zero where every packet is accounted for, and signed where not", () => {
  const totals = emptyTotals();
  addWindow(totals, flowWindow());
  assertEquals(balance(totals), { packets: 0n, bytes: 0n });

  addWindow(totals, flowWindow({ interfaces: [interfaceTraffic({ seen: { packets: 103, bytes: 9_999 } })] }));
  assertEquals(balance(totals), { packets: 3n, bytes: -1n });
  assert(!isBalanced(totals));
});

Deno.test("isBalanced() sees a loss that a surplus elsewhere would hide", () => {
  const totals = emptyTotals();
  const lost = interfaceTraffic({ seen: { packets: 101, bytes: 10_000 } });
  const surplus = interfaceTraffic({ iface: "eth1", seen: { packets: 99, bytes: 10_000 } });
  addWindow(totals, flowWindow({ interfaces: [lost, surplus] }));
  assertEquals(balance(totals), { packets: 0n, bytes: 0n });
  assert(!isBalanced(totals));
});

Deno.test("isBalanced() holds for nothing", () => {
  assert(isBalanced(emptyTotals()));
});
