/** The text that `events` shows: a line an event, the table of the rings, the summary at the end. */

import { errnoName } from "../runtime/errors.ts";
import { rfc3339 } from "../export/json_lines.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import { dropRate } from "../router/ring_rates.ts";
import { isKnown } from "../events/subject.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import type { HealthReport, RingCounters } from "../router/router_messages.ts";
import { EVENT_TYPES, type RouterEvent, type Severity } from "../events/event.ts";
import { word } from "../events/types/event_text.ts";
import { descriptionOf } from "../events/types/mod.ts";
import { renderOutcomes } from "./pipeline_view.ts";
import { fit, humanCount, humanDuration } from "../runtime/text.ts";

const SGR: Record<Severity, string> = { critical: "1;37;41", error: "31", warning: "33", info: "", debug: "2" };
const SEVERITY_WIDTH = 8; // "critical"
const EVENT_WIDTH = Math.max(...EVENT_TYPES.map((type) => type.length));

interface RingColumn {
  title: string;
  cell(counters: RingCounters): string;
}

const RING_COLUMNS: RingColumn[] = [
  { title: "SUBMITTED", cell: ({ submitted }) => String(submitted) },
  { title: "DROPPED", cell: ({ dropped }) => String(dropped) },
  { title: "DROP_RATE", cell: (counters) => percent(dropRate(counters), 2) },
  { title: "SPILLED", cell: ({ spilled }) => String(spilled) },
  { title: "CONSUMED", cell: ({ consumed }) => String(consumed) },
  { title: "FILL", cell: ({ fill }) => percent(fill, 1) },
];

/**
 * One line for an event. Whatever a process chose (its name, paths, arguments) is escaped, and quoted where it could
 * pass for something else.
 *
 * @param bootUnixNs the time since the epoch minus CLOCK_MONOTONIC, in nanoseconds
 */
export function renderEvent(event: PipelineEvent, bootUnixNs: bigint, colour: boolean): string {
  const severity = fit(event.severity, SEVERITY_WIDTH);
  const sgr = colour ? SGR[event.severity] : "";
  return [
    `${rfc3339(bootUnixNs + event.tsNs).slice(0, 23)}Z`,
    sgr === "" ? severity : `\x1b[${sgr}m${severity}\x1b[0m`,
    fit(event.event, EVENT_WIDTH),
    `${subject(event)}:`,
    descriptionOf(event.event).line(event),
    ...event.result === 0 ? [] : [`= ${resultText(event.result)}`],
    ...notes(event),
  ].join(" ").trimEnd();
}

/** The counters of the rings since the start, as a table. */
export function renderRings({ rings }: Pick<HealthReport, "rings">): string[] {
  const nameWidth = Math.max("BUFFER".length, ...rings.map(({ ring }) => ring.length));
  const widths = RING_COLUMNS.map(({ title, cell }) =>
    Math.max(title.length, ...rings.map((counters) => cell(counters).length))
  );
  const line = (name: string, cell: (column: RingColumn) => string) =>
    fit(name, nameWidth) + RING_COLUMNS.map((column, i) => "  " + fit(cell(column), widths[i], "right")).join("");
  return [
    line("BUFFER", ({ title }) => title),
    ...rings.map((counters) => line(counters.ring, ({ cell }) => cell(counters))),
  ];
}

/** The rings in one line, for the live screen: `critical 12 · normal 1.2 k, 3.0 % dropped · debug 4.5 M`. */
export function renderHealthLine({ rings }: Pick<HealthReport, "rings">): string {
  return rings.map((counters) => {
    const parts = [`${counters.ring} ${humanCount(counters.submitted)}`];
    if (counters.dropped > 0n) {
      parts.push(`${humanCount(counters.dropped)} (${percent(dropRate(counters), 1)}) dropped`);
    }
    if (counters.spilled > 0n) parts.push(`${humanCount(counters.spilled)} spilled`);
    return parts.join(", ");
  }).join(" · ");
}

/** The summary at the end of a run: lines of text. */
export function renderEventsSummary(totals: EventTotals, seconds: number): string[] {
  const { health, pipeline } = totals;
  const lines = ["=== Summary ===", `Duration: ${humanDuration(seconds)}`, `Events: ${totals.records} records`];
  for (const { event, severity, records, estimated } of totals.counts(pipeline)) {
    const standsFor = estimated === records ? "" : ` (stand for about ${Math.round(estimated)} events)`;
    lines.push(`  ${fit(event, EVENT_WIDTH)} ${fit(severity, SEVERITY_WIDTH)} ${records}${standsFor}`);
  }
  const dropped = totals.droppedByType();
  if (dropped.length > 0) {
    lines.push(`Dropped: ${dropped.map(({ event, count }) => `${event} ${count}`).join(", ")}`);
  }
  if (pipeline !== null) lines.push(...renderOutcomes(pipeline));
  if (health === null) return lines;
  const { rateLimited, sampledOut, repeatsSuppressed, filtered } = health;
  lines.push(
    `Held back: rate limit ${rateLimited}, sampling ${sampledOut}, repeats ${repeatsSuppressed}, filters ${filtered}`,
  );
  return [...lines, "", ...renderRings(health)];
}

/** The process of an event. Members that are not known are left out. */
function subject(event: RouterEvent): string {
  return [
    `pid ${event.pid}`,
    ...isKnown(event, "uid") ? [`uid ${event.uid}`] : [],
    ...isKnown(event, "comm") ? [word(event.comm)] : [],
  ].join(" ");
}

function notes({ repeats, weight, spilled, process, service }: PipelineEvent): string[] {
  return [
    ...service !== "" ? [`(${service})`] : [],
    ...process !== null && process.containerId !== "" ? [`container ${process.containerId.slice(0, 12)}`] : [],
    ...repeats > 1 ? [`repeated ${repeats} times`] : [],
    ...weight > 1 ? [`sampled 1/${weight}`] : [],
    ...spilled ? ["spilled"] : [],
  ];
}

function resultText(result: number): string {
  return result < 0 ? errnoName(-result) : String(result);
}

/** `12.3 %` */
function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`;
}
