/** The object of `--json` that a pipeline adds. */
import type { Count, CountTable } from "../pipeline/bounded_counts.ts";
import type { LatencyHistogram } from "../pipeline/latency_histogram.ts";
import { type PipelineStats, unaccounted } from "../pipeline/pipeline_stats.ts";
import { head, type JsonObject, type Stamp } from "./json_lines.ts";

/**
 * `pipeline`: what became of the events. `unaccounted` is 0, or something is wrong. In `processes` and `containers`,
 * `other` is what is in no row; where it is not 0, a row's count is a lower bound that lacks at most `other`.
 */
export function pipelineObject(stamp: Stamp, stats: PipelineStats): JsonObject {
  return {
    ...head("pipeline", stamp),
    ...outcomeFields(stats),
    retried: stats.retried,
    filtered_by_rule: stats.filteredByRule.map(({ rule, count }) => ({ rule, count })),
    dropped_by_channel: stats.droppedByChannel.map(({ channel, policy, count }) => ({ channel, policy, count })),
    channel_fill: stats.channelFill.map(({ channel, fill }) => ({ channel, fill })),
    stages: stats.stages.map((stage) => ({
      stage: stage.name,
      in: stage.in,
      out: stage.out,
      restarts: stage.restarts,
      latency: latencyFields(stage.latency),
    })),
    latency: latencyFields(stats.latency),
    events_per_second: { "1s": stats.rates.s1, "10s": stats.rates.s10, "60s": stats.rates.s60 },
    categories: stats.categories,
    events: stats.eventCounts.map(({ event, severity, records, estimated }) => ({
      event,
      severity,
      records,
      estimated,
    })),
    processes: tableFields(stats.processes, ({ pid, name, exe }) => ({ pid, name, exe })),
    containers: tableFields(stats.containers, ({ containerId, podUid }) => ({
      container_id: containerId,
      pod_uid: podUid,
    })),
    cache: stats.cache && {
      hits: stats.cache.hits,
      misses: stats.cache.misses,
      hit_ratio: stats.cache.hitRatio,
      entries: stats.cache.entries,
      evictions: stats.cache.evictions,
    },
  };
}

/** Every event is in one of these. */
export function outcomeFields(stats: PipelineStats): Record<string, number> {
  return {
    in: stats.in,
    filtered: stats.filtered,
    aggregated: stats.aggregated,
    dead_lettered: stats.deadLettered,
    dropped: stats.dropped,
    in_flight: stats.inFlight,
    unaccounted: unaccounted(stats),
  };
}

function latencyFields(latency: LatencyHistogram): Record<string, number> {
  const { p50Ns, p90Ns, p99Ns, p999Ns, maxNs, meanNs } = latency.summary();
  return { p50_ns: p50Ns, p90_ns: p90Ns, p99_ns: p99Ns, p999_ns: p999Ns, max_ns: maxNs, mean_ns: meanNs };
}

function tableFields<Label>(
  { rows, other }: CountTable<Label>,
  labelFields: (label: Label) => Record<string, unknown>,
): { top: Record<string, unknown>[]; other: Count } {
  return {
    top: rows.map(({ label, records, estimated }) => ({ ...labelFields(label), records, estimated })),
    other: { records: other.records, estimated: other.estimated },
  };
}
