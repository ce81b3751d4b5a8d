/** Running totals of a router and the pipeline behind it: what came through, and what the last report says. */
import type { EventCount } from "../events/event_count.ts";
import type { PipelineStats } from "./pipeline_stats.ts";
import { EVENT_TYPES, type EventType } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";

export class EventTotals {
  #pipeline: { stats(): PipelineStats } | null = null;
  readonly #dropped = new Map<EventType, bigint>();
  #health: HealthReport | null = null;

  /** From now on its numbers are those of this pipeline. */
  follow(pipeline: { stats(): PipelineStats }): void {
    this.#pipeline = pipeline;
  }

  /** As they are now; null before there is a pipeline. Made anew at each look: take it once a page. */
  get pipeline(): PipelineStats | null {
    return this.#pipeline?.stats() ?? null;
  }

  addHealth(health: HealthReport): void {
    this.#health = health;
    for (const { event, count } of health.droppedByType) {
      this.#dropped.set(event, (this.#dropped.get(event) ?? 0n) + count);
    }
  }

  /** The last report; null before the first. */
  get health(): HealthReport | null {
    return this.#health;
  }

  get records(): number {
    return this.counts().reduce((sum, { records }) => sum + records, 0);
  }

  get criticalDropped(): bigint {
    return this.#health?.rings.find(({ ring }) => ring === "critical")?.dropped ?? 0n;
  }

  /**
   * Only what occurred; in the order of the types, the most severe first.
   *
   * @param pipeline of whoever has looked at it already
   */
  counts(pipeline = this.pipeline): readonly EventCount[] {
    return pipeline?.eventCounts ?? [];
  }

  /** Drops by type since the start; only what occurred. */
  droppedByType(): { event: EventType; count: bigint }[] {
    return EVENT_TYPES.map((event) => ({ event, count: this.#dropped.get(event) ?? 0n }))
      .filter(({ count }) => count > 0n);
  }
}
