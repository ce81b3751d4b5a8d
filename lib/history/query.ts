/**
 * What is asked of a store: groups by size, their course over time, single flows. Each answer comes with the sums of its
 * range, so that what it does not name is in it as a number.
 */
import {
  addBounded,
  addClasses,
  alignedStart,
  type BoundedTraffic,
  copyRow,
  flowKey,
  type LevelName,
  type LevelRow,
  LEVELS,
  noClasses,
  type TrafficClass,
} from "./levels.ts";
import type { Cidr } from "../net/address.ts";
import { type GroupBy, isIn, Rollup, type RollupGroup } from "./rollup.ts";
import type { TrafficTotal } from "../aggregate/flows/totals.ts";
import { compileFlowFilter } from "../filter/flows.ts";
import type { FlowFilter } from "../filter/language.ts";
import { type HistoryReader, levelFor, type TimeRange } from "./reader.ts";
import type { WindowRecord } from "./stored_window.ts";

export type Rank = "packets" | "bytes";

/** Which flows of which time. */
export interface Selection {
  range: TimeRange;
  /** null: as `levelFor` chooses. */
  level: number | null;
  where: FlowFilter | null;
  /** One group of a roll-up, opened. */
  within: { by: GroupBy; label: string } | null;
  /** Networks that `net` groups by; none: every /24 and /48. */
  networks: Cidr[];
}

/** How the answer is cut. */
export interface Ranking {
  rank: Rank;
  limit: number;
}

/** What was counted in a range, named or not. */
export interface RangeSummary {
  range: TimeRange;
  /** True start and end of what was found; null where nothing was. */
  found: TimeRange | null;
  /** How long packets were counted. */
  coveredNs: bigint;
  /** Windows read, by level. */
  windows: Partial<Record<LevelName, number>>;
  /** Flows summed over the windows as they were counted. */
  flows: bigint;
  /** All traffic, whether or not it was selected. */
  classes: Record<TrafficClass, TrafficTotal>;
  /** How much of the overflow estimates name, selected or not. */
  estimated: BoundedTraffic;
  /** The flows selected, as far as windows name them. */
  selected: BoundedTraffic;
  /**
   * A flow may have had so many packets more than its row says, and one without a row so many at most; and those that it
   * has in the overflow where no estimate names it.
   */
  floorPackets: bigint;
}

export interface TopAnswer {
  summary: RangeSummary;
  groups: RollupGroup[];
  /** Groups beyond the limit. */
  beyond: BoundedTraffic & { count: number };
}

/** One step of a series. */
export interface SeriesPoint {
  startNs: bigint;
  coveredNs: bigint;
  classes: Record<TrafficClass, TrafficTotal>;
  selected: BoundedTraffic;
}

export interface SeriesAnswer {
  summary: RangeSummary;
  stepNs: bigint;
  /** Steps in which something was counted, in order. */
  points: SeriesPoint[];
  /** The largest groups, with their traffic in each point; empty where no grouping was asked for. */
  groups: (RollupGroup & { traffic: BoundedTraffic[] })[];
}

export interface FlowSummary extends LevelRow {
  /** Start of the first window that names it, and end of the last one. */
  firstNs: bigint;
  lastNs: bigint;
}

export interface FlowsAnswer {
  summary: RangeSummary;
  flows: FlowSummary[];
  beyond: BoundedTraffic & { count: number };
}

function noTraffic(): TrafficTotal {
  return { packets: 0n, bytes: 0n };
}

function sumOf(parts: BoundedTraffic[]): BoundedTraffic & { count: number } {
  const sum = { count: parts.length, ...noTraffic() };
  for (const part of parts) addBounded(sum, part);
  return sum;
}

/** Larger first; zero between equals. */
function descending(rank: Rank) {
  return (a: TrafficTotal, b: TrafficTotal) => a[rank] === b[rank] ? 0 : a[rank] < b[rank] ? 1 : -1;
}

/** Walks over the windows of a selection, sums them up, and hands out the flows selected. */
class Walk {
  readonly summary: RangeSummary;
  readonly level: number;
  readonly #reader: HistoryReader;
  readonly #selection: Selection;
  readonly #accepts: (row: LevelRow) => boolean;

  constructor(reader: HistoryReader, selection: Selection) {
    const { range, level, where, within, networks } = selection;
    this.#reader = reader;
    this.#selection = selection;
    this.level = level ?? levelFor(range);
    const matches = where === null ? () => true : compileFlowFilter(where);
    const inGroup = within === null ? () => true : isIn(within.by, within.label, { networks });
    this.#accepts = (row) => matches(row) && inGroup(row);
    this.summary = {
      range,
      found: null,
      coveredNs: 0n,
      windows: {},
      flows: 0n,
      classes: noClasses(),
      estimated: noTraffic(),
      selected: noTraffic(),
      floorPackets: 0n,
    };
  }

  /**
   * @param window called for each window before its flows
   * @param row called for each flow selected; it is lent
   */
  run(
    window: (window: WindowRecord, classes: Record<TrafficClass, TrafficTotal>) => void,
    row: (row: LevelRow, window: WindowRecord) => void,
  ): RangeSummary {
    const { summary } = this;
    for (const record of this.#reader.cover(this.#selection.range, this.level)) {
      const { name } = LEVELS[record.level];
      summary.windows[name] = (summary.windows[name] ?? 0) + 1;
      const { found } = summary;
      summary.found = {
        fromNs: found === null || record.startNs < found.fromNs ? record.startNs : found.fromNs,
        toNs: found === null || record.endNs > found.toNs ? record.endNs : found.toNs,
      };
      summary.coveredNs += record.coveredNs;
      summary.flows += record.flows;
      summary.floorPackets += record.floorPackets;
      const classes = noClasses();
      for (const traffic of this.#reader.traffic(record)) addClasses(classes, traffic.classes);
      addClasses(summary.classes, classes);
      window(record, classes);
      this.#reader.forEachRow(record, (flow) => {
        if (flow.errorPackets !== undefined) addBounded(summary.estimated, flow);
        if (!this.#accepts(flow)) return;
        addBounded(summary.selected, flow);
        row(flow, record);
      });
    }
    return summary;
  }
}

/** The largest groups of a range. */
export function queryTop(reader: HistoryReader, selection: Selection, by: GroupBy, ranking: Ranking): TopAnswer {
  const rollup = new Rollup(by, selection);
  const summary = new Walk(reader, selection).run(() => {}, (row) => void rollup.add(row));
  const groups = rollup.groups(ranking.rank);
  return { summary, groups: groups.slice(0, ranking.limit), beyond: sumOf(groups.slice(ranking.limit)) };
}

/** Traffic step by step, all of it and that of the largest groups. @param by null: no groups */
export function querySeries(
  reader: HistoryReader,
  selection: Selection,
  by: GroupBy | null,
  { rank, limit }: Ranking,
): SeriesAnswer {
  const walk = new Walk(reader, selection);
  const points = new Map<bigint, SeriesPoint>();
  const rollup = by === null ? null : new Rollup(by, selection);
  const courses = new Map<RollupGroup, Map<SeriesPoint, BoundedTraffic>>();
  let point: SeriesPoint;
  const summary = walk.run((window, classes) => {
    const startNs = alignedStart(walk.level, window.startNs);
    point = points.get(startNs) ??
      { startNs, coveredNs: 0n, classes: noClasses(), selected: noTraffic() };
    points.set(startNs, point);
    point.coveredNs += window.coveredNs;
    addClasses(point.classes, classes);
  }, (row) => {
    addBounded(point.selected, row);
    if (rollup === null) return;
    const group = rollup.add(row);
    let course = courses.get(group);
    if (course === undefined) courses.set(group, course = new Map());
    let traffic = course.get(point);
    if (traffic === undefined) course.set(point, traffic = noTraffic());
    addBounded(traffic, row);
  });
  const inOrder = Array.from(points.values()).sort((a, b) => a.startNs < b.startNs ? -1 : 1);
  const groups = rollup?.groups(rank).slice(0, limit) ?? [];
  return {
    summary,
    stepNs: LEVELS[walk.level].lengthNs,
    points: inOrder,
    groups: groups.map((group) => ({
      ...group,
      traffic: inOrder.map((point) => courses.get(group)?.get(point) ?? noTraffic()),
    })),
  };
}

/** The largest flows of a range. */
export function queryFlows(reader: HistoryReader, selection: Selection, { rank, limit }: Ranking): FlowsAnswer {
  const flows = new Map<string, FlowSummary>();
  const summary = new Walk(reader, selection).run(() => {}, (row, { startNs, endNs }) => {
    const key = flowKey(row);
    const flow = flows.get(key);
    if (flow === undefined) {
      flows.set(key, { ...copyRow(row), firstNs: startNs, lastNs: endNs });
      return;
    }
    addBounded(flow, row);
    flow.tcpFlags |= row.tcpFlags;
    if (startNs < flow.firstNs) flow.firstNs = startNs;
    if (endNs > flow.lastNs) flow.lastNs = endNs;
  });
  const bySize = descending(rank);
  const ranked = Array.from(flows).sort(([aKey, a], [bKey, b]) => bySize(a, b) || (aKey < bKey ? -1 : 1))
    .map(([, flow]) => flow);
  return { summary, flows: ranked.slice(0, limit), beyond: sumOf(ranked.slice(limit)) };
}
