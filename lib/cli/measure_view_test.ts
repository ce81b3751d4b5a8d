import { assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { emptyTotals } from "../aggregate/flows/totals.ts";
import { renderMeasurement, renderProgress } from "./measure_view.ts";

const RUN = {
  seconds: 10,
  rawEvents: 100_000n,
  summaries: 200n,
  rawRecordBytes: 40,
  summaryRecordBytes: 56,
  overflowPackets: 0n,
  seenPackets: 100_003n,
};

Deno.test("renderMeasurement() compares both ways and names the sizes it assumes", () => {
  assertEquals(
    renderMeasurement(RUN),
    `=== Aggregation Effectiveness ===
Duration: 10.00 s
Seen: 100003 packets
Raw events: 100000
Summaries: 200
Reduction: 500.0:1
Bandwidth raw: 400.0 kB/s (at 40 bytes a packet's record)
Bandwidth aggregated: 1.1 kB/s (at 56 bytes a flow's record)
Bandwidth saved: 99.72 %
`,
  );
});

Deno.test("renderMeasurement() never rounds up to all, and admits silence and overflow", () => {
  assertStringIncludes(
    renderMeasurement({ ...RUN, summaries: 1n, rawEvents: 10n ** 9n }),
    "Bandwidth saved: 99.99 %\n",
  );
  const silence = renderMeasurement({ ...RUN, rawEvents: 0n, summaries: 0n });
  assertStringIncludes(silence, "Reduction: none, no flow was seen\n");
  assertStringIncludes(silence, "Bandwidth saved: none\n");
  assertStringIncludes(
    renderMeasurement({ ...RUN, overflowPackets: 3n }),
    "WARNING: flow map full: 3 packets in overflow are in no summary; raise --max-flows\n",
  );
});

Deno.test("renderProgress() redraws one line and never passes the end", () => {
  const totals = emptyTotals();
  totals.seen.packets = 12_345n;
  assertEquals(renderProgress(2.9, 10, totals), "\r[######..............] 2 of 10 s · 12.3 k packets\x1b[K");
  assertEquals(renderProgress(10.4, 10, totals), "\r[####################] 10 of 10 s · 12.3 k packets\x1b[K");
});
