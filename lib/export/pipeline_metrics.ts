/** The metrics of a pipeline. */
import type { PipelineStats, StageStats } from "../pipeline/pipeline_stats.ts";
import type { PrometheusText, Sample } from "../metrics/prometheus.ts";

/** Adds the families of a pipeline to a page of metrics. */
export function addPipelineMetrics(text: PrometheusText, stats: PipelineStats): void {
  addOutcomes(text, stats);

  const byStage = (value: (stage: StageStats) => number): Sample[] =>
    stats.stages.map((stage) => ({ labels: { stage: stage.name }, value: value(stage) }));
  text.counter("ebpfmon_pipeline_stage_in_total", "Events that a stage took.", byStage((stage) => stage.in));
  text.counter("ebpfmon_pipeline_stage_out_total", "Events that a stage passed on.", byStage((stage) => stage.out));
  text.counter(
    "ebpfmon_pipeline_restarts_total",
    "Workers of a stage that died and were started again.",
    byStage((stage) => stage.restarts),
  );
  text.histograms(
    "ebpfmon_pipeline_stage_seconds",
    "Time that events spent in a stage.",
    stats.stages.map(({ name, latency }) => ({ labels: { stage: name }, histogram: latency.toPrometheus() })),
  );
  text.histogram(
    "ebpfmon_pipeline_latency_seconds",
    "Time from the kernel's timestamp to the end of the last stage.",
    stats.latency.toPrometheus(),
  );
  text.gauge(
    "ebpfmon_pipeline_channel_fill_ratio",
    "Share of a channel's room in use.",
    stats.channelFill.map(({ channel, fill }) => ({ labels: { channel }, value: fill })),
  );
  text.gauge("ebpfmon_pipeline_events_per_second", "Aggregated events a second over a rolling window.", [
    { labels: { window: "1s" }, value: stats.rates.s1 },
    { labels: { window: "10s" }, value: stats.rates.s10 },
    { labels: { window: "60s" }, value: stats.rates.s60 },
  ]);
  text.counter(
    "ebpfmon_pipeline_category_events_total",
    "Aggregated events by what they are about.",
    Object.entries(stats.categories).map(([category, value]) => ({ labels: { category }, value })),
  );
  addCache(text, stats);
}

/** in = filtered + aggregated + dead-lettered + dropped + in flight. */
function addOutcomes(text: PrometheusText, stats: PipelineStats): void {
  text.counter("ebpfmon_pipeline_in_total", "Events that came in.", [{ value: stats.in }]);
  text.counter("ebpfmon_pipeline_filtered_total", "Events that the filter stage left out.", [
    { value: stats.filtered },
  ]);
  text.counter(
    "ebpfmon_pipeline_filtered_by_rule_total",
    "Events that the filter stage left out, by rule.",
    stats.filteredByRule.map(({ rule, count }) => ({ labels: { rule }, value: count })),
  );
  text.counter("ebpfmon_pipeline_aggregated_total", "Events that came through.", [{ value: stats.aggregated }]);
  text.counter("ebpfmon_pipeline_dead_lettered_total", "Events that a stage failed on.", [
    { value: stats.deadLettered },
  ]);
  text.counter(
    "ebpfmon_pipeline_dropped_total",
    "Events that a channel dropped, by its policy.",
    stats.droppedByChannel.map(({ channel, policy, count }) => ({ labels: { channel, policy }, value: count })),
  );
  text.gauge("ebpfmon_pipeline_in_flight", "Events inside.", [{ value: stats.inFlight }]);
  text.counter("ebpfmon_pipeline_retried_total", "Events handed to another worker after theirs died.", [
    { value: stats.retried },
  ]);
}

function addCache(text: PrometheusText, { cache }: PipelineStats): void {
  if (cache === null) return;
  text.counter("ebpfmon_pipeline_process_cache_hits_total", "Events whose process was in the cache.", [
    { value: cache.hits },
  ]);
  text.counter("ebpfmon_pipeline_process_cache_misses_total", "Events whose process was not in the cache.", [
    { value: cache.misses },
  ]);
  text.counter("ebpfmon_pipeline_process_cache_evictions_total", "Processes that made room for others.", [
    { value: cache.evictions },
  ]);
  text.gauge("ebpfmon_pipeline_process_cache_entries", "Processes in the cache.", [{ value: cache.entries }]);
}
