/**
 * What `monitor`, `agent` and `measure` share: the aggregator's run from attach to last flush, its running totals, and
 * the HTTP server over them.
 */
import {
  type ActivityTotals,
  addActivityWindow,
  addAttribution,
  emptyActivityTotals,
  emptyAttributionTotals,
} from "../aggregate/activity/activity_totals.ts";
import { Aggregator } from "../aggregate/aggregator.ts";
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import type { AggregatorOptions, AggregatorReport } from "../aggregate/aggregator_messages.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { addWindow, emptyTotals, otherTotal, type Totals } from "../aggregate/flows/totals.ts";
import { Histogram, SECONDS_BOUNDS } from "../metrics/histogram.ts";
import type { PrometheusText } from "../metrics/prometheus.ts";
import type { IpfixExporter } from "../export/ipfix_exporter.ts";
import type { MetricsSnapshot } from "../export/metrics.ts";
import type { History } from "../history/history.ts";
import { createApp, type HttpSnapshot } from "../http/app.ts";
import { isLoopback } from "../http/guard.ts";
import type { RulesPage } from "../http/rules_routes.ts";
import { formatListen, type ListenAddress } from "../net/listen_address.ts";
import { serve } from "../http/serve.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import { processUsage, startedUnixSeconds } from "./process_usage.ts";
import { StopOn } from "./stop_on.ts";

export interface FlowRunOptions {
  aggregator: AggregatorOptions;
  /** null: no HTTP. */
  listen: ListenAddress | null;
  /** null: until the signal. */
  durationMs: number | null;
  host: string;
  build: MetricsSnapshot["build"];
  /** Counts of the event router that runs at the same time; null where no events are watched. */
  events: EventTotals | null;
  /** Rules of the event router that runs at the same time, and the secret for changing them. */
  rules?: RulesPage;
  /** Exporter that is given all flows of each window; the aggregator must be asked for them with `allFlows`. */
  ipfix?: IpfixExporter;
  /** The store that windows go to; absent where there is none. */
  history?: History;
  /** Adds metrics of the link to a server; absent where there is no link. */
  addFamilies?: (text: PrometheusText) => void;
}

/** What a command does with the run's events; called in order, on the main thread. */
export interface FlowRunHandlers {
  ready(report: Extract<AggregatorReport, { kind: "ready" }>, listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  /** System calls of a window, where the aggregator counts them. */
  activity?(window: ProcessWindow): void;
  /** Something that an operator should know. `alert` names its kind. */
  notice(alert: string, message: string): void;
  /** @param what says what happened to which interface @param remaining number of interfaces that are still watched */
  interfaceGone(what: string, remaining: number): void;
}

export interface FlowRunResult {
  totals: Totals;
  /** null: system calls were not counted. */
  activity: ActivityTotals | null;
  /** What happened to the interfaces, where none is watched any more; else null. */
  allGone: string | null;
}

/** Packets and bytes that are in no flow record: those of flows without room in the map, and those that belong to no flow. */
function withoutFlow(totals: Totals): { packets: bigint; octets: bigint } {
  const other = otherTotal(totals);
  return { packets: totals.overflow.packets + other.packets, octets: totals.overflow.bytes + other.bytes };
}

/** The state of a run, which each report of the aggregator changes. */
class FlowRun {
  readonly #options: FlowRunOptions;
  readonly #handlers: FlowRunHandlers;
  readonly #totals = emptyTotals();
  readonly #swapSeconds = new Histogram(SECONDS_BOUNDS);
  readonly #drainSeconds = new Histogram(SECONDS_BOUNDS);
  readonly #activityTotals = emptyActivityTotals();
  readonly #attribution: ReturnType<typeof emptyAttributionTotals> | undefined;
  readonly #gone: string[] = [];
  #lastWindow: FlowWindow | null = null;
  #lastActivity: ProcessWindow | null = null;
  #attached = false;
  #countsCalls = false;
  #allGone: string | null = null;

  constructor(options: FlowRunOptions, handlers: FlowRunHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#attribution = options.aggregator.owners === true ? emptyAttributionTotals() : undefined;
  }

  get result(): FlowRunResult {
    return {
      totals: this.#totals,
      activity: this.#countsCalls ? this.#activityTotals : null,
      allGone: this.#allGone,
    };
  }

  /** The state that HTTP shows. */
  snapshot(): HttpSnapshot {
    const { host, aggregator } = this.#options;
    return { attached: this.#attached, host, filtered: aggregator.filter !== "", metrics: this.#metrics() };
  }

  #metrics(): MetricsSnapshot {
    const { build, events, ipfix, history, addFamilies } = this.#options;
    const activity = { totals: this.#activityTotals, lastWindow: this.#lastActivity };
    return {
      build,
      totals: this.#totals,
      lastWindow: this.#lastWindow,
      swapSeconds: this.#swapSeconds,
      drainSeconds: this.#drainSeconds,
      events,
      ipfix: ipfix?.counts,
      history: history?.counts,
      addFamilies,
      attribution: this.#attribution,
      activity: this.#countsCalls ? activity : undefined,
      programs: this.#lastWindow?.programs ?? [],
      process: { ...processUsage(), startTimeSeconds: startedUnixSeconds() },
    };
  }

  ready(report: Extract<AggregatorReport, { kind: "ready" }>, listen: string | null): void {
    this.#attached = true;
    this.#countsCalls = report.activity;
    this.#handlers.ready(report, listen);
  }

  records(messages: ArrayBuffer): void {
    this.#options.ipfix?.add(messages);
  }

  window(window: FlowWindow): void {
    this.#lastWindow = window;
    addWindow(this.#totals, window);
    if (this.#attribution !== undefined) addAttribution(this.#attribution, window);
    this.#options.ipfix?.endWindow(withoutFlow(this.#totals));
    this.#swapSeconds.observe(window.swapSeconds);
    this.#drainSeconds.observe(window.drainSeconds);
    this.#handlers.window(window, this.#totals);
  }

  activity(window: ProcessWindow): void {
    this.#lastActivity = window;
    addActivityWindow(this.#activityTotals, window);
    this.#handlers.activity?.(window);
  }

  /** @returns false when no interface is left */
  interfaceGone({ iface, exists, remaining }: Extract<AggregatorReport, { kind: "interface_gone" }>): boolean {
    const what = exists ? `what watched ${iface} was detached by another program` : `${iface} was deleted`;
    this.#gone.push(what);
    this.#handlers.interfaceGone(what, remaining);
    if (remaining > 0) return true;
    this.#allGone = this.#gone.join(", ");
    return false;
  }
}

/**
 * Watches flows until `signal`, the duration, or the last interface's end. The last window is flushed in every case.
 *
 * @throws {WorkerError} when the worker fails
 * @throws {Error} when the address to listen on is in use: then nothing was attached
 */
export async function runFlows(
  options: FlowRunOptions,
  handlers: FlowRunHandlers,
  signal: AbortSignal,
): Promise<FlowRunResult> {
  const run = new FlowRun(options, handlers);
  const { listen } = options;
  const loopback = listen !== null && isLoopback(listen.hostname);
  const app = createApp(() => run.snapshot(), { loopback }, options.rules);
  await using server = listen === null ? null : serve(listen, app.fetch);
  using aggregator = new Aggregator(options.aggregator);
  using limit = new StopOn(signal, () => aggregator.stop());
  for await (const report of aggregator.reports()) {
    switch (report.kind) {
      case "ready":
        limit.after(options.durationMs);
        run.ready(report, server && formatListen(server.addr));
        break;
      case "flow_records":
        run.records(report.messages);
        break;
      case "window":
        run.window(report.window);
        break;
      case "activity":
        run.activity(report.window);
        break;
      case "notice":
        handlers.notice(report.alert, report.message);
        break;
      case "interface_gone":
        if (!run.interfaceGone(report)) aggregator.stop();
        break;
      default:
        report satisfies never;
    }
  }
  return run.result;
}
