/** `ebpfmon top`: processes by their system calls, on a screen, as tables, or as JSON, until told to stop. */
import {
  type ActivityTotals,
  addActivityWindow,
  emptyActivityTotals,
} from "../../aggregate/activity/activity_totals.ts";
import { Aggregator } from "../../aggregate/aggregator.ts";
import type { ProcessWindow } from "../../aggregate/activity/process_window.ts";
import type { AggregatorOptions } from "../../aggregate/aggregator_messages.ts";
import { alertObject, jsonLine, readyObject } from "../../export/json_lines.ts";
import { activitySummaryObject, processesObject } from "../../export/process_activity.ts";
import { aggregatorOptions } from "../aggregator_options.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { Screen } from "../screen.ts";
import { durationMs, StopOn } from "../stop_on.ts";
import { TopKeys } from "../top_keys.ts";
import { renderTop, renderTopPiped, renderTopSummary, type TopState } from "../top_view.ts";
import type { TopOptions } from "./top.ts";

/** Number of rows that are asked for on a terminal: more than fit on most screens. */
const SCREEN_ROWS_MAX = 100;

/** Number of alerts that are kept for the screen, which shows fewer. */
const SCREEN_ALERTS_MAX = 10;

/** Options about flows, which have no effect because no interface is watched. */
const NO_FLOWS = {
  direction: "both",
  ingressMode: "auto",
  egressHook: "tcx",
  force: false,
  flowsMax: 1,
  values: "atomic",
} as const satisfies Partial<AggregatorOptions>;

/** One way of showing a run. */
interface Output extends Disposable {
  ready(): void;
  window(window: ProcessWindow, totals: ActivityTotals): void;
  notice(text: string): void;
  summary(totals: ActivityTotals): void;
}

function jsonOutput(host: string): Output {
  const stamp = () => ({ unixNs: unixNs(), host });
  return {
    ready: () => print(jsonLine(readyObject(stamp(), { interfaces: [], listen: null }))),
    window: (window) => print(jsonLine(processesObject(host, window))),
    notice: (text) => print(jsonLine(alertObject(stamp(), "notice", text))),
    summary: (totals) => print(jsonLine(activitySummaryObject(stamp(), totals))),
    [Symbol.dispose]() {},
  };
}

function tableOutput({ wide, quiet }: TopOptions): Output {
  return {
    ready() {},
    window: (window) => print(renderTopPiped(window, { wide })),
    notice: (text) => quiet || warn(text),
    summary: (totals) => print(renderTopSummary(totals)),
    [Symbol.dispose]() {},
  };
}

function screenOutput(keys: TopKeys, host: string, stop: AbortController): Output {
  const started = performance.now();
  const alerts: string[] = [];
  const shown = { window: null as ProcessWindow | null, totals: emptyActivityTotals() };
  const screen = new Screen<TopState>({
    state: (paused) => ({
      ...shown,
      host,
      uptimeSeconds: (performance.now() - started) / 1000,
      arrangement: keys.arrangement,
      wide: keys.wide,
      typed: keys.typed,
      paused,
      alerts,
    }),
    render: renderTop,
    press: (key) => keys.press(key),
  }, stop);
  return {
    ready: () => screen.draw(),
    window(window, totals) {
      Object.assign(shown, { window, totals });
      screen.draw();
    },
    notice(text) {
      alerts.push(text);
      alerts.splice(0, alerts.length - SCREEN_ALERTS_MAX);
      screen.draw();
    },
    summary(totals) {
      screen[Symbol.dispose]();
      print(renderTopSummary(totals));
    },
    [Symbol.dispose]: () => screen[Symbol.dispose](),
  };
}

/** Counts system calls until Ctrl-C or the duration. */
export async function run(options: TopOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const { json, durationSeconds, wide } = options;
  const onScreen = !json && Deno.stdout.isTerminal();
  const topMax = onScreen ? Math.max(options.activity.topMax, SCREEN_ROWS_MAX) : options.activity.topMax;
  const activity = { ...options.activity, topMax };
  const { order, by, syscall, comm, pid, uid } = activity;
  const start = { arrangement: { order, by, syscall, comm, pid, uid }, wide };

  using aggregator = new Aggregator(await aggregatorOptions({ ...NO_FLOWS, ...options, activity }, []));
  const keys = new TopKeys(start, (arrangement) => aggregator.arrange(arrangement));
  using output = json ? jsonOutput(host) : onScreen ? screenOutput(keys, host, stop) : tableOutput(options);
  using limit = new StopOn(stop.signal, () => aggregator.stop());
  const totals = emptyActivityTotals();
  for await (const report of aggregator.reports()) {
    switch (report.kind) {
      case "ready":
        limit.after(durationMs(durationSeconds));
        output.ready();
        report.notices.forEach((text) => output.notice(text));
        break;
      case "activity":
        addActivityWindow(totals, report.window);
        output.window(report.window, totals);
        break;
      case "notice":
        output.notice(report.message);
        break;
      case "window":
      case "flow_records":
      case "interface_gone":
        // No interface is watched.
        break;
      default:
        report satisfies never;
    }
  }
  output.summary(totals);
  return EXIT.done;
}
