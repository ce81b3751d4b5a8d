/** `ebpfmon events`: the event router alone. */
import {
  addEventMetrics,
  eventObject,
  eventsReadyObject,
  eventsSummaryObject,
  healthObject,
  ringAlertObject,
} from "../../export/event_json.ts";
import { jsonLine } from "../../export/json_lines.ts";
import { addProcessMetrics } from "../../export/process_metrics.ts";
import { PrometheusText } from "../../metrics/prometheus.ts";
import { monotonicNs } from "../../ffi/libc.ts";
import { createEventsApp } from "../../http/events_app.ts";
import { isLoopback } from "../../http/guard.ts";
import { formatListen, type ListenAddress } from "../../net/listen_address.ts";
import { serve } from "../../http/serve.ts";
import { HEALTH_MS } from "../../router/defaults.ts";
import { type Alert, AlertEngine } from "../../router/alerts.ts";
import { EventTotals } from "../../pipeline/event_totals.ts";
import type { PipelineEvent } from "../../pipeline/pipeline_messages.ts";
import { EVENT_TYPES } from "../../events/event.ts";
import type { HealthReport, RouterReport } from "../../router/router_messages.ts";
import { Webhook } from "../../router/webhook.ts";
import { after } from "../../runtime/timers.ts";
import { assetsDir } from "../../runtime/worker_url.ts";
import { readToken } from "../api_token.ts";
import { buildInfo } from "../build_info.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { renderEvent, renderEventsSummary, renderRings } from "../events_view.ts";
import { PIPELINE_DEFAULTS, runEvents } from "../event_run.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import type { LiveRules } from "../live_rules.ts";
import { processUsage, startedUnixSeconds } from "../process_usage.ts";
import { durationMs } from "../stop_on.ts";
import type { EventsOptions } from "./events.ts";

/** Time between two tables of the rings where the output is no terminal. */
const TABLE_MS = 10_000;
/** How long the end of a run waits for the webhook. */
const WEBHOOK_GRACE_MS = 5000;

/** Prints what the router reports, as text or as JSON lines, and keeps the totals. */
class EventsRun {
  readonly totals = new EventTotals();
  attached = false;
  /** The rules in force; null before the router has started. */
  rules: LiveRules | null = null;
  readonly #options: EventsOptions;
  readonly #host: string;
  readonly #alerts: AlertEngine;
  readonly #webhook: Webhook | null;
  readonly #terminal = Deno.stdout.isTerminal();
  readonly #colour = this.#terminal && !Deno.env.get("NO_COLOR");
  readonly #startedMs = performance.now();
  #tableDueMs = this.#startedMs + TABLE_MS;
  /**
   * Difference of the time since the epoch and CLOCK_MONOTONIC; taken again with each report, because clocks are set.
   */
  #bootUnixNs = unixNs() - monotonicNs();

  constructor(options: EventsOptions, host: string) {
    this.#options = options;
    this.#host = host;
    this.#alerts = new AlertEngine({ debugDropRateMax: options.debugDropRateMax });
    this.#webhook = options.webhook === null ? null : new Webhook({
      url: options.webhook,
      fetch: globalThis.fetch,
      after,
      onFailure: (reason) => this.notice(`an alert did not reach the webhook: ${reason}`),
    });
  }

  notice(text: string): void {
    if (!this.#options.quiet) warn(text);
  }

  ready({ sources, notices }: Extract<RouterReport, { kind: "ready" }>, listen: string | null): void {
    this.attached = true;
    for (const text of notices) this.notice(text);
    if (this.#options.json) print(jsonLine(eventsReadyObject(this.#now(), { sources, listen })));
    else if (listen !== null) this.notice(`metrics at http://${listen}/metrics`);
  }

  events(events: PipelineEvent[]): void {
    const line = this.#options.json
      ? (event: PipelineEvent) => jsonLine(eventObject(this.#host, event, this.#bootUnixNs))
      : (event: PipelineEvent) => renderEvent(event, this.#bootUnixNs, this.#colour) + "\n";
    print(events.map(line).join(""));
  }

  health(health: HealthReport): void {
    this.#bootUnixNs = unixNs() - monotonicNs();
    this.totals.addHealth(health);
    if (this.#options.json) {
      print(jsonLine(healthObject(this.#host, health)));
    } else if (!this.#terminal && performance.now() >= this.#tableDueMs) {
      this.#tableDueMs += TABLE_MS;
      print(["", ...renderRings(health), ""].join("\n") + "\n");
    }
    for (const alert of this.#alerts.observe(health)) this.#alert(alert, health);
  }

  /** Waits for the webhook, then prints the totals. */
  async finish(): Promise<void> {
    await this.#webhook?.close(WEBHOOK_GRACE_MS);
    if (this.#options.json) print(jsonLine(eventsSummaryObject(this.#now(), this.totals)));
    else print(renderEventsSummary(this.totals, (performance.now() - this.#startedMs) / 1000).join("\n") + "\n");
  }

  /** The page of `/metrics`. */
  metrics(): string {
    const text = new PrometheusText();
    const process = { ...processUsage(), startTimeSeconds: startedUnixSeconds() };
    addProcessMetrics(text, { version: buildInfo().version }, process);
    addEventMetrics(text, this.totals);
    if (this.#webhook !== null) {
      const { delivered, failed } = this.#webhook;
      text.counter("ebpfmon_export_webhook_alerts_total", "Alerts for the webhook, by what became of them.", [
        { labels: { outcome: "delivered" }, value: delivered },
        { labels: { outcome: "failed" }, value: failed },
      ]);
    }
    return text.toString();
  }

  #alert(alert: Alert, health: HealthReport): void {
    const line = jsonLine(ringAlertObject({ unixNs: health.unixNs, host: this.#host }, alert));
    this.#webhook?.send(line);
    if (this.#options.json) print(line);
    else if (alert.level === "error") warn(alert.message);
    else this.notice(alert.message);
  }

  #now() {
    return { unixNs: unixNs(), host: this.#host };
  }
}

function eventsApp(
  listen: ListenAddress,
  run: EventsRun,
  apiTokenFile: string | null,
): ReturnType<typeof createEventsApp> {
  return createEventsApp(
    { attached: () => run.attached, metrics: () => run.metrics() },
    { loopback: isLoopback(listen.hostname) },
    { source: () => run.rules, token: () => readToken(apiTokenFile) },
  );
}

/** Follows events until Ctrl-C or the duration. */
export async function run(options: EventsOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const run = new EventsRun(options, host);
  const { ringBytes, ringBytesMax, rateLimit, repeatSuppression, isolate, only } = options;
  await using server = options.listen === null
    ? null
    : serve(options.listen, eventsApp(options.listen, run, options.apiTokenFile).fetch);
  await runEvents(
    {
      router: {
        sources: only.events.length > 0 ? only.events : [...EVENT_TYPES],
        ringBytes,
        ringBytesMax,
        rateLimit,
        repeatSuppression,
        isolate,
        only,
        healthMs: HEALTH_MS,
        assetsDir: assetsDir(),
      },
      rules: options.rules,
      pipeline: { ...PIPELINE_DEFAULTS, filter: options.filter, deliver: true },
    },
    {
      started(pipeline, rules) {
        run.totals.follow(pipeline);
        run.rules = rules;
      },
      ready: (report) => run.ready(report, server && formatListen(server.addr)),
      events: (events) => run.events(events),
      health: (health) => run.health(health),
      notice: (text) => run.notice(text),
    },
    { signal: stop.signal, durationMs: durationMs(options.durationSeconds) },
  );
  await run.finish();
  if (options.failOnCriticalDrop && run.totals.criticalDropped > 0n) {
    warn(`critical events were dropped (${run.totals.criticalDropped}), and --fail-on-critical-drop was given`);
    return EXIT.failed;
  }
  return EXIT.done;
}
