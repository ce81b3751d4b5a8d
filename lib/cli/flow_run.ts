/**
 * What `monitor` and `measure` share: the aggregator's run from attach to last flush, its running totals, and the HTTP
 * server over them.
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
import { createApp } from "../http/app.ts";
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
  /** Of the router that runs beside; null for none. */
  events: EventTotals | null;
  /** Those of the router that runs beside, and the token for changing them. */
  rules?: RulesPage;
  /** Takes all flows of each window; the aggregator has to be asked for them. */
  ipfix?: IpfixExporter;
  /** The store that windows go to; absent where there is none. */
  history?: History;
  /** Of the link to a server; absent where there is none. */
  addFamilies?: (text: PrometheusText) => void;
}

/** What a command does with the run's events; called in order, on the main thread. */
export interface FlowRunHandlers {
  ready(report: Extract<AggregatorReport, { kind: "ready" }>, listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  /** Of system calls, where the aggregator is asked to count them. */
  activity?(window: ProcessWindow): void;
  /** Something that an operator should know. `alert` names its kind. */
  notice(alert: string, message: string): void;
  /** @param what happened to which interface */
  interfaceGone(what: string, remaining: number): void;
}

export interface FlowRunResult {
  totals: Totals;
  /** null: system calls were not counted. */
  activity: ActivityTotals | null;
  /** What happened to the interfaces, where none is watched any more; else null. */
  allGone: string | null;
}

/** What no flow record holds. */
function withoutFlow(totals: Totals): { packets: bigint; octets: bigint } {
  const other = otherTotal(totals);
  return { packets: totals.overflow.packets + other.packets, octets: totals.overflow.bytes + other.bytes };
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
  const totals = emptyTotals();
  const swapSeconds = new Histogram(SECONDS_BOUNDS);
  const drainSeconds = new Histogram(SECONDS_BOUNDS);
  let lastWindow: FlowWindow | null = null;
  let attached = false;
  const gone: string[] = [];
  let allGone: string | null = null;
  const activityTotals = emptyActivityTotals();
  const attribution = options.aggregator.owners === true ? emptyAttributionTotals() : undefined;
  let countsCalls = false;
  let lastActivity: ProcessWindow | null = null;
  const filtered = options.aggregator.filter !== "";

  const metrics = (): MetricsSnapshot => ({
    build: options.build,
    totals,
    lastWindow,
    swapSeconds,
    drainSeconds,
    events: options.events,
    ipfix: options.ipfix?.counts,
    history: options.history?.counts,
    addFamilies: options.addFamilies,
    attribution,
    activity: countsCalls ? { totals: activityTotals, lastWindow: lastActivity } : undefined,
    programs: lastWindow?.programs ?? [],
    process: { ...processUsage(), startTimeSeconds: startedUnixSeconds() },
  });
  const loopback = options.listen !== null && isLoopback(options.listen.hostname);
  const app = createApp(
    () => ({ attached, host: options.host, filtered, metrics: metrics() }),
    { loopback },
    options.rules,
  );
  await using server = options.listen === null ? null : serve(options.listen, app.fetch);
  using aggregator = new Aggregator(options.aggregator);
  using limit = new StopOn(signal, () => aggregator.stop());
  for await (const report of aggregator.reports()) {
    switch (report.kind) {
      case "ready":
        attached = true;
        countsCalls = report.activity;
        limit.after(options.durationMs);
        handlers.ready(report, server && formatListen(server.addr));
        break;
      case "flow_records":
        options.ipfix?.add(report.messages);
        break;
      case "window":
        lastWindow = report.window;
        addWindow(totals, report.window);
        if (attribution !== undefined) addAttribution(attribution, report.window);
        options.ipfix?.endWindow(withoutFlow(totals));
        swapSeconds.observe(report.window.swapSeconds);
        drainSeconds.observe(report.window.drainSeconds);
        handlers.window(report.window, totals);
        break;
      case "activity":
        lastActivity = report.window;
        addActivityWindow(activityTotals, report.window);
        handlers.activity?.(report.window);
        break;
      case "notice":
        handlers.notice(report.alert, report.message);
        break;
      case "interface_gone":
        gone.push(
          report.exists
            ? `what watched ${report.iface} was detached by another program`
            : `${report.iface} was deleted`,
        );
        handlers.interfaceGone(gone.at(-1)!, report.remaining);
        if (report.remaining > 0) break;
        allGone = gone.join(", ");
        aggregator.stop();
        break;
      default:
        report satisfies never;
    }
  }
  return { totals, activity: countsCalls ? activityTotals : null, allGone };
}
