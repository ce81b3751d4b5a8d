/** The metrics of the store that `monitor --store` writes to. */
import type { HistoryCounts } from "../history/history.ts";
import type { PrometheusText } from "../metrics/prometheus.ts";

/** Adds the history's families to a page of metrics: stored + dropped = windows, but for those on their way. */
export function addHistoryMetrics(text: PrometheusText, counts: HistoryCounts): void {
  const counter = (name: string, help: string, value: number) =>
    text.counter(`ebpfmon_history_${name}_total`, help, [{ value }]);
  counter("stored_windows", "Windows stored.", counts.windowsStored);
  counter("stored_flows", "Flows in the windows stored.", counts.rowsStored);
  counter("dropped_windows", "Windows that are not in the store.", counts.windowsDropped);
  counter("dropped_flows", "Flows in the windows that are not in the store.", counts.rowsDropped);
  counter("evicted_windows", "Windows of any level deleted for their age or the store's size.", counts.windowsEvicted);
  // Neither is known at the start: the store may have been there before.
  const { sizeBytes, lastBatchSeconds } = counts;
  text.gauge(
    "ebpfmon_history_size_bytes",
    "Bytes of the store's file.",
    sizeBytes === 0 ? [] : [{ value: sizeBytes }],
  );
  text.gauge(
    "ebpfmon_history_last_batch_seconds",
    "Time that the store took for the last batch of windows.",
    lastBatchSeconds === null ? [] : [{ value: lastBatchSeconds }],
  );
}
