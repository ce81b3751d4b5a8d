/** What `monitor` shows: the live screen, the windows of a pipe, the summary at the end. Text only, no terminal. */

import type { FlowOrder, FlowRow, FlowWindow, OverflowDetail } from "../aggregate/windows/flow_window.ts";
import type { AttachedInterface } from "../aggregate/flows/flow_options.ts";
import { OTHER_CLASSES } from "../wire/traffic.ts";
import { addWindow, balance, emptyTotals, isBalanced, otherTotal, type Totals } from "../aggregate/flows/totals.ts";
import { attributedShare } from "../aggregate/activity/activity_totals.ts";
import type { ProcessWindow } from "../aggregate/activity/process_window.ts";
import type { HealthReport } from "../router/router_messages.ts";
import { activityTable } from "./activity_table.ts";
import { renderHealthLine } from "./events_view.ts";
import {
  COMMAND_COLUMN,
  DIRECTION_COLUMN,
  endpoint,
  FLAGS_COLUMN,
  type FlowColumn,
  IFACE_COLUMN,
  PROTO_COLUMN,
  RETRANSMITS_COLUMN,
  shortenEndpoint,
} from "./flow_table.ts";
import { alertLine, ALERTS_MAX, type Line, paint } from "./styled_line.ts";
import {
  displayWidth,
  escapeControls,
  fit,
  humanBitRate,
  humanBytes,
  humanCount,
  humanDuration,
  humanSeconds,
} from "../runtime/text.ts";

/** Everything the live screen depends on. */
export interface LiveState {
  host: string;
  interfaces: AttachedInterface[];
  uptimeSeconds: number;
  /** null: the first window is not complete. */
  window: FlowWindow | null;
  totals: Totals;
  /** Text of `--filter`; empty for none. */
  filter: string;
  /** What ranks flows; absent: packets. */
  order?: FlowOrder;
  /** Where HTTP answers, or null. */
  listen: string | null;
  /** The last report of the event rings; null before the first, and where events are not watched. */
  rings: Pick<HealthReport, "rings"> | null;
  /** System calls of the last window; null before the first, and where calls are not counted. */
  activity: ProcessWindow | null;
  /** The screen stands still; counting goes on. */
  paused: boolean;
  /** Newest last. */
  alerts: string[];
}

const ARROW = " -> ";
const SOURCE = "SOURCE";
const DESTINATION = "DESTINATION";
/** Source networks of the overflow that a window names. */
const NETWORKS_MAX = 5;
const ORDER_TITLES: Record<FlowOrder, string> = {
  packets: "Packets",
  bytes: "Bytes",
  resets: "Resets",
  new: "Handshakes",
  retransmits: "Retransmits",
  "retransmit-share": "Share of Retransmits",
};
/** Endpoints narrower than this are given the room of a less important column. */
const ENDPOINT_MIN = 21; // 255.255.255.255:65535

/** Lines of the live screen: at most `rows`, none wider than `columns`; with ANSI colours where `colour`. */
export function renderLive(state: LiveState, columns: number, rows: number, colour: boolean): string[] {
  const top = [headerLine(state), ratesLine(state), accountingLine(state.totals)];
  const room = Math.max(0, rows - top.length);
  const alerts = room > 0 ? state.alerts.slice(-Math.min(ALERTS_MAX, room)).map(alertLine) : [];
  const left = room - alerts.length;
  const bottom = [
    ...left > 2 ? [totalsLine(state)] : [],
    ...left > 3 && state.rings !== null ? [ringsLine(state.rings)] : [],
    ...left > 1 ? [healthLine(state)] : [],
    ...alerts,
    ...left > 0 ? [hintLine(state)] : [],
  ];
  const processes = processLines(state.activity, columns, Math.floor((room - bottom.length) / 3));
  const table = flowLines(state, columns, room - bottom.length - processes.length);
  return paint([...top, ...table, ...processes, ...bottom].slice(0, rows), columns, colour);
}

/** One window where the output is no terminal: lines, each with its newline. `filter` is empty for none. */
export function renderPiped(
  window: FlowWindow,
  { filter, topMax, order = "packets" }: { filter: string; topMax: number; order?: FlowOrder },
): string {
  const totals = emptyTotals();
  addWindow(totals, window);
  const { flows, overflow } = totals;
  const lines = [
    "=== Aggregated Flow Summary ===",
    `Window: ${windowSeconds(window).toFixed(2)} s`,
    `Flows: ${window.flows}`,
    `Packets: ${flows.packets} (avg ${average(flows.packets, window.flows)} per flow)`,
    `Bytes: ${flows.bytes} (avg ${average(flows.bytes, Number(flows.packets))} per packet)`,
    `Other: ${otherText(totals)}`,
  ];
  if (filter !== "") {
    const { matched } = window;
    lines.push(`Matched: ${matched.flows} flows, ${matched.packets} packets, ${matched.bytes} bytes`);
  }
  if (overflow.packets > 0n) {
    lines.push(`WARNING: flow map full: ${overflow.packets} packets in overflow; raise --max-flows`);
  }
  if (window.overflow !== undefined) lines.push(`Overflow by network: ${networksText(window.overflow)}`);
  if (!isBalanced(totals)) lines.push(`WARNING: ${mismatch(totals)}`);
  lines.push(...retransmitLines(totals));

  const title = `=== Top ${topMax} Flows by ${ORDER_TITLES[order]} ===`;
  return joinLines([...lines, "", title, ...window.top.length > 0 ? pipedTable(window.top, order) : ["none"], ""]);
}

/** What a run counted, once it is over: lines, each with its newline. */
export function renderSummary(totals: Totals): string {
  const { seen, flows, overflow, matched } = totals;
  const lines = [
    "=== Summary ===",
    `Windows: ${totals.windows}`,
    `Seen: ${seen.packets} packets, ${seen.bytes} bytes`,
    `Flows: ${flows.packets} packets, ${flows.bytes} bytes in ${totals.flowSummaries} flow summaries`,
  ];
  if (matched.flowSummaries !== totals.flowSummaries) {
    lines.push(
      `Matched: ${matched.packets} packets, ${matched.bytes} bytes in ${matched.flowSummaries} flow summaries`,
    );
  }
  lines.push(
    `Overflow: ${overflow.packets} packets, ${overflow.bytes} bytes`,
    `Other: ${otherText(totals)}`,
    ...retransmitLines(totals),
    isBalanced(totals) ? "Accounting: seen = flows + overflow + other" : `WARNING: ${mismatch(totals)}`,
  );
  return joinLines(lines);
}

function headerLine({ host, interfaces, uptimeSeconds, filter }: LiveState): Line {
  const names = interfaces.map(({ name, mode, egress }) =>
    `${escapeControls(name)} (${[mode, egress].filter((hook) => hook !== null).join("+")})`
  );
  const parts = [`ebpfmon ${escapeControls(host)}`, humanDuration(uptimeSeconds)];
  if (names.length > 0) parts.push(names.join(", "));
  if (filter !== "") parts.push(`filter: ${escapeControls(filter)}`);
  return { text: parts.join(" · "), style: "bold" };
}

function ratesLine({ window }: LiveState): Line {
  if (window === null) return { text: "waiting for the first window" };
  const seconds = windowSeconds(window);
  const rate = (direction: string) => {
    const seen = window.interfaces.filter((traffic) => traffic.direction === direction).map((traffic) => traffic.seen);
    const sum = (unit: "packets" | "bytes") => seen.reduce((total, traffic) => total + traffic[unit], 0) / seconds;
    return `${humanCount(sum("packets"))} pkt/s ${humanBitRate(sum("bytes") * 8)}`;
  };
  const share = window.attribution === undefined ? null : attributedShare(window.attribution);
  const owned = share === null ? "" : ` · ${Math.floor(share * 100)} % owned`;
  return { text: `in ${rate("ingress")} · out ${rate("egress")} · ${humanCount(window.flows)} flows${owned}` };
}

function accountingLine(totals: Totals): Line {
  if (!isBalanced(totals)) return { text: `MISMATCH ${mismatch(totals)}`, style: "alarm" };
  const { seen, flows, overflow } = totals;
  const [sum, ...parts] = [seen, flows, overflow, otherTotal(totals)].map(({ packets }) => humanCount(packets));
  return { text: `✓ seen ${sum} = flows ${parts[0]} + overflow ${parts[1]} + other ${parts[2]}`, style: "green" };
}

function totalsLine({ totals }: LiveState): Line {
  const { seen, flowSummaries, windows } = totals;
  return {
    text: `total ${humanCount(seen.packets)} packets · ${humanBytes(seen.bytes)} · ` +
      `${humanCount(flowSummaries)} flow summaries · ${humanCount(windows)} windows`,
  };
}

function healthLine({ window, totals, listen }: LiveState): Line {
  const parts = [];
  if (window !== null) {
    const fill = window.capacity > 0 ? window.flows / window.capacity * 100 : 0;
    parts.push(`map ${fill.toFixed(1)} % of ${humanCount(window.capacity)}`);
    parts.push(`swap ${humanSeconds(window.swapSeconds)}`, `drain ${humanSeconds(window.drainSeconds)}`);
  }
  if (totals.overflow.packets > 0n) parts.push("map was full: raise --max-flows");
  if (listen !== null) parts.push(`http://${listen}`);
  return { text: parts.join(" · "), style: totals.overflow.packets > 0n ? "yellow" : undefined };
}

function ringsLine(rings: Pick<HealthReport, "rings">): Line {
  const dropping = rings.rings.some(({ dropped }) => dropped > 0n);
  return { text: `events: ${renderHealthLine(rings)}`, style: dropping ? "yellow" : undefined };
}

function hintLine({ paused }: LiveState): Line {
  return { text: `${paused ? "PAUSED · q quit · p resume" : "q quit · p pause"} · Ctrl-C`, style: "dim" };
}

/** The processes with the most calls, below their sum; none where not even one fits. */
function processLines(activity: ProcessWindow | null, width: number, rows: number): Line[] {
  if (activity === null || rows < 3) return [];
  const { arrangement: { order, by }, sampling, seen, counted, overflow } = activity;
  const [sum, ...parts] = [seen, counted, overflow].map(({ calls }) => humanCount(calls));
  const estimated = sampling > 1 ? ` · one of ${sampling} counted: estimates` : "";
  const [titles, ...lines] = activityTable(activity, { order, by, wide: false, width, rowsMax: rows - 2 });
  return [
    {
      text: `calls seen ${sum} = counted ${parts[0]} + overflow ${parts[1]}${estimated}`,
      style: overflow.calls > 0 ? "yellow" : undefined,
    },
    { text: titles, style: "bold" },
    ...lines.map((text): Line => ({ text })),
  ];
}

/** The table of flows in exactly `rows` lines or fewer; none where not even one flow fits under the titles. */
function flowLines({ window, order = "packets" }: LiveState, width: number, rows: number): Line[] {
  if (window === null || rows < 2) return [];
  const seconds = windowSeconds(window);
  const flows = window.top.slice(0, rows - 1);
  // From the most to the least important; the last give way on a narrow terminal.
  let columns: FlowColumn[] = [
    { title: "PACKETS", align: "right", cell: (flow) => estimateMark(flow) + humanCount(flow.packets) },
    ...ranksRetransmits(order) ? [RETRANSMITS_COLUMN] : [],
    PROTO_COLUMN,
    ...hasOwners(flows) ? [COMMAND_COLUMN] : [],
    { title: "RATE", align: "right", cell: (flow) => humanBitRate(flow.bytes * 8 / seconds) },
    DIRECTION_COLUMN,
    { title: "BYTES", align: "right", cell: (flow) => estimateMark(flow) + humanBytes(flow.bytes) },
    FLAGS_COLUMN,
    ...new Set(window.interfaces.map(({ iface }) => iface)).size > 1 ? [IFACE_COLUMN] : [],
  ];
  const widths = new Map(columns.map((column) => [column, cellWidth(column, flows)]));
  const endpointsRoom = () => width - columns.reduce((sum, column) => sum + widths.get(column)! + 2, 0) - ARROW.length;
  const sources = flows.map((flow) => endpoint(flow.src, flow.sport, flow.proto));
  const destinations = flows.map((flow) => endpoint(flow.dst, flow.dport, flow.proto));
  const [longestSource, longestDestination] = [longest([SOURCE, ...sources]), longest([DESTINATION, ...destinations])];
  const endpointsMin = Math.min(2 * ENDPOINT_MIN, longestSource + longestDestination);
  while (columns.length > 1 && endpointsRoom() < endpointsMin) columns = columns.slice(0, -1);
  const [sourceWidth, destinationWidth] = shareRoom(endpointsRoom(), longestSource, longestDestination);
  const line = (source: string, destination: string, arrow: string, cell: (column: FlowColumn) => string) =>
    fit(shortenEndpoint(source, sourceWidth), sourceWidth) + arrow +
    fit(shortenEndpoint(destination, destinationWidth), destinationWidth) +
    columns.map((column) => "  " + fit(cell(column), widths.get(column)!, column.align)).join("");
  return [
    { text: line(SOURCE, DESTINATION, " ".repeat(ARROW.length), (column) => column.title), style: "bold" },
    ...flows.map((flow, i) => ({
      text: line(sources[i], destinations[i], ARROW, (column) => column.cell(flow)).trimEnd(),
    })),
  ];
}

function ranksRetransmits(order: FlowOrder): boolean {
  return order === "retransmits" || order === "retransmit-share";
}

/** Segments that TCP sent again; nothing where there were none. */
function retransmitLines({ retransmits }: Totals): string[] {
  if (retransmits === undefined || retransmits.segments + retransmits.forwarded === 0n) return [];
  const { segments, attributed, unattributed, overflow, forwarded } = retransmits;
  const parts = [`${segments} segments`, `${attributed} of flows`, `${unattributed} of none`];
  if (overflow > 0n) parts.push(`${overflow} without room`);
  if (forwarded > 0n) parts.push(`and ${forwarded} of flows of other namespaces`);
  return [`Retransmits: ${parts.join(", ")}`];
}

function hasOwners(flows: FlowRow[]): boolean {
  return flows.some(({ pid }) => pid !== undefined);
}

/**
 * Widths for two texts in `room` columns: as wide as they are where both fit, else at least half of the room for each.
 */
function shareRoom(room: number, left: number, right: number): [left: number, right: number] {
  const half = Math.max(0, room >> 1);
  const leftWidth = Math.min(left, Math.max(half, room - right));
  return [leftWidth, Math.max(0, Math.min(right, room - leftWidth))];
}

function pipedTable(flows: FlowRow[], order: FlowOrder): string[] {
  const columns: FlowColumn[] = [
    { title: SOURCE, align: "left", cell: (flow) => endpoint(flow.src, flow.sport, flow.proto) },
    { title: DESTINATION, align: "left", cell: (flow) => endpoint(flow.dst, flow.dport, flow.proto) },
    PROTO_COLUMN,
    DIRECTION_COLUMN,
    IFACE_COLUMN,
    { title: "PACKETS", align: "right", cell: (flow) => estimateMark(flow) + flow.packets },
    { title: "BYTES", align: "right", cell: (flow) => estimateMark(flow) + flow.bytes },
    ...ranksRetransmits(order) ? [RETRANSMITS_COLUMN] : [],
    FLAGS_COLUMN,
    ...hasOwners(flows) ? [COMMAND_COLUMN] : [],
  ];
  const widths = columns.map((column) => cellWidth(column, flows));
  const line = (cell: (column: FlowColumn) => string) =>
    columns.map((column, i) => fit(cell(column), widths[i], column.align)).join("  ").trimEnd();
  return [line((column) => column.title), ...flows.map((flow) => line((column) => column.cell(flow)))];
}

/** Mark before the numbers of a flow that found no room in the map: they are estimates. */
export function estimateMark({ errorPackets }: { errorPackets?: number | bigint }): string {
  return errorPackets === undefined ? "" : "~";
}

/** The largest source networks of the overflow, and what is left of it. */
function networksText({ prefixes, prefixCount, rest }: OverflowDetail): string {
  const shown = prefixes.slice(0, NETWORKS_MAX).map(({ prefix, packets }) => `${prefix} ${packets}`);
  if (prefixCount > shown.length) shown.push(`${prefixCount - shown.length} more`);
  if (rest.packets > 0) shown.push(`others ${rest.packets}`);
  return shown.join(", ");
}

function joinLines(lines: string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function cellWidth(column: FlowColumn, flows: FlowRow[]): number {
  return longest([column.title, ...flows.map(column.cell)]);
}

function longest(texts: string[]): number {
  return Math.max(0, ...texts.map(displayWidth));
}

function windowSeconds({ startNs, endNs }: FlowWindow): number {
  return Number(endNs - startNs) / 1e9;
}

function average(sum: bigint, count: number): string {
  return (count > 0 ? Number(sum) / count : 0).toFixed(1);
}

function otherText(totals: Totals): string {
  const { packets, bytes } = otherTotal(totals);
  const classes = OTHER_CLASSES.filter((name) => totals.other[name].packets > 0n)
    .map((name) => `${name} ${totals.other[name].packets}`);
  return `${packets} packets, ${bytes} bytes${classes.length > 0 ? ` (${classes.join(", ")})` : ""}`;
}

/** The first place where packets are not accounted for: the sum, or an interface where errors cancel out in the sum. */
function mismatch(totals: Totals): string {
  const wrong = [totals, ...totals.interfaces].map(balance).find(({ packets, bytes }) =>
    packets !== 0n || bytes !== 0n
  )!;
  return `seen differs from flows + overflow + other by ${wrong.packets} packets, ${wrong.bytes} bytes`;
}
