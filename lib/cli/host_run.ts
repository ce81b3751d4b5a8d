/** What `monitor` and `agent` share: the flows of this host, and its events at the same time. */
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import type { AggregatorReport } from "../aggregate/aggregator_messages.ts";
import type { Totals } from "../aggregate/flows/totals.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { EVENT_TYPES } from "../events/event.ts";
import type { RuleSet } from "../events/rule_set.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import type { PipelineOptions } from "../pipeline/pipeline.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import { type Alert, AlertEngine } from "../router/alerts.ts";
import { HEALTH_MS, ROUTER_DEFAULTS } from "../router/defaults.ts";
import type { HealthReport } from "../router/router_messages.ts";
import { WorkerError } from "../runtime/worker_handle.ts";
import { assetsDir } from "../runtime/worker_url.ts";
import { readToken } from "./api_token.ts";
import { buildInfo } from "./build_info.ts";
import { runEvents } from "./event_run.ts";
import type { RuleSource } from "./flags/events.ts";
import { type FlowRunOptions, type FlowRunResult, runFlows } from "./flow_run.ts";
import type { LiveRules } from "./live_rules.ts";
import { durationMs } from "./stop_on.ts";

/** An alert that lasts is repeated this often. */
const OVERFLOW_ALERT_MS = 10_000;

/** How the events of a host are watched. */
export interface EventWatchOptions {
  /** Filled in while the run goes on. */
  totals: EventTotals;
  rules: RuleSource;
  pipeline: PipelineOptions;
  /** What somebody else wants besides the operator's rules; asked each time that rules are put in force. */
  adjust?: (own: RuleSet) => RuleSet;
}

export interface HostRunOptions extends Omit<FlowRunOptions, "durationMs" | "build" | "events" | "rules"> {
  /** null: until the signal. */
  durationSeconds: number | null;
  /** null: events are not watched. */
  events: EventWatchOptions | null;
  /** File of the secret for changing rules over HTTP; null: this machine may. */
  apiTokenFile: string | null;
}

/** What a command does with a run; called in order, on the main thread. */
export interface HostRunHandlers {
  ready(report: Extract<AggregatorReport, { kind: "ready" }>, listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  /** System calls of a window, where they are counted. */
  activity?(window: ProcessWindow): void;
  /** Where the pipeline delivers events. */
  events?(events: PipelineEvent[]): void;
  /** The rules in force change with this; null: no events are watched. */
  rules?(rules: LiveRules | null): void;
  /** A report of the event rings. */
  ringHealth(health: HealthReport): void;
  /** Something that a report of the rings shows and an operator should know. */
  ringAlert(alert: Alert, health: HealthReport): void;
  /** Anything else that an operator should know. `alert` names its kind. */
  alert(alert: string, message: string): void;
  /** An interface is watched no more. */
  interfaceGone(message: string, remaining: number): void;
}

/** The two halves of a run, and what ends them. */
class HostRun {
  readonly #options: HostRunOptions;
  readonly #handlers: HostRunHandlers;
  /** Ends the events with the flows, whatever ended the flows. */
  readonly #eventsStop = new AbortController();
  /** Ends the flows when watching events fails, as where nobody reads the output any more. */
  readonly #failed = new AbortController();
  #watching = Promise.resolve();
  #rules: LiveRules | null = null;
  #overflowAlertMs = -Infinity;

  constructor(options: HostRunOptions, handlers: HostRunHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  async run(signal: AbortSignal): Promise<FlowRunResult> {
    const { durationSeconds, events, apiTokenFile, ...flows } = this.#options;
    const handlers = this.#handlers;
    try {
      return await runFlows(
        {
          ...flows,
          durationMs: durationMs(durationSeconds),
          build: { version: buildInfo().version },
          events: events?.totals ?? null,
          rules: { source: () => this.#rules, token: () => readToken(apiTokenFile) },
        },
        {
          ready: (report, listen) => this.#ready(report, listen),
          window: (window, totals) => this.#window(window, totals),
          activity: (window) => handlers.activity?.(window),
          notice: (alert, message) => handlers.alert(alert, message),
          interfaceGone: (what, remaining) =>
            handlers.interfaceGone(`${what}; interfaces still watched: ${remaining}`, remaining),
        },
        AbortSignal.any([signal, this.#failed.signal]),
      );
    } finally {
      this.#eventsStop.abort();
      await this.#watching;
    }
  }

  #ready(report: Parameters<HostRunHandlers["ready"]>[0], listen: string | null): void {
    this.#handlers.ready(report, listen);
    for (const notice of report.notices) this.#handlers.alert("notice", notice);
    if (this.#options.events === null) return;
    this.#watching = this.#watchEvents(this.#options.events);
    this.#watching.catch(() => this.#failed.abort());
  }

  #window(window: FlowWindow, totals: Totals): void {
    this.#handlers.window(window, totals);
    const lost = window.interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
    if (lost === 0 || performance.now() - this.#overflowAlertMs < OVERFLOW_ALERT_MS) return;
    this.#overflowAlertMs = performance.now();
    this.#handlers.alert("flow_overflow", `flow map full: ${lost} packets in overflow; raise --max-flows`);
  }

  #setRules(rules: LiveRules | null): void {
    this.#rules = rules;
    this.#handlers.rules?.(rules);
  }

  /** Where events cannot be watched, an alert says why, and flows go on without events. */
  async #watchEvents({ totals, rules, pipeline, adjust }: EventWatchOptions): Promise<void> {
    const handlers = this.#handlers;
    const alerts = new AlertEngine();
    const notice = (text: string) => handlers.alert("notice", text);
    try {
      await runEvents(
        {
          router: { ...ROUTER_DEFAULTS, sources: [...EVENT_TYPES], healthMs: HEALTH_MS, assetsDir: assetsDir() },
          rules,
          pipeline,
          adjust,
        },
        {
          started: (pipeline, rules) => {
            totals.follow(pipeline);
            this.#setRules(rules);
          },
          events: (events) => handlers.events?.(events),
          notice,
          ready: ({ notices }) => notices.forEach(notice),
          health(health) {
            totals.addHealth(health);
            handlers.ringHealth(health);
            for (const alert of alerts.observe(health)) handlers.ringAlert(alert, health);
          },
        },
        { signal: this.#eventsStop.signal, durationMs: null },
      );
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      handlers.alert("events_unavailable", `events are not watched: ${error.message}`);
    } finally {
      this.#setRules(null);
    }
  }
}

/**
 * Watches the flows and the events of this host until `signal`, the duration, or the last interface's end.
 *
 * @throws {WorkerError} when the aggregator fails
 * @throws {Error} when the address to listen on is in use, or a handler throws
 */
export function runHost(
  options: HostRunOptions,
  handlers: HostRunHandlers,
  signal: AbortSignal,
): Promise<FlowRunResult> {
  return new HostRun(options, handlers).run(signal);
}

/** @throws {Error} when the last interface is gone: the run has ended before its time */
export function checkInterfacesLeft({ allGone }: FlowRunResult): void {
  if (allGone !== null) throw new Error(`Cannot go on: no interface is left, ${allGone}`);
}
