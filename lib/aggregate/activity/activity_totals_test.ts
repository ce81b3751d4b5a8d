import { assert, assertEquals } from "../../../tests/assert.ts";
import { processWindow } from "../../../tests/support/activity.ts";
import { flowWindow } from "../../../tests/support/windows.ts";
import {
  activityBalance,
  addActivityWindow,
  addAttribution,
  attributedShare,
  emptyActivityTotals,
  emptyAttributionTotals,
  isActivityBalanced,
} from "./activity_totals.ts";

Deno.test("addActivityWindow() adds every number of a window", () => {
  const totals = emptyActivityTotals();
  for (let i = 0; i < 2; i++) addActivityWindow(totals, processWindow());
  assertEquals(totals, {
    windows: 2n,
    seen: { calls: 240n, errors: 24n, totalNs: 2_400_000n },
    counted: { calls: 200n, errors: 20n, totalNs: 2_000_000n },
    overflow: { calls: 40n, errors: 4n, totalNs: 400_000n },
    unentered: 6n,
    passedOver: 8n,
  });
  assert(isActivityBalanced(totals));
});

Deno.test("activityBalance() tells what is lost, in any of the three", () => {
  for (const lost of [{ calls: 1 }, { errors: 1 }, { totalNs: 1n }]) {
    const totals = emptyActivityTotals();
    addActivityWindow(totals, processWindow({ seen: { calls: 120, errors: 12, totalNs: 1_200_000n } }));
    addActivityWindow(totals, processWindow({ counted: noneBut(lost), overflow: noneBut({}), seen: noneBut({}) }));
    assert(!isActivityBalanced(totals));
  }
  const totals = emptyActivityTotals();
  addActivityWindow(totals, processWindow({ overflow: noneBut({}) }));
  assertEquals(activityBalance(totals), { calls: 20n, errors: 2n, totalNs: 200_000n });
});

function noneBut(calls: object) {
  return { calls: 0, errors: 0, totalNs: 0n, ...calls };
}

Deno.test("addAttribution() adds what was attributed, and nothing for a window without", () => {
  const totals = emptyAttributionTotals();
  const attribution = {
    attributed: { packets: 3, bytes: 300 },
    unattributed: { packets: 1, bytes: 100 },
    unasked: { packets: 5, bytes: 50 },
  };
  addAttribution(totals, flowWindow());
  addAttribution(totals, flowWindow({ attribution }));
  addAttribution(totals, flowWindow({ attribution }));
  assertEquals(totals, {
    attributed: { packets: 6n, bytes: 600n },
    unattributed: { packets: 2n, bytes: 200n },
    unasked: { packets: 10n, bytes: 100n },
  });
  assertEquals(attributedShare(attribution), 0.75);
  const none = { packets: 0, bytes: 0 };
  assertEquals(attributedShare({ attributed: none, unattributed: none, unasked: none }), null);
});
