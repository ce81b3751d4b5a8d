/** Alerts about rings that lose events. Each says what is lost, and what to do about it. */
import { dropRate } from "./ring_rates.ts";
import type { HealthReport, RingCounters } from "./router_messages.ts";
import type { RingName } from "../events/event.ts";

export type AlertName = "critical_dropped" | "normal_drop_rate" | "isolated_drop_rate" | "debug_drop_rate";

export interface Alert {
  alert: AlertName;
  level: "error" | "warning";
  /** What happens, and what to do. */
  message: string;
  /** The numbers behind the message, named as in JSON. */
  fields: Record<string, unknown>;
}

export interface AlertOptions {
  /** Least time between two alerts of one name. */
  intervalMs: number;
  /** Share of debug events that may be dropped between two reports without an alert; 1 for never an alert. */
  debugDropRateMax: number;
}

const DEFAULTS: AlertOptions = { intervalMs: 60_000, debugDropRateMax: 0.5 };

/** Share of normal events, and of isolated ones, that may be dropped between two reports without an alert. */
const NORMAL_DROP_RATE_MAX = 0.1;

type Counts = Pick<RingCounters, "submitted" | "dropped" | "failures">;

const NO_COUNTS: Counts = { submitted: 0n, dropped: 0n, failures: 0n };

const REMEDY: Record<RingName, string> = {
  critical: "raise --ring-critical or --ring-max, or lower --rate-limit",
  normal: "raise --ring-normal or --ring-max, lower --rate-limit, or choose fewer sources with --event",
  isolated: "raise --ring-normal, which is the size of isolated rings too, or isolate less",
  debug: "leave debug out with --only critical,normal, raise --ring-debug or --ring-max, or lower --rate-limit",
};

/** Compares each report with the one before. The next alert of a name says how many of that name were held back. */
export class AlertEngine {
  readonly #options: AlertOptions;
  /** Counters at the last report. */
  #seen = new Map<RingName, Counts>();
  /** Dropped critical events that alerts have reported so far. */
  #criticalToldOf = 0n;
  #emitted = new Map<AlertName, bigint>();
  #heldBack = new Map<AlertName, number>();

  constructor(options: Partial<AlertOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Takes a report. @returns the alerts to emit now */
  observe(health: HealthReport): Alert[] {
    const alerts: Alert[] = [];
    for (const counters of health.rings) {
      const interval = difference(counters, this.#seen.get(counters.ring) ?? NO_COUNTS);
      this.#seen.set(counters.ring, counters);
      const name = this.#judge(counters.ring, interval);
      if (name === null || !this.#due(name, health.unixNs)) continue;
      alerts.push({ ...this.#describe(counters, interval), alert: name });
    }
    return alerts.map((alert) => this.#withHeldBack(alert));
  }

  #judge(ring: RingName, interval: Counts): AlertName | null {
    switch (ring) {
      case "critical":
        return interval.dropped > 0n ? "critical_dropped" : null;
      case "normal":
        return dropRate(interval) > NORMAL_DROP_RATE_MAX ? "normal_drop_rate" : null;
      case "isolated":
        return dropRate(interval) > NORMAL_DROP_RATE_MAX ? "isolated_drop_rate" : null;
      case "debug":
        return dropRate(interval) > this.#options.debugDropRateMax ? "debug_drop_rate" : null;
      default:
        return ring satisfies never;
    }
  }

  /** True when the alert may be emitted now. Otherwise it is counted as held back. */
  #due(name: AlertName, unixNs: bigint): boolean {
    const last = this.#emitted.get(name);
    // A clock that was set back must not silence alerts.
    if (last !== undefined && unixNs >= last && unixNs - last < BigInt(this.#options.intervalMs) * 1_000_000n) {
      this.#heldBack.set(name, (this.#heldBack.get(name) ?? 0) + 1);
      return false;
    }
    this.#emitted.set(name, unixNs);
    return true;
  }

  #describe(counters: RingCounters, interval: Counts): Omit<Alert, "alert"> {
    const { ring, capacityBytes } = counters;
    const common = { ring, dropped_total: counters.dropped, capacity_bytes: capacityBytes };
    if (ring === "critical") {
      // Held back alerts included: every lost critical event is in exactly one alert, or in the totals at the end.
      const dropped = counters.dropped - this.#criticalToldOf;
      this.#criticalToldOf = counters.dropped;
      return {
        level: "error",
        message: `critical events were dropped (${dropped}): all rings were full; ${REMEDY[ring]}`,
        fields: { ...common, dropped },
      };
    }
    const rate = dropRate(interval);
    return {
      level: "warning",
      message: `${percent(rate)} of the ${ring} events were dropped (${interval.dropped}): the ring of ` +
        `${capacityBytes} bytes was full; ${REMEDY[ring]}`,
      fields: { ...common, dropped: interval.dropped, drop_rate: rate },
    };
  }

  #withHeldBack(alert: Alert): Alert {
    const heldBack = this.#heldBack.get(alert.alert) ?? 0;
    this.#heldBack.delete(alert.alert);
    if (heldBack === 0) return alert;
    const times = heldBack === 1 ? "once" : `${heldBack} times`;
    return {
      ...alert,
      message: `${alert.message} (${times} more since the last such alert)`,
      fields: { ...alert.fields, held_back: heldBack },
    };
  }
}

function difference(now: Counts, before: Counts): Counts {
  return {
    submitted: now.submitted - before.submitted,
    dropped: now.dropped - before.dropped,
    failures: now.failures - before.failures,
  };
}

/** `12.3 %` */
function percent(rate: number): string {
  return `${(rate * 100).toFixed(1)} %`;
}
