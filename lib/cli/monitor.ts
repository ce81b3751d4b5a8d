/** `ebpfmon monitor`: flows in windows, on a screen, as lines, or as JSON, until told to stop. */
import type { ActivityTotals } from "../aggregate/activity/activity_totals.ts";
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import { largestFlows } from "../aggregate/flows/overflow_rank.ts";
import type { AttachedInterface } from "../aggregate/flows/flow_options.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { emptyTotals, type Totals } from "../aggregate/flows/totals.ts";
import { eventsSummaryObject, healthObject } from "../export/event_json.ts";
import { alertObject, jsonLine, readyObject, summaryObject, windowObject } from "../export/json_lines.ts";
import { IpfixExporter } from "../export/ipfix_exporter.ts";
import { activityTotalsFields, processesObject } from "../export/process_activity.ts";
import { History } from "../history/history.ts";
import { downloadLibbpf } from "../ffi/libbpf_download.ts";
import { AlertEngine } from "../router/alerts.ts";
import { HEALTH_MS, ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EventTotals } from "../pipeline/event_totals.ts";
import { EVENT_TYPES } from "../events/event.ts";
import type { HealthReport } from "../router/router_messages.ts";
import { WorkerError } from "../runtime/worker_handle.ts";
import { assetsDir } from "../runtime/worker_url.ts";
import type { MonitorOptions } from "./args.ts";
import { buildInfo } from "./build_info.ts";
import { print, unixNs, warn } from "./console.ts";
import { PIPELINE_DEFAULTS, type RuleSource, runEvents } from "./event_run.ts";
import { renderRings } from "./events_view.ts";
import type { LiveRules } from "./live_rules.ts";
import { readToken } from "./api_token.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { runFlows } from "./flow_run.ts";
import { type LiveState, renderLive, renderPiped, renderSummary } from "./monitor_view.ts";
import { Screen } from "./screen.ts";
import { renderTopPiped, renderTopSummary } from "./top_view.ts";
import { watchedInterfaces } from "./watched.ts";

/** An alert that lasts is repeated this often. */
const OVERFLOW_ALERT_MS = 10_000;

/** More than the screen shows of them. */
const SCREEN_ALERTS_MAX = 10;

/** Between two tables of the rings where the output is no terminal. */
const TABLE_MS = 10_000;

/** What was counted beside flows; null for what was not watched. */
interface Beside {
  events: EventTotals | null;
  activity: ActivityTotals | null;
}

/** One way of showing a run. */
interface Output extends Disposable {
  ready(interfaces: AttachedInterface[], listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  /** Of system calls, after the flows of the same time. */
  activity(window: ProcessWindow): void;
  health(health: HealthReport): void;
  /** Something an operator should know. `alert` names its kind. */
  alert(alert: string, message: string): void;
  summary(totals: Totals, beside: Beside): void;
}

function jsonOutput(host: string, filtered: boolean): Output {
  const stamp = () => ({ unixNs: unixNs(), host });
  return {
    ready: (interfaces, listen) => print(jsonLine(readyObject(stamp(), { interfaces, listen }))),
    window: (window) => print(jsonLine(windowObject(host, window, filtered))),
    activity: (window) => print(jsonLine(processesObject(host, window))),
    health: (health) => print(jsonLine(healthObject(host, health))),
    alert: (alert, message) => print(jsonLine(alertObject(stamp(), alert, message))),
    summary(totals, { events, activity }) {
      const summary = {
        ...summaryObject(stamp(), totals, filtered),
        ...activity !== null && { activity: activityTotalsFields(activity) },
      };
      print(jsonLine(events === null ? summary : { ...eventsSummaryObject(stamp(), events), ...summary }));
    },
    [Symbol.dispose]() {},
  };
}

function printSummary(totals: Totals, { events, activity }: Beside): void {
  print(renderSummary(totals));
  if (activity !== null) print(`\n${renderTopSummary(activity, "Process Activity Summary")}`);
  if (events?.health) print(["", ...renderRings(events.health), ""].join("\n"));
}

function lineOutput(options: MonitorOptions): Output {
  let tableDueMs = performance.now() + TABLE_MS;
  return {
    ready(interfaces, listen) {
      if (options.quiet) return;
      const watched = interfaces.map(({ name, mode, egress }) => `${name} (${mode ?? "-"}/${egress ?? "-"})`).join(
        ", ",
      );
      warn(`watching ${watched}${listen === null ? "" : `, http://${listen}/metrics`}`);
    },
    activity: (window) => print(renderTopPiped(window, { wide: false })),
    window: (window) => print(renderPiped(window, options)),
    health(health) {
      if (performance.now() < tableDueMs) return;
      tableDueMs += TABLE_MS;
      print(["", ...renderRings(health), ""].join("\n") + "\n");
    },
    alert: (_alert, message) => options.quiet || warn(message),
    summary: printSummary,
    [Symbol.dispose]() {},
  };
}

function screenOutput(options: MonitorOptions, host: string, stop: AbortController): Output {
  const started = performance.now();
  const alerts: string[] = [];
  const shown = {
    interfaces: [] as AttachedInterface[],
    listen: null as string | null,
    window: null as FlowWindow | null,
    totals: emptyTotals(),
    rings: null as HealthReport | null,
    activity: null as ProcessWindow | null,
  };
  const state = (paused: boolean): LiveState => ({
    ...shown,
    host,
    uptimeSeconds: (performance.now() - started) / 1000,
    filter: options.filter,
    order: options.order,
    paused,
    alerts,
  });
  const screen = new Screen({ state, render: renderLive }, stop);
  return {
    ready(interfaces, listen) {
      Object.assign(shown, { interfaces, listen });
      screen.draw();
    },
    window(window, totals) {
      Object.assign(shown, { window, totals });
      screen.draw();
    },
    activity(window) {
      shown.activity = window;
      screen.draw();
    },
    // Shown with the next window: the counters move all the time.
    health: (health) => void (shown.rings = health),
    alert(_alert, message) {
      alerts.push(message);
      alerts.splice(0, alerts.length - SCREEN_ALERTS_MAX);
      screen.draw();
    },
    summary(totals, beside) {
      screen[Symbol.dispose]();
      printSummary(totals, beside);
    },
    [Symbol.dispose]: () => screen[Symbol.dispose](),
  };
}

function chooseOutput(options: MonitorOptions, host: string, stop: AbortController): Output {
  if (options.json) return jsonOutput(host, options.filter !== "");
  if (Deno.stdout.isTerminal()) return screenOutput(options, host, stop);
  return lineOutput(options);
}

/** What the rest of a run sees of the events. */
interface WatchedEvents {
  readonly totals: EventTotals;
  /** Those in force; null before there are any. */
  rules: LiveRules | null;
}

/**
 * The event router beside the flows: counts, health, alerts. What it cannot do is told, and flows go on without it.
 */
async function watchEvents(
  watched: WatchedEvents,
  { rules, output, signal }: { rules: RuleSource; output: Output; signal: AbortSignal },
): Promise<void> {
  const { totals } = watched;
  const alerts = new AlertEngine();
  try {
    await runEvents(
      {
        router: {
          ...ROUTER_DEFAULTS,
          sources: [...EVENT_TYPES],
          healthMs: HEALTH_MS,
          assetsDir: assetsDir(),
        },
        rules,
        pipeline: PIPELINE_DEFAULTS,
      },
      {
        started(pipeline, rules) {
          totals.follow(pipeline);
          watched.rules = rules;
        },
        notice: (text) => output.alert("notice", text),
        ready: ({ notices }) => notices.forEach((notice) => output.alert("notice", notice)),
        health(health) {
          totals.addHealth(health);
          output.health(health);
          for (const { alert, message } of alerts.observe(health)) output.alert(alert, message);
        },
      },
      { signal, durationMs: null },
    );
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    output.alert("events_unavailable", `events are not watched: ${error.message}`);
  }
}

/** @throws {WorkerError} when the store cannot be used: then nothing was attached */
async function openHistory(store: MonitorOptions["store"], output: Output): Promise<History | null> {
  if (store === null) return null;
  return await History.open(store, { notice: (text) => output.alert("history", text) });
}

/** Waits until the last window is stored, and says what was not. */
async function closeHistory(history: History | null, output: Output): Promise<void> {
  await history?.close();
  const { windowsDropped, rowsDropped } = history?.counts ?? { windowsDropped: 0, rowsDropped: 0 };
  if (windowsDropped === 0) return;
  output.alert("history", `windows that are not in the history: ${windowsDropped}, with ${rowsDropped} flows`);
}

function openIpfix(target: MonitorOptions["ipfix"], output: Output): IpfixExporter | null {
  return target === null ? null : new IpfixExporter(target, { notice: (text) => output.alert("ipfix", text) });
}

/** Waits until the last window is sent, and says what was not. */
async function closeIpfix(ipfix: IpfixExporter | null, output: Output): Promise<void> {
  await ipfix?.close();
  const { flowsDropped, packetsDropped } = ipfix?.counts ?? { flowsDropped: 0, packetsDropped: 0n };
  if (flowsDropped === 0) return;
  output.alert("ipfix", `flow records that the collector did not get: ${flowsDropped}, with ${packetsDropped} packets`);
}

export async function monitor(options: MonitorOptions, host: string, stop: AbortController): Promise<ExitCode> {
  const {
    json: _json,
    quiet: _quiet,
    debug: _debug,
    listen,
    durationSeconds,
    libbpfUrl,
    flowsOnly,
    store,
    ipfix: collector,
    rules,
    apiTokenFile,
    ...aggregator
  } = options;
  const interfaces = watchedInterfaces(options.interfaces);
  const libbpfPath = await downloadLibbpf(libbpfUrl);
  using output = chooseOutput(options, host, stop);
  using history = await openHistory(store, output);
  await using ipfix = openIpfix(collector, output);
  const events: WatchedEvents | null = flowsOnly ? null : { totals: new EventTotals(), rules: null };
  // Ends with the flows, whatever ended them.
  const eventsStop = new AbortController();
  // Ends the flows: what failed beside them, as where nobody reads the output any more, is thrown after their end.
  const failed = new AbortController();
  let watching = Promise.resolve();
  let overflowAlertMs = -Infinity;
  try {
    const { totals, activity, allGone } = await runFlows(
      {
        aggregator: {
          ...aggregator,
          // One more than is stored tells how large the largest flow left out is.
          topMax: Math.max(options.topMax, store === null ? 0 : store.rowsMax + 1),
          interfaces,
          retransmits: true,
          allFlows: ipfix !== null,
          assetsDir: assetsDir(),
          libbpfPath,
        },
        listen,
        durationMs: durationSeconds === null ? null : durationSeconds * 1000,
        host,
        build: { version: buildInfo().version },
        events: events?.totals ?? null,
        rules: { source: () => events?.rules ?? null, token: () => readToken(apiTokenFile) },
        ipfix: ipfix ?? undefined,
        history: history ?? undefined,
      },
      {
        ready(report, address) {
          output.ready(report.interfaces, address);
          for (const notice of report.notices) output.alert("notice", notice);
          if (events === null) return;
          watching = watchEvents(events, { rules, output, signal: eventsStop.signal });
          watching.catch(() => failed.abort());
        },
        window(window, totals) {
          history?.add(window);
          window.top = largestFlows(window, options.order, options.topMax);
          output.window(window, totals);
          const lost = window.interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
          if (lost === 0 || performance.now() - overflowAlertMs < OVERFLOW_ALERT_MS) return;
          overflowAlertMs = performance.now();
          output.alert("flow_overflow", `flow map full: ${lost} packets in overflow; raise --max-flows`);
        },
        activity: (window) => output.activity(window),
        notice: (alert, message) => output.alert(alert, message),
        interfaceGone(what, remaining) {
          // Of the last one the error tells that ends the run.
          if (remaining === 0 && !options.json) return;
          output.alert("interface_gone", `${what}; interfaces still watched: ${remaining}`);
        },
      },
      AbortSignal.any([stop.signal, failed.signal]),
    );
    eventsStop.abort();
    await watching;
    await closeHistory(history, output);
    await closeIpfix(ipfix, output);
    output.summary(totals, { events: events?.totals ?? null, activity });
    if (allGone !== null) throw new Error(`Cannot go on: no interface is left, ${allGone}`);
    return EXIT.done;
  } finally {
    eventsStop.abort();
    await watching;
    await history?.close();
  }
}
