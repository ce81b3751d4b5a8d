import { assertEquals } from "../../tests/assert.ts";
import { healthReport, ringCounters } from "../../tests/support/events.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { EventTotals } from "./event_totals.ts";

Deno.test("EventTotals has the counts of the pipeline that it follows", () => {
  const totals = new EventTotals();
  assertEquals([totals.records, totals.counts(), totals.pipeline], [0, [], null]);
  const eventCounts = [
    { event: "process_exec" as const, severity: "critical" as const, records: 1, estimated: 1 },
    { event: "file_open" as const, severity: "debug" as const, records: 2, estimated: 25 },
  ];
  totals.follow({ stats: () => pipelineStats({ eventCounts }) });
  assertEquals(totals.records, 3);
  assertEquals(totals.counts(), eventCounts);
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
