/** `ebpfmon monitor`: flows in windows, on a screen, as lines, or as JSON, until told to stop. */
import type { AttachedInterface, FlowWindow } from "../aggregate/protocol.ts";
import { emptyTotals, type Totals } from "../aggregate/totals.ts";
import { eventsSummaryObject, healthObject } from "../export/event_json.ts";
import { alertObject, jsonLine, readyObject, summaryObject, windowObject } from "../export/json_lines.ts";
import { downloadLibbpf } from "../ffi/libbpf_download.ts";
import { AlertEngine } from "../router/alerts.ts";
import { HEALTH_MS, ROUTER_DEFAULTS } from "../router/defaults.ts";
import { EventTotals } from "../router/event_totals.ts";
import { EVENT_TYPES, type HealthReport } from "../router/protocol.ts";
import { WorkerError } from "../worker_handle.ts";
import { assetsDir } from "../worker_url.ts";
import type { MonitorOptions } from "./args.ts";
import { buildInfo } from "./build_info.ts";
import { print, unixNs, warn } from "./console.ts";
import { rulesWithBuiltIn, runEvents } from "./event_run.ts";
import { renderRings } from "./events_view.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { runFlows } from "./flow_run.ts";
import { type LiveState, renderPiped, renderSummary } from "./monitor_view.ts";
import { Screen } from "./screen.ts";
import { watchedInterfaces } from "./watched.ts";

/** An alert that lasts is repeated this often. */
const OVERFLOW_ALERT_MS = 10_000;

/** More than the screen shows of them. */
const SCREEN_ALERTS_MAX = 10;

/** Between two tables of the rings where the output is no terminal. */
const TABLE_MS = 10_000;

/** One way of showing a run. */
interface Output extends Disposable {
  ready(interfaces: AttachedInterface[], listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  health(health: HealthReport): void;
  /** Something an operator should know. `alert` names its kind. */
  alert(alert: string, message: string): void;
  /** @param events null: they were not watched */
  summary(totals: Totals, events: EventTotals | null): void;
}

function jsonOutput(host: string, filtered: boolean): Output {
  const stamp = () => ({ unixNs: unixNs(), host });
  return {
    ready: (interfaces, listen) => print(jsonLine(readyObject(stamp(), { interfaces, listen }))),
    window: (window) => print(jsonLine(windowObject(host, window, filtered))),
    health: (health) => print(jsonLine(healthObject(host, health))),
    alert: (alert, message) => print(jsonLine(alertObject(stamp(), alert, message))),
    summary(totals, events) {
      const summary = summaryObject(stamp(), totals, filtered);
      print(jsonLine(events === null ? summary : { ...eventsSummaryObject(stamp(), events), ...summary }));
    },
    [Symbol.dispose]() {},
  };
}

function printSummary(totals: Totals, events: EventTotals | null): void {
  print(renderSummary(totals));
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
    window: (window) => print(renderPiped(window, { filter: options.filter, topMax: options.topMax })),
    health(health) {
      if (performance.now() < tableDueMs) return;
      tableDueMs += TABLE_MS;
      print(["", ...renderRings(health), ""].join("\n") + "\n");
    },
    alert: (_alert, message) => options.quiet || warn(message),
    summary: (totals, events) => printSummary(totals, events),
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
  };
  const state = (paused: boolean): LiveState => ({
    ...shown,
    host,
    uptimeSeconds: (performance.now() - started) / 1000,
    filter: options.filter,
    paused,
    alerts,
  });
  const screen = new Screen(state, stop);
  return {
    ready(interfaces, listen) {
      Object.assign(shown, { interfaces, listen });
      screen.draw();
    },
    window(window, totals) {
      Object.assign(shown, { window, totals });
      screen.draw();
    },
    // Shown with the next window: the counters move all the time.
    health: (health) => void (shown.rings = health),
    alert(_alert, message) {
      alerts.push(message);
      alerts.splice(0, alerts.length - SCREEN_ALERTS_MAX);
      screen.draw();
    },
    summary(totals, events) {
      screen[Symbol.dispose]();
      printSummary(totals, events);
    },
    [Symbol.dispose]: () => screen[Symbol.dispose](),
  };
}

function chooseOutput(options: MonitorOptions, host: string, stop: AbortController): Output {
  if (options.json) return jsonOutput(host, options.filter !== "");
  if (Deno.stdout.isTerminal()) return screenOutput(options, host, stop);
  return lineOutput(options);
}

/**
 * The event router beside the flows: counts, health, alerts. What it cannot do is told, and flows go on without it.
 */
async function watchEvents(totals: EventTotals, output: Output, signal: AbortSignal): Promise<void> {
  const alerts = new AlertEngine();
  try {
    await runEvents(
      {
        ...ROUTER_DEFAULTS,
        sources: [...EVENT_TYPES],
        rules: rulesWithBuiltIn([]).rules,
        healthMs: HEALTH_MS,
        assetsDir: assetsDir(),
      },
      {
        ready: ({ notices }) => notices.forEach((notice) => output.alert("notice", notice)),
        events: (events) => totals.addEvents(events),
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

export async function monitor(options: MonitorOptions, host: string, stop: AbortController): Promise<ExitCode> {
  const { json: _json, quiet: _quiet, debug: _debug, listen, durationSeconds, libbpfUrl, flowsOnly, ...aggregator } =
    options;
  const interfaces = watchedInterfaces(options.interfaces);
  const libbpfPath = await downloadLibbpf(libbpfUrl);
  using output = chooseOutput(options, host, stop);
  const events = flowsOnly ? null : new EventTotals();
  // Ends with the flows, whatever ended them.
  const eventsStop = new AbortController();
  let watching = Promise.resolve();
  let overflowAlertMs = -Infinity;
  try {
    const { totals, allGone } = await runFlows(
      {
        aggregator: { ...aggregator, interfaces, assetsDir: assetsDir(), libbpfPath },
        listen,
        durationMs: durationSeconds === null ? null : durationSeconds * 1000,
        host,
        build: { version: buildInfo().version },
        events,
      },
      {
        ready(report, address) {
          output.ready(report.interfaces, address);
          for (const notice of report.notices) output.alert("notice", notice);
          if (events !== null) watching = watchEvents(events, output, eventsStop.signal);
        },
        window(window, totals) {
          output.window(window, totals);
          const lost = window.interfaces.reduce((sum, { overflow }) => sum + overflow.packets, 0);
          if (lost === 0 || performance.now() - overflowAlertMs < OVERFLOW_ALERT_MS) return;
          overflowAlertMs = performance.now();
          output.alert("flow_overflow", `flow map full: ${lost} packets in overflow; raise --max-flows`);
        },
        interfaceGone(iface, remaining) {
          // Of the last one the error tells that ends the run.
          if (remaining === 0 && !options.json) return;
          output.alert("interface_gone", `${iface} was deleted; interfaces still watched: ${remaining}`);
        },
      },
      stop.signal,
    );
    eventsStop.abort();
    await watching;
    output.summary(totals, events);
    if (allGone) throw new Error(`Cannot go on: no interface is left, ${interfaces.join(", ")} was deleted`);
    return EXIT.done;
  } finally {
    eventsStop.abort();
    await watching;
  }
}
