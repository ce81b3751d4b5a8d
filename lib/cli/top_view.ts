/** What `top` shows: the live screen, the windows of a pipe, the summary at the end. Text only, no terminal. */
import { activityBalance, type ActivityTotals, isActivityBalanced } from "../aggregate/activity/activity_totals.ts";
import type { ActivityArrangement, ActivityGrouping, ActivityOrder } from "../aggregate/activity/activity_options.ts";
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import { processBalance } from "../aggregate/activity/activity_sums.ts";
import { activityTable } from "./activity_table.ts";
import { alertLine, ALERTS_MAX, type Line, paint } from "./styled_line.ts";
import { escapeControls, humanCount, humanDuration, humanSeconds } from "../runtime/text.ts";

/** Everything the live screen depends on. */
export interface TopState {
  host: string;
  uptimeSeconds: number;
  /** null: the first window is not complete. */
  window: ProcessWindow | null;
  totals: ActivityTotals;
  /** How rows are to be chosen and ranked; the window may have been made before the last change. */
  arrangement: ActivityArrangement;
  wide: boolean;
  /** The filter that is being typed after `/`; null while no filter is typed. */
  typed: string | null;
  /** The screen stands still; counting goes on. */
  paused: boolean;
  /** Newest last. */
  alerts: string[];
}

const NS_PER_S = 1e9;

const ORDER_NAMES: Record<ActivityOrder, string> = {
  calls: "Calls",
  time: "Time",
  errors: "Errors",
  bytes: "Bytes",
  in: "Bytes In",
  out: "Bytes Out",
};

const GROUPING_NAMES: Record<ActivityGrouping, string> = {
  process: "Processes",
  container: "Containers",
  user: "Users",
  syscall: "System Calls",
};

/** Lines of the live screen: at most `rows`, none wider than `columns`; with ANSI colours where `colour`. */
export function renderTop(state: TopState, columns: number, rows: number, colour: boolean): string[] {
  const head = [headerLine(state), ratesLine(state.window), accountingLine(state.totals)];
  const room = Math.max(0, rows - head.length);
  const alerts = room > 0 ? state.alerts.slice(-Math.min(ALERTS_MAX, room)).map(alertLine) : [];
  const left = room - alerts.length;
  const foot = [
    ...left > 2 ? [mapLine(state.window)] : [],
    ...alerts,
    ...left > 0 ? [hintLine(state)] : [],
  ];
  const table = tableLines(state, columns, room - foot.length);
  return paint([...head, ...table, ...foot].slice(0, rows), columns, colour);
}

/** One window where the output is no terminal: lines, each with its newline. */
export function renderTopPiped(window: ProcessWindow, { wide }: { wide: boolean }): string {
  const { arrangement: { order, by }, seen, overflow } = window;
  const choice = choiceText(window.arrangement);
  const lines = [
    "=== Process Activity ===",
    `Window: ${seconds(window).toFixed(2)} s`,
    `Calls: ${seen.calls} by ${window.processes} processes, ${seen.errors} failed, ` +
    `${(Number(seen.totalNs) / NS_PER_S).toFixed(3)} s within`,
  ];
  if (choice !== "") lines.push(`Chosen: ${choice}: ${window.matched.calls} calls, ${window.matched.errors} failed`);
  if (window.sampling > 1) lines.push(samplingText(window));
  if (overflow.calls > 0) lines.push(`WARNING: activity map full: ${overflow.calls} calls in overflow`);
  if (window.missedRuns > 0n) lines.push(`WARNING: ${missedText(window.missedRuns)}`);
  const { calls, errors, totalNs } = processBalance(window);
  if (calls !== 0 || errors !== 0 || totalNs !== 0n) {
    lines.push(`WARNING: seen differs from counted + overflow by ${calls} calls, ${errors} errors, ${totalNs} ns`);
  }
  lines.push("", `=== Top ${GROUPING_NAMES[by]} by ${ORDER_NAMES[order]} ===`);
  lines.push(...activityTable(window, { order, by, wide, width: Infinity, rowsMax: Infinity }), "", "");
  return lines.join("\n");
}

/** What a run counted, once it is over: lines, each with its newline. */
export function renderTopSummary(totals: ActivityTotals, title = "Summary"): string {
  const part = ({ calls, errors, totalNs }: ActivityTotals["seen"]) =>
    `${calls} calls, ${errors} failed, ${(Number(totalNs) / NS_PER_S).toFixed(3)} s within`;
  return [
    `=== ${title} ===`,
    `Windows: ${totals.windows}`,
    `Seen: ${part(totals.seen)}`,
    `Counted: ${part(totals.counted)}`,
    `Overflow: ${part(totals.overflow)}`,
    ...totals.passedOver > 0n ? [`Passed over by sampling: ${totals.passedOver} calls`] : [],
    isActivityBalanced(totals) ? "Accounting: seen = counted + overflow" : `WARNING: ${mismatch(totals)}`,
    "",
  ].join("\n");
}

function seconds({ startNs, endNs }: ProcessWindow): number {
  return Number(endNs - startNs) / NS_PER_S;
}

/** Describes which calls are shown; empty where all are. */
function choiceText({ syscall, comm, pid, uid }: ActivityArrangement): string {
  return [
    ...syscall === null ? [] : [`syscall ${syscall}`],
    ...comm === "" ? [] : [`command ${escapeControls(comm)}`],
    ...pid === null ? [] : [`pid ${pid}`],
    ...uid === null ? [] : [`uid ${uid}`],
  ].join(", ");
}

function samplingText({ sampling, passedOver }: ProcessWindow): string {
  return `one of ${sampling} calls counted: estimates; passed over ${passedOver}`;
}

function missedText(missedRuns: bigint): string {
  return `the kernel left out ${missedRuns} runs so far`;
}

function headerLine({ host, uptimeSeconds, arrangement }: TopState): Line {
  const parts = [
    `ebpfmon top ${escapeControls(host)}`,
    humanDuration(uptimeSeconds),
    `${GROUPING_NAMES[arrangement.by]} by ${ORDER_NAMES[arrangement.order]}`.toLowerCase(),
  ];
  const choice = choiceText(arrangement);
  if (choice !== "") parts.push(choice);
  return { text: parts.join(" · "), style: "bold" };
}

function ratesLine(window: ProcessWindow | null): Line {
  if (window === null) return { text: "waiting for the first window" };
  const { calls, errors, totalNs } = window.seen;
  const parts = [
    `${humanCount(calls / seconds(window))} calls/s`,
    `${humanCount(errors / seconds(window))} failed/s`,
    `${humanSeconds(Number(totalNs) / NS_PER_S / seconds(window))} within calls a second`,
    `${humanCount(window.processes)} processes`,
  ];
  return { text: parts.join(" · ") };
}

function accountingLine(totals: ActivityTotals): Line {
  if (!isActivityBalanced(totals)) return { text: `MISMATCH ${mismatch(totals)}`, style: "alarm" };
  const [seen, counted, overflow] = [totals.seen, totals.counted, totals.overflow].map(({ calls }) =>
    humanCount(calls)
  );
  return { text: `✓ seen ${seen} = counted ${counted} + overflow ${overflow}`, style: "green" };
}

function mapLine(window: ProcessWindow | null): Line {
  if (window === null) return { text: "" };
  const { entries, capacity, overflow, missedRuns } = window;
  const parts = [`map ${(entries / capacity * 100).toFixed(1)} % of ${humanCount(capacity)}`];
  if (window.sampling > 1) parts.push(samplingText(window));
  if (overflow.calls > 0) parts.push("map was full: it grows");
  if (missedRuns > 0n) parts.push(missedText(missedRuns));
  return { text: parts.join(" · "), style: overflow.calls > 0 || missedRuns > 0n ? "yellow" : undefined };
}

function hintLine({ paused, typed }: TopState): Line {
  if (typed !== null) return { text: `command contains: ${escapeControls(typed)}_ · Enter · Esc`, style: "bold" };
  const keys = "c t e b i o sort · g group · / filter · w wide";
  return { text: `${paused ? "PAUSED · q quit · p resume" : "q quit · p pause"} · ${keys}`, style: "dim" };
}

function tableLines({ window, arrangement: { order, by }, wide }: TopState, width: number, rows: number): Line[] {
  if (window === null || rows < 2) return [];
  const [titles, ...lines] = activityTable(window, { order, by, wide, width, rowsMax: rows - 1 });
  return [{ text: titles, style: "bold" }, ...lines.map((text): Line => ({ text }))];
}

function mismatch(totals: ActivityTotals): string {
  const { calls, errors, totalNs } = activityBalance(totals);
  return `seen differs from counted + overflow by ${calls} calls, ${errors} errors, ${totalNs} ns`;
}
