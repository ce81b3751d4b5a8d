import { assertEquals } from "../../tests/assert.ts";
import { healthReport, ringCounters, routerEvent } from "../../tests/support/events.ts";
import { EventTotals } from "./event_totals.ts";

Deno.test("EventTotals counts records by type and severity, and what they stand for", () => {
  const totals = new EventTotals();
  totals.addEvents([
    routerEvent("file_open", { severity: "debug", weight: 8, repeats: 3 }),
    routerEvent("file_open", { severity: "debug" }),
    routerEvent("process_exec", { severity: "critical" }),
  ]);
  assertEquals(totals.records, 3);
  assertEquals(totals.counts(), [
    { event: "process_exec", severity: "critical", records: 1, estimated: 1 },
    { event: "file_open", severity: "debug", records: 2, estimated: 25 },
  ]);
});

Deno.test("EventTotals sums the drops of reports, and keeps the last report", () => {
  const totals = new EventTotals();
  assertEquals([totals.health, totals.criticalDropped, totals.droppedByType()], [null, 0n, []]);
  totals.addHealth(healthReport({ droppedByType: [{ event: "tcp_state", count: 1n }] }));
  const last = healthReport({
    rings: [ringCounters("critical", { dropped: 5n })],
    droppedByType: [{ event: "tcp_state", count: 2n }, { event: "file_open", count: 4n }],
  });
  totals.addHealth(last);
  assertEquals(totals.health, last);
  assertEquals(totals.criticalDropped, 5n);
  assertEquals(totals.droppedByType(), [{ event: "file_open", count: 4n }, { event: "tcp_state", count: 3n }]);
});
