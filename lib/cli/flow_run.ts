/**
 * What `monitor` and `measure` share: the aggregator's run from attach to last flush, its running totals, and the HTTP
 * server over them.
 */
import { Aggregator } from "../aggregate/aggregator.ts";
import type { AggregatorOptions, AggregatorReport, FlowWindow } from "../aggregate/protocol.ts";
import { addWindow, emptyTotals, type Totals } from "../aggregate/totals.ts";
import { Histogram } from "../export/histogram.ts";
import { type MetricsSnapshot, WINDOW_SECONDS_BOUNDS } from "../export/metrics.ts";
import { createApp } from "../http/app.ts";
import { isLoopback } from "../http/guard.ts";
import { formatListen, type ListenAddress, serve } from "../http/serve.ts";
import type { EventTotals } from "../router/event_totals.ts";
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
}

/** What a command does with the run's events; called in order, on the main thread. */
export interface FlowRunHandlers {
  ready(report: Extract<AggregatorReport, { kind: "ready" }>, listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  interfaceGone(iface: string, remaining: number): void;
}

export interface FlowRunResult {
  totals: Totals;
  /** Every interface that was watched was deleted. */
  allGone: boolean;
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
  const swapSeconds = new Histogram(WINDOW_SECONDS_BOUNDS);
  const drainSeconds = new Histogram(WINDOW_SECONDS_BOUNDS);
  let lastWindow: FlowWindow | null = null;
  let attached = false;
  let allGone = false;
  const filtered = options.aggregator.filter !== "";

  const metrics = (): MetricsSnapshot => ({
    build: options.build,
    totals,
    lastWindow,
    swapSeconds,
    drainSeconds,
    events: options.events,
    programs: lastWindow?.programs ?? [],
    process: { ...processUsage(), startTimeSeconds: startedUnixSeconds() },
  });
  const loopback = options.listen !== null && isLoopback(options.listen.hostname);
  const app = createApp(() => ({ attached, host: options.host, filtered, metrics: metrics() }), { loopback });
  await using server = options.listen === null ? null : serve(options.listen, app.fetch);
  using aggregator = new Aggregator(options.aggregator);
  using limit = new StopOn(signal, () => aggregator.stop());
  for await (const report of aggregator.reports()) {
    switch (report.kind) {
      case "ready":
        attached = true;
        limit.after(options.durationMs);
        handlers.ready(report, server && formatListen(server.addr));
        break;
      case "window":
        lastWindow = report.window;
        addWindow(totals, report.window);
        swapSeconds.observe(report.window.swapSeconds);
        drainSeconds.observe(report.window.drainSeconds);
        handlers.window(report.window, totals);
        break;
      case "interface_gone":
        handlers.interfaceGone(report.iface, report.remaining);
        allGone = report.remaining === 0;
        if (allGone) aggregator.stop();
        break;
      default:
        report satisfies never;
    }
  }
  return { totals, allGone };
}
