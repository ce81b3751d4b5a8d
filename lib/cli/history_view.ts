/** What `history` prints for people: tables and charts. Text only. */

import { type BoundedTraffic, LEVEL_NAMES } from "../history/levels.ts";
import { OTHER_CLASSES } from "../wire/traffic.ts";
import type { TrafficTotal } from "../aggregate/flows/totals.ts";
import { protocolName, tcpFlagLetters } from "../net/iana.ts";
import { formatAddress } from "../net/address.ts";
import { rfc3339 } from "../export/json_lines.ts";
import type { FlowsAnswer, FlowSummary, RangeSummary, Rank, SeriesAnswer, TopAnswer } from "../history/query.ts";
import type { TimeRange } from "../history/reader.ts";
import { endpoint } from "./flow_table.ts";
import { chart, sparkline } from "./history_chart.ts";
import { estimateMark } from "./monitor_view.ts";
import {
  displayWidth,
  escapeControls,
  fit,
  humanBitRate,
  humanBytes,
  humanCount,
  humanDuration,
} from "../runtime/text.ts";

/** Width of a chart in columns. */
const CHART_COLUMNS = 72n;
const CHART_ROWS = 8;
/** Width of a group's name in columns; a flow between two IPv6 addresses is wider. */
const LABEL_COLUMNS_MAX = 100;

const NS_PER_S = 1e9;

/** What a range holds besides the groups or flows that are listed. The parts add up to `seen`. */
export interface Remainder {
  /** Packets or bytes of flows that a window did not name. */
  unnamed: TrafficTotal;
  /** Packets or bytes of flows without room that no estimate names. */
  overflow: TrafficTotal;
  other: TrafficTotal;
  seen: TrafficTotal;
}

export function remainderOf({ classes, estimated }: RangeSummary): Remainder {
  const other = { packets: 0n, bytes: 0n };
  for (const name of OTHER_CLASSES) {
    other.packets += classes[name].packets;
    other.bytes += classes[name].bytes;
  }
  const overflow = {
    packets: classes.overflow.packets - estimated.packets,
    bytes: classes.overflow.bytes - estimated.bytes,
  };
  return { unnamed: classes.rest, overflow, other, seen: classes.seen };
}

/** A time to the second, in UTC. */
function time(unixNs: bigint): string {
  return `${rfc3339(unixNs).slice(0, 19)}Z`;
}

/** Rows of cells under titles; columns of numbers are on the right. */
function table(titles: string[], rows: string[][], left: number): string[] {
  const widths = titles.map((title, i) =>
    Math.min(LABEL_COLUMNS_MAX, Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[i]))))
  );
  return [titles, ...rows].map((row) =>
    row.map((cell, i) => fit(cell, widths[i], i < left ? "left" : "right")).join("  ").trimEnd()
  );
}

function counts(traffic: BoundedTraffic): string[] {
  const mark = estimateMark(traffic);
  return [mark + humanCount(traffic.packets), mark + humanBytes(traffic.bytes)];
}

function share(part: TrafficTotal, whole: TrafficTotal, rank: Rank): string {
  return whole[rank] === 0n ? "" : `${(Number(part[rank]) / Number(whole[rank]) * 100).toFixed(1)} %`;
}

/** One line about the time, and how it was covered. */
function heading({ range, coveredNs, windows }: RangeSummary): string {
  const levels = LEVEL_NAMES.flatMap((name) => windows[name] === undefined ? [] : [`${windows[name]} of ${name}`]);
  return `${time(range.fromNs)} to ${time(range.toNs)} · counted ${humanDuration(Number(coveredNs) / NS_PER_S)} · ` +
    `windows: ${levels.join(", ")}`;
}

/** The answer where nothing was found. @param span time that the store covers; null for an empty store */
export function renderNothing({ range }: RangeSummary, span: TimeRange | null): string {
  const held = span === null ? "the store is empty" : `the store holds ${time(span.fromNs)} to ${time(span.toNs)}`;
  return `Nothing was counted from ${time(range.fromNs)} to ${time(range.toNs)}; ${held}.\n`;
}

/** The last lines of every table: what is in none of its rows. */
function remainderRows(
  summary: RangeSummary,
  beyond: TopAnswer["beyond"],
  { rank, blanks, what }: { rank: Rank; blanks: number; what: string },
): string[][] {
  const { unnamed, overflow, other, seen } = remainderOf(summary);
  const row = (text: string, traffic: BoundedTraffic) => [
    text,
    ...Array<string>(blanks).fill(""),
    ...counts(traffic),
    share(traffic, seen, rank),
  ];
  return [
    ...beyond.count > 0 ? [row(`… ${beyond.count} more ${what}`, beyond)] : [],
    ...unnamed.packets > 0n ? [row("… flows not named", unnamed)] : [],
    ...overflow.packets > 0n ? [row("… overflow not named", overflow)] : [],
    ...other.packets > 0n ? [row("… in no flow", other)] : [],
    row("seen", seen),
  ];
}

/** What a row may lack, where it may lack something; and how far the estimates among the rows are off at most. */
function boundLines(summary: RangeSummary, rows: BoundedTraffic[]): string[] {
  const { floorPackets, classes } = summary;
  const inRest = floorPackets < classes.rest.packets ? floorPackets : classes.rest.packets;
  const most = inRest + remainderOf(summary).overflow.packets;
  const errors = rows.flatMap(({ errorPackets }) => errorPackets === undefined ? [] : [errorPackets]);
  const error = errors.reduce((most, it) => it > most ? it : most, 0n);
  const lines = [
    ...most > 0n
      ? [`A flow may have had up to ${humanCount(most)} packets more, in windows or an overflow that do not name it.`]
      : [],
    ...errors.length > 0
      ? [
        `~ Flows without room in the map are estimated: at least so much, and for that up to ${
          humanCount(error)
        } packets more.`,
      ]
      : [],
  ];
  return lines.length > 0 ? ["", ...lines] : [];
}

export function renderTop({ summary, groups, beyond }: TopAnswer, title: string, rank: Rank): string {
  const rows = groups.map((group) => [
    escapeControls(group.label),
    ...counts(group),
    share(group, summary.classes.seen, rank),
  ]);
  const lines = table(
    [title.toUpperCase(), "PACKETS", "BYTES", "SHARE"],
    [...rows, ...remainderRows(summary, beyond, { rank, blanks: 0, what: "groups" })],
    1,
  );
  return [heading(summary), "", ...lines, ...boundLines(summary, groups), ""].join("\n");
}

function flowCells(flow: FlowSummary): string[] {
  const { src, dst, sport, dport, proto, iface, direction, tcpFlags, comm, pid } = flow;
  return [
    protocolName(proto),
    endpoint(formatAddress(src), sport, proto),
    endpoint(formatAddress(dst), dport, proto),
    escapeControls(iface),
    direction === "ingress" ? "in" : "out",
    tcpFlagLetters(tcpFlags),
    escapeControls(comm ?? (pid === undefined ? "" : String(pid))),
    time(flow.firstNs),
    time(flow.lastNs),
  ];
}

const FLOW_TITLES = ["PROTO", "SOURCE", "DESTINATION", "IFACE", "DIR", "FLAGS", "PROCESS", "FIRST", "LAST"];

export function renderFlows({ summary, flows, beyond }: FlowsAnswer, rank: Rank): string {
  const rows = flows.map((flow) => [...flowCells(flow), ...counts(flow), share(flow, summary.classes.seen, rank)]);
  const lines = table([...FLOW_TITLES, "PACKETS", "BYTES", "SHARE"], rows, FLOW_TITLES.length);
  const rest = table(
    ["", "PACKETS", "BYTES", "SHARE"],
    remainderRows(summary, beyond, { rank, blanks: 0, what: "flows" }),
    1,
  );
  return [heading(summary), "", ...lines, "", ...rest, ...boundLines(summary, flows), ""].join("\n");
}

/** Divides a range into the columns of a chart: each is a whole number of steps long, and is aligned to its length. */
interface Grid {
  fromNs: bigint;
  columnNs: bigint;
  columns: number;
}

function gridOf({ fromNs, toNs }: TimeRange, stepNs: bigint): Grid {
  const first = fromNs - fromNs % stepNs;
  const steps = (toNs - first + stepNs - 1n) / stepNs;
  const stepsAColumn = (steps + CHART_COLUMNS - 1n) / CHART_COLUMNS;
  return {
    fromNs: first,
    columnNs: stepNs * stepsAColumn,
    columns: Number((steps + stepsAColumn - 1n) / stepsAColumn),
  };
}

/** A column's value is the sum of its points. */
function columnsOf({ fromNs, columnNs, columns }: Grid, points: [startNs: bigint, value: number][]): number[] {
  const values = Array<number>(columns).fill(0);
  // What is coarser than a step may begin before the range.
  for (const [startNs, value] of points) values[Math.max(0, Number((startNs - fromNs) / columnNs))] += value;
  return values;
}

/** @param selective true where only some flows were asked for, which the chart then shows */
export function renderSeries(answer: SeriesAnswer, { rank, selective }: { rank: Rank; selective: boolean }): string {
  const { summary, stepNs, points, groups } = answer;
  const { range } = summary;
  const valueOf = (traffic: TrafficTotal) => Number(traffic[rank]);
  const shown = points.map(({ startNs, classes, selected }): [bigint, number] => [
    startNs,
    valueOf(selective ? selected : classes.seen),
  ]);
  const grid = gridOf(range, stepNs);
  const columns = columnsOf(grid, shown);
  const columnSeconds = Number(grid.columnNs) / NS_PER_S;
  const rate = (value: number) =>
    rank === "bytes"
      ? humanBitRate(value * 8 / columnSeconds)
      : `${humanCount(Math.round(value / columnSeconds))} packets/s`;
  const axis = [rate(Math.max(...columns)), ...Array<string>(CHART_ROWS - 2).fill(""), rate(0)];
  const axisWidth = Math.max(...axis.map(displayWidth));
  const drawn = chart(columns, CHART_ROWS).map((row, i) => `${fit(axis[i], axisWidth, "right")} │${row}`);
  const ends = `${" ".repeat(axisWidth)}  ${time(grid.fromNs)}`;
  const last = time(grid.fromNs + grid.columnNs * BigInt(grid.columns));
  const gap = axisWidth + 2 + columns.length - ends.length - last.length;
  const lines = [
    heading(summary),
    "",
    ...drawn,
    gap > 0 ? ends + " ".repeat(gap) + last : `${ends} to ${last}`,
  ];
  if (groups.length > 0) {
    const rows = groups.map(({ label, traffic, ...total }) => [
      escapeControls(label),
      sparkline(columnsOf(grid, traffic.map((it, i) => [points[i].startNs, valueOf(it)]))),
      ...counts(total),
      share(total, summary.classes.seen, rank),
    ]);
    lines.push("", ...table(["GROUP", "", "PACKETS", "BYTES", "SHARE"], rows, 2), ...boundLines(summary, groups));
  }
  const sums = selective ? summary.selected : summary.classes.seen;
  lines.push("", `${selective ? "selected" : "seen"}: ${counts(sums).join(" packets, ")}`, "");
  return lines.join("\n");
}
