/** What `history` prints for programs: JSON lines, or comma-separated values. */

import { formatAddress } from "../net/address.ts";
import { type BoundedTraffic, TRAFFIC_CLASSES, type TrafficClass } from "../history/levels.ts";
import type { TrafficTotal } from "../aggregate/flows/totals.ts";
import { commonFlowFields, estimateFields, head, type JsonObject, rfc3339, type Stamp } from "../export/json_lines.ts";
import type { FlowsAnswer, FlowSummary, RangeSummary, SeriesAnswer, TopAnswer } from "../history/query.ts";
import { remainderOf } from "./history_view.ts";
import { escapeControls } from "../runtime/text.ts";

/** Rows of a table, the titles first. */
export type Cells = (string | number | bigint)[][];

function classFields(classes: Record<TrafficClass, TrafficTotal>): Record<string, bigint> {
  return Object.fromEntries(
    TRAFFIC_CLASSES.flatMap((name) => [
      [`${name}_packets`, classes[name].packets],
      [`${name}_bytes`, classes[name].bytes],
    ]),
  );
}

const SELECTED_TITLES = ["selected_packets", "selected_bytes", "selected_error_packets", "selected_error_bytes"];

/** Totals of the selection; lower bounds where windows were cut to their largest flows. */
function selectedFields(
  { packets, bytes, errorPackets = 0n, errorBytes = 0n }: BoundedTraffic,
): Record<string, bigint> {
  const values = [packets, bytes, errorPackets, errorBytes];
  return Object.fromEntries(SELECTED_TITLES.map((title, i) => [title, values[i]]));
}

/**
 * The last object: the sums of the range. `rest` is in flows that no window names; `floor` bounds what a row lacks;
 * `estimated` is how much of the overflow estimates name.
 */
export function summaryObject(stamp: Stamp, summary: RangeSummary, beyond?: TopAnswer["beyond"]): JsonObject {
  const { range, found, coveredNs, windows, flows, classes, estimated, selected, floorPackets } = summary;
  return {
    ...head("history_summary", stamp),
    from: rfc3339(range.fromNs),
    to: rfc3339(range.toNs),
    first: found && rfc3339(found.fromNs),
    last: found && rfc3339(found.toNs),
    covered_ns: coveredNs,
    windows,
    flows,
    ...classFields(classes),
    estimated_packets: estimated.packets,
    estimated_bytes: estimated.bytes,
    ...selectedFields(selected),
    floor_packets: floorPackets,
    ...beyond && {
      beyond: beyond.count,
      beyond_packets: beyond.packets,
      beyond_bytes: beyond.bytes,
      beyond_error_packets: beyond.errorPackets ?? 0n,
      beyond_error_bytes: beyond.errorBytes ?? 0n,
    },
  };
}

export function topObjects(stamp: Stamp, { summary, groups, beyond }: TopAnswer, by: string): JsonObject[] {
  return [
    ...groups.map(({ label, packets, bytes, ...bounds }) => ({
      ...head("history_group", stamp),
      by,
      group: label,
      packets,
      bytes,
      ...estimateFields(bounds),
    })),
    summaryObject(stamp, summary, beyond),
  ];
}

/**
 * One object a point, or with groups one object a point and group that had traffic; `start` is the time of the point.
 */
export function seriesObjects(stamp: Stamp, { summary, stepNs, points, groups }: SeriesAnswer): JsonObject[] {
  return [
    ...points.flatMap(({ startNs, coveredNs, classes, selected }, i) => [
      {
        ...head("history_point", stamp),
        start: rfc3339(startNs),
        step_ns: stepNs,
        covered_ns: coveredNs,
        ...classFields(classes),
        ...selectedFields(selected),
      },
      ...groups.filter(({ traffic }) => traffic[i].packets > 0n).map(({ label, traffic }) => ({
        ...head("history_group_point", stamp),
        start: rfc3339(startNs),
        group: label,
        packets: traffic[i].packets,
        bytes: traffic[i].bytes,
        ...estimateFields(traffic[i]),
      })),
    ]),
    summaryObject(stamp, summary),
  ];
}

function flowFields(flow: FlowSummary): Record<string, string | number | bigint | undefined> {
  return {
    ...commonFlowFields({ ...flow, src: formatAddress(flow.src), dst: formatAddress(flow.dst) }),
    first: rfc3339(flow.firstNs),
    last: rfc3339(flow.lastNs),
    pid: flow.pid,
    comm: flow.comm,
    container: flow.container,
  };
}

export function flowObjects(stamp: Stamp, { summary, flows, beyond }: FlowsAnswer): JsonObject[] {
  return [
    ...flows.map((flow) => ({ ...head("history_flow", stamp), ...flowFields(flow), ...estimateFields(flow) })),
    summaryObject(stamp, summary, beyond),
  ];
}

/**
 * The cells of an estimate: how many packets and bytes more than the lower bound there can have been; empty for an
 * exact count.
 */
const ERROR_TITLES = ["error_packets", "error_bytes"];

function errorCells({ errorPackets, errorBytes }: BoundedTraffic): (bigint | "")[] {
  return [errorPackets ?? "", errorBytes ?? ""];
}

/** A row a group, then a row for what is in no group, so that a column adds up to all that was seen. */
export function topCells({ summary, groups, beyond }: TopAnswer): Cells {
  const { unnamed, overflow, other } = remainderOf(summary);
  return [
    ["kind", "group", "packets", "bytes", ...ERROR_TITLES],
    ...groups.map((group) => ["group", group.label, group.packets, group.bytes, ...errorCells(group)]),
    ["beyond", "", beyond.packets, beyond.bytes, ...errorCells(beyond)],
    ["unnamed", "", unnamed.packets, unnamed.bytes, "", ""],
    ["overflow", "", overflow.packets, overflow.bytes, "", ""],
    ["other", "", other.packets, other.bytes, "", ""],
  ];
}

/** @param grouped true for one row a point and group, false for one row a point */
export function seriesCells({ points, groups }: SeriesAnswer, grouped: boolean): Cells {
  if (grouped) {
    return [
      ["start", "group", "packets", "bytes", ...ERROR_TITLES],
      ...points.flatMap(({ startNs }, i) =>
        groups.map(({ label, traffic }) => [
          rfc3339(startNs),
          label,
          traffic[i].packets,
          traffic[i].bytes,
          ...errorCells(traffic[i]),
        ])
      ),
    ];
  }
  const classTitles = TRAFFIC_CLASSES.flatMap((name) => [`${name}_packets`, `${name}_bytes`]);
  return [
    ["start", "covered_ns", ...classTitles, ...SELECTED_TITLES],
    ...points.map(({ startNs, coveredNs, classes, selected }) => [
      rfc3339(startNs),
      coveredNs,
      ...Object.values(classFields(classes)),
      ...Object.values(selectedFields(selected)),
    ]),
  ];
}

const FLOW_TITLES = ["iface", "direction", "src", "dst", "sport", "dport", "proto", "packets", "bytes", "tcp_flags"];
const FLOW_TITLES_LAST = ["first", "last", "pid", "comm", "container"];

export function flowsCells({ flows }: FlowsAnswer): Cells {
  const titles = [...FLOW_TITLES, ...FLOW_TITLES_LAST];
  return [
    [...titles, ...ERROR_TITLES],
    ...flows.map((flow) => {
      const fields = flowFields(flow);
      return [...titles.map((title) => fields[title] ?? ""), ...errorCells(flow)];
    }),
  ];
}

/**
 * Comma-separated values (RFC 4180). Names come from processes: control characters are escaped, and no cell can be
 * taken for a formula.
 */
export function csv(rows: Cells): string {
  const cell = (value: string | number | bigint) => {
    if (typeof value !== "string") return String(value);
    const text = escapeControls(value).replace(/^[=+\-@]/, "'$&");
    return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
