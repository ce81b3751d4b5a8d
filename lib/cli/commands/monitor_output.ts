/** How `monitor` shows a run: on a screen, as lines, or as JSON. */
import type { ActivityTotals } from "../../aggregate/activity/activity_totals.ts";
import type { ProcessWindow } from "../../aggregate/activity/process_window.ts";
import type { AttachedInterface } from "../../aggregate/flows/flow_options.ts";
import { emptyTotals, type Totals } from "../../aggregate/flows/totals.ts";
import type { FlowWindow } from "../../aggregate/windows/flow_window.ts";
import { eventsSummaryObject, healthObject } from "../../export/event_json.ts";
import { alertObject, jsonLine, readyObject, summaryObject, windowObject } from "../../export/json_lines.ts";
import { activityTotalsFields, processesObject } from "../../export/process_activity.ts";
import type { EventTotals } from "../../pipeline/event_totals.ts";
import type { HealthReport } from "../../router/router_messages.ts";
import { print, unixNs, warn } from "../console.ts";
import { renderRings } from "../events_view.ts";
import { type LiveState, renderLive, renderPiped, renderSummary } from "../monitor_view.ts";
import { Screen } from "../screen.ts";
import { renderTopPiped, renderTopSummary } from "../top_view.ts";
import type { MonitorOptions } from "./monitor.ts";

/** Number of alerts that are kept for the screen, which shows fewer. */
const SCREEN_ALERTS_MAX = 10;

/** Time between two tables of the rings where the output is no terminal. */
const TABLE_MS = 10_000;

/** What was counted in a run; null for what was not watched. */
export interface RunTotals {
  flows: Totals;
  events: EventTotals | null;
  activity: ActivityTotals | null;
}

/** One way of showing a run. */
export interface MonitorOutput extends Disposable {
  ready(interfaces: AttachedInterface[], listen: string | null): void;
  window(window: FlowWindow, totals: Totals): void;
  /** System calls of a window, after the flows of the same time. */
  activity(window: ProcessWindow): void;
  /** A report of the event rings. */
  ringHealth(health: HealthReport): void;
  /** Something an operator should know. `alert` names its kind. */
  alert(alert: string, message: string): void;
  summary(totals: RunTotals): void;
}

function jsonOutput(host: string, filtered: boolean): MonitorOutput {
  const stamp = () => ({ unixNs: unixNs(), host });
  return {
    ready: (interfaces, listen) => print(jsonLine(readyObject(stamp(), { interfaces, listen }))),
    window: (window) => print(jsonLine(windowObject(host, window, filtered))),
    activity: (window) => print(jsonLine(processesObject(host, window))),
    ringHealth: (health) => print(jsonLine(healthObject(host, health))),
    alert: (alert, message) => print(jsonLine(alertObject(stamp(), alert, message))),
    summary({ flows, events, activity }) {
      const summary = {
        ...summaryObject(stamp(), flows, filtered),
        ...activity !== null && { activity: activityTotalsFields(activity) },
      };
      print(jsonLine(events === null ? summary : { ...eventsSummaryObject(stamp(), events), ...summary }));
    },
    [Symbol.dispose]() {},
  };
}

function printSummary({ flows, events, activity }: RunTotals): void {
  print(renderSummary(flows));
  if (activity !== null) print(`\n${renderTopSummary(activity, "Process Activity Summary")}`);
  if (events?.health) print(["", ...renderRings(events.health), ""].join("\n"));
}

function lineOutput(options: MonitorOptions): MonitorOutput {
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
    ringHealth(health) {
      if (performance.now() < tableDueMs) return;
      tableDueMs += TABLE_MS;
      print(["", ...renderRings(health), ""].join("\n") + "\n");
    },
    alert: (_alert, message) => options.quiet || warn(message),
    summary: printSummary,
    [Symbol.dispose]() {},
  };
}

function screenOutput(options: MonitorOptions, host: string, stop: AbortController): MonitorOutput {
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
    // The next window draws the report: its counters change all the time.
    ringHealth: (health) => void (shown.rings = health),
    alert(_alert, message) {
      alerts.push(message);
      alerts.splice(0, alerts.length - SCREEN_ALERTS_MAX);
      screen.draw();
    },
    summary(totals) {
      screen[Symbol.dispose]();
      printSummary(totals);
    },
    [Symbol.dispose]: () => screen[Symbol.dispose](),
  };
}

/**
 * JSON lines where they are asked for, else a screen on a terminal, else text. Disposing of it restores the terminal.
 */
export function openMonitorOutput(options: MonitorOptions, host: string, stop: AbortController): MonitorOutput {
  if (options.json) return jsonOutput(host, options.filter !== "");
  if (Deno.stdout.isTerminal()) return screenOutput(options, host, stop);
  return lineOutput(options);
}
