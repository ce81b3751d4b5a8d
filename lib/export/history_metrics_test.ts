import { assertEquals } from "../../tests/assert.ts";
import { metricsSnapshot } from "../../tests/support/windows.ts";
import type { HistoryCounts } from "../history/history.ts";
import { renderMetrics } from "./metrics.ts";

const COUNTS: HistoryCounts = {
  windowsStored: 1,
  rowsStored: 2,
  windowsDropped: 3,
  rowsDropped: 4,
  windowsEvicted: 5,
  sizeBytes: 4096,
  lastBatchSeconds: 0.0025,
};

function samples(history?: HistoryCounts): string[] {
  return renderMetrics(metricsSnapshot({ history })).split("\n").filter((line) => line.startsWith("ebpfmon_history_"));
}

Deno.test("addHistoryMetrics() gives each count its metric", () => {
  assertEquals(samples(COUNTS), [
    "ebpfmon_history_stored_windows_total 1",
    "ebpfmon_history_stored_flows_total 2",
    "ebpfmon_history_dropped_windows_total 3",
    "ebpfmon_history_dropped_flows_total 4",
    "ebpfmon_history_evicted_windows_total 5",
    "ebpfmon_history_size_bytes 4096",
    "ebpfmon_history_last_batch_seconds 0.0025",
  ]);
});

Deno.test("addHistoryMetrics() claims no size and no time before the first batch, and nothing without a store", () => {
  const names = samples({ ...COUNTS, sizeBytes: 0, lastBatchSeconds: null }).map((line) => line.split(" ")[0]);
  assertEquals(names.filter((name) => !name.endsWith("_total")), []);
  assertEquals(names.length, 5);
  assertEquals(samples(), []);
});

Deno.test("addHistoryMetrics() satisfies promtool", async () => {
  const child = new Deno.Command("build/bin/promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(renderMetrics(metricsSnapshot({ history: COUNTS }))));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals({ code, said }, { code: 0, said: "" });
});
