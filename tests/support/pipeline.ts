/** Statistics of a pipeline for tests: every number different, so that one taken for another shows; they add up. */
import { LatencyHistogram } from "../../lib/pipeline/latency_histogram.ts";
import type { PipelineStats } from "../../lib/pipeline/pipeline_stats.ts";

function latencyOf(...valuesNs: number[]): LatencyHistogram {
  const latency = new LatencyHistogram();
  for (const value of valuesNs) latency.record(value);
  return latency;
}

export function pipelineStats(overrides: Partial<PipelineStats> = {}): PipelineStats {
  return {
    in: 1_000,
    filtered: 200,
    aggregated: 700,
    deadLettered: 40,
    dropped: 35,
    inFlight: 25,
    retried: 3,
    filteredByRule: [{ rule: "low_priority_system", count: 150 }, { rule: "filter", count: 50 }],
    droppedByChannel: [
      { channel: "bulk-0", policy: "drop_oldest", count: 30 },
      { channel: "queue-1", policy: "lost", count: 5 },
    ],
    channelFill: [{ channel: "bulk-0", fill: 0.25 }],
    stages: [
      { name: "filter", in: 990, out: 780, restarts: 1, latency: latencyOf(500, 1_500) },
      { name: "aggregate", in: 750, out: 700, restarts: 0, latency: latencyOf(100) },
    ],
    latency: latencyOf(2_000_000, 3_000_000, 20_000_000_000),
    rates: { s1: 100.5, s10: 90, s60: 80 },
    categories: { unknown: 0, syscall: 1, network: 2, filesystem: 690, process: 7 },
    eventCounts: [{ event: "file_open", severity: "info", records: 690, estimated: 1_380 }],
    processes: {
      rows: [{ label: { pid: 7, name: "\u202esh\x1b", exe: "/bin/sh" }, records: 600, estimated: 1_200 }],
      other: { records: 100, estimated: 200 },
    },
    containers: {
      rows: [{ label: { containerId: "c1", podUid: "p1" }, records: 11, estimated: 12 }],
      other: { records: 0, estimated: 0 },
    },
    cache: {
      hits: 690,
      misses: 10,
      hitRatio: 0.985,
      entries: 321,
      evictions: 4,
      stale: 0,
      lookups: 0,
      failures: 0,
      waiting: 0,
      refused: 0,
    },
    ...overrides,
  };
}
