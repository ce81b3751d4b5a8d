/** Running totals of a router: what came through, and what its last report says. */

import {
  EVENT_TYPES,
  type EventType,
  type HealthReport,
  type RouterEvent,
  SEVERITIES,
  type Severity,
} from "./protocol.ts";

export interface EventCount {
  event: EventType;
  severity: Severity;
  /** Records that came through: exact. */
  records: number;
  /** Events that they stand for: exact while nothing is sampled, else an unbiased estimate. */
  estimated: number;
}

export class EventTotals {
  readonly #counts = Object.fromEntries(EVENT_TYPES.map((event) => [
    event,
    Object.fromEntries(SEVERITIES.map((severity) => [severity, { event, severity, records: 0, estimated: 0 }])),
  ])) as Record<EventType, Record<Severity, EventCount>>;
  readonly #dropped = new Map<EventType, bigint>();
  #health: HealthReport | null = null;

  addEvents(events: readonly RouterEvent[]): void {
    for (const { event, severity, weight, repeats } of events) {
      const count = this.#counts[event][severity];
      count.records++;
      count.estimated += weight * repeats;
    }
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

  /** Only what occurred; in the order of the types, the most severe first. */
  counts(): EventCount[] {
    return EVENT_TYPES.flatMap((event) => SEVERITIES.map((severity) => this.#counts[event][severity]))
      .filter(({ records }) => records > 0);
  }

  /** Drops by type since the start; only what occurred. */
  droppedByType(): { event: EventType; count: bigint }[] {
    return EVENT_TYPES.map((event) => ({ event, count: this.#dropped.get(event) ?? 0n }))
      .filter(({ count }) => count > 0n);
  }
}
