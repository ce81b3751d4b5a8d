/** Running totals of a router and its pipeline, for summaries and metrics. */
import type { EventCount } from "../events/event_count.ts";
import type { PipelineStats } from "./pipeline_stats.ts";
import { EVENT_TYPES, type EventType } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";

export class EventTotals {
  #pipeline: { stats(): PipelineStats } | null = null;
  readonly #dropped = new Map<EventType, bigint>();
  #health: HealthReport | null = null;

  /** Takes the numbers of this pipeline from now on. */
  follow(pipeline: { stats(): PipelineStats }): void {
    this.#pipeline = pipeline;
  }

  /** The pipeline's statistics now; null before `follow`. Each read computes them: read them once for a page. */
  get pipeline(): PipelineStats | null {
    return this.#pipeline?.stats() ?? null;
  }

  /** Takes a report of the router. */
  addHealth(health: HealthReport): void {
    this.#health = health;
    for (const { event, count } of health.droppedByType) {
      this.#dropped.set(event, (this.#dropped.get(event) ?? 0n) + count);
    }
  }

  /** The router's last report; null before the first. */
  get health(): HealthReport | null {
    return this.#health;
  }

  /** Events that passed the pipeline. */
  get records(): number {
    return this.counts().reduce((sum, { records }) => sum + records, 0);
  }

  /** Critical events that were dropped since the start. */
  get criticalDropped(): bigint {
    return this.#health?.rings.find(({ ring }) => ring === "critical")?.dropped ?? 0n;
  }

  /**
   * Counts by type and severity, those that are not 0; in the order of the types, the most severe first.
   *
   * @param pipeline the statistics, when the caller has read them already
   */
  counts(pipeline = this.pipeline): readonly EventCount[] {
    return pipeline?.eventCounts ?? [];
  }

  /** Dropped events by type since the start; only types with any. */
  droppedByType(): { event: EventType; count: bigint }[] {
    return EVENT_TYPES.map((event) => ({ event, count: this.#dropped.get(event) ?? 0n }))
      .filter(({ count }) => count > 0n);
  }
}
