/** The sum of the progress that a pipeline's workers report: every statistic that is not kept in shared memory. */
import { AggregateTotals } from "./aggregate_totals.ts";
import { LatencyHistogram } from "./latency_histogram.ts";
import type { CacheStats } from "../processes/process_cache.ts";
import type { NodeProgress } from "./pipeline_messages.ts";
import { Rates } from "./rates.ts";
import type { PipelineStats, StageStats } from "./pipeline_stats.ts";

/** Processes and containers that are counted one by one. */
const LABELS_MAX = { processesMax: 4_096, containersMax: 1_024 };
/** Processes and containers in the statistics, the largest first. */
const TOP_ROWS = 20;

const NS_PER_MS = 1e6;

export class ProgressTotals {
  readonly #totals = new AggregateTotals(LABELS_MAX);
  readonly #rates = new Rates(() => performance.now() * NS_PER_MS);
  readonly #stages = new Map<string, Omit<StageStats, "restarts">>();
  readonly #filteredByRule = new Map<string, number>();
  /** Node name to its process cache's counters, since the start of its worker. */
  readonly #caches = new Map<string, CacheStats>();
  #aggregatedAtTick = 0;

  /** Adds a report. @param node name of the node whose worker reports */
  add(node: string, { aggregate, cache, filteredByRule, stages }: NodeProgress): void {
    if (aggregate !== null) this.#totals.add(aggregate);
    if (cache !== null) this.#caches.set(node, cache);
    for (const { rule, count } of filteredByRule) {
      this.#filteredByRule.set(rule, (this.#filteredByRule.get(rule) ?? 0) + count);
    }
    for (const { stage, latency, ...passed } of stages) {
      let stats = this.#stages.get(stage);
      if (stats === undefined) {
        this.#stages.set(stage, stats = { name: stage, in: 0, out: 0, latency: new LatencyHistogram() });
      }
      stats.in += passed.in;
      stats.out += passed.out;
      stats.latency.merge(latency);
    }
  }

  /** Called at regular intervals, for the rates. @param aggregated events aggregated since the start */
  tick(aggregated: number): void {
    this.#rates.tick(aggregated - this.#aggregatedAtTick);
    this.#aggregatedAtTick = aggregated;
  }

  /** @param restartsOf given a stage's name: how often its workers were started again */
  stats(
    restartsOf: (stage: string) => number,
  ): Pick<
    PipelineStats,
    | "filteredByRule"
    | "stages"
    | "latency"
    | "rates"
    | "categories"
    | "eventCounts"
    | "processes"
    | "containers"
    | "cache"
  > {
    return {
      filteredByRule: [...this.#filteredByRule].map(([rule, count]) => ({ rule, count })),
      stages: [...this.#stages.values()].map((stage) => ({ ...stage, restarts: restartsOf(stage.name) })),
      latency: this.#totals.latency,
      rates: this.#rates.rates(),
      categories: this.#totals.categories(),
      eventCounts: this.#totals.counts(),
      processes: this.#totals.topProcesses(TOP_ROWS),
      containers: this.#totals.topContainers(TOP_ROWS),
      cache: sumOfCaches([...this.#caches.values()]),
    };
  }
}

/** Adds the counters of several caches; null for no cache. */
function sumOfCaches(caches: readonly CacheStats[]): CacheStats | null {
  if (caches.length === 0) return null;
  const sum = { ...caches[0] };
  for (const cache of caches.slice(1)) {
    for (const counter of Object.keys(sum) as (keyof CacheStats)[]) sum[counter] += cache[counter];
  }
  const asked = sum.hits + sum.misses;
  return { ...sum, hitRatio: asked === 0 ? 1 : sum.hits / asked };
}
