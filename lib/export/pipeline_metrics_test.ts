import { assert, assertEquals, assertStringIncludes } from "../../tests/assert.ts";
import { pipelineStats } from "../../tests/support/pipeline.ts";
import { addPipelineMetrics } from "./pipeline_metrics.ts";
import { PrometheusText } from "../metrics/prometheus.ts";

function page(stats = pipelineStats()): string {
  const text = new PrometheusText();
  addPipelineMetrics(text, stats);
  return text.toString();
}

Deno.test("addPipelineMetrics() gives each side of the pipeline's equation", () => {
  const text = page();
  for (
    const line of [
      "ebpfmon_pipeline_in_total 1000",
      "ebpfmon_pipeline_filtered_total 200",
      "ebpfmon_pipeline_aggregated_total 700",
      "ebpfmon_pipeline_dead_lettered_total 40",
      'ebpfmon_pipeline_dropped_total{channel="bulk-0",policy="drop_oldest"} 30',
      'ebpfmon_pipeline_dropped_total{channel="queue-1",policy="lost"} 5',
      "ebpfmon_pipeline_in_flight 25",
      "ebpfmon_pipeline_retried_total 3",
      'ebpfmon_pipeline_filtered_by_rule_total{rule="filter"} 50',
    ]
  ) assertStringIncludes(text, `\n${line}\n`);
});

Deno.test("addPipelineMetrics() gives stages, latencies in seconds, rates, categories and the cache", () => {
  const text = page();
  for (
    const line of [
      'ebpfmon_pipeline_stage_in_total{stage="filter"} 990',
      'ebpfmon_pipeline_stage_out_total{stage="filter"} 780',
      'ebpfmon_pipeline_restarts_total{stage="filter"} 1',
      'ebpfmon_pipeline_stage_seconds_bucket{stage="filter",le="0.000001"} 1',
      'ebpfmon_pipeline_stage_seconds_bucket{stage="filter",le="0.000005"} 2',
      'ebpfmon_pipeline_stage_seconds_sum{stage="filter"} 0.000002',
      'ebpfmon_pipeline_stage_seconds_count{stage="aggregate"} 1',
      'ebpfmon_pipeline_latency_seconds_bucket{le="0.001"} 0',
      'ebpfmon_pipeline_latency_seconds_bucket{le="0.0025"} 1',
      'ebpfmon_pipeline_latency_seconds_bucket{le="10"} 2',
      'ebpfmon_pipeline_latency_seconds_bucket{le="+Inf"} 3',
      "ebpfmon_pipeline_latency_seconds_sum 20.005",
      'ebpfmon_pipeline_channel_fill_ratio{channel="bulk-0"} 0.25',
      'ebpfmon_pipeline_events_per_second{window="1s"} 100.5',
      'ebpfmon_pipeline_events_per_second{window="60s"} 80',
      'ebpfmon_pipeline_category_events_total{category="filesystem"} 690',
      "ebpfmon_pipeline_process_cache_hits_total 690",
      "ebpfmon_pipeline_process_cache_misses_total 10",
      "ebpfmon_pipeline_process_cache_evictions_total 4",
      "ebpfmon_pipeline_process_cache_entries 321",
    ]
  ) assertStringIncludes(text, `\n${line}\n`);
});

Deno.test("addPipelineMetrics() has no label of a process or container, and no cache without one", () => {
  const text = page(pipelineStats({ cache: null }));
  assert(!/pid|exe=|container=|cache/.test(text));
});

Deno.test("addPipelineMetrics() satisfies promtool", async () => {
  const child = new Deno.Command("build/bin/promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page()));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals({ code, said }, { code: 0, said: "" });
});
