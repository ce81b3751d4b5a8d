/** What `events` shows: a line an event, the table of the rings, the summary at the end. Text only, no terminal. */

import { errnoName } from "../runtime/errors.ts";
import { rfc3339 } from "../export/json_lines.ts";
import type { EventTotals } from "../pipeline/event_totals.ts";
import { dropRate } from "../router/health.ts";
import { isKnown } from "../events/subject.ts";
import type { PipelineEvent } from "../pipeline/pipeline_messages.ts";
import type { HealthReport, RingCounters } from "../router/router_messages.ts";
import type { RouterEvent, Severity } from "../events/event.ts";
import { renderOutcomes } from "./pipeline_view.ts";
import { escapeControls, fit, humanCount, humanDuration } from "../runtime/text.ts";

const SGR: Record<Severity, string> = { critical: "1;37;41", error: "31", warning: "33", info: "", debug: "2" };
const SEVERITY_WIDTH = 8; // "critical"
const EVENT_WIDTH = 18; // "security_violation"

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
 * @param bootUnixNs what CLOCK_MONOTONIC lacks to the time since the epoch
 */
export function renderEvent(event: PipelineEvent, bootUnixNs: bigint, colour: boolean): string {
  const severity = fit(event.severity, SEVERITY_WIDTH);
  const sgr = colour ? SGR[event.severity] : "";
  return [
    `${rfc3339(bootUnixNs + event.tsNs).slice(0, 23)}Z`,
    sgr === "" ? severity : `\x1b[${sgr}m${severity}\x1b[0m`,
    fit(event.event, EVENT_WIDTH),
    `${subject(event)}:`,
    details(event),
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

/** What a run saw, once it is over. */
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

/** Who it was; what is not known is left out. */
function subject(event: RouterEvent): string {
  return [
    `pid ${event.pid}`,
    ...isKnown(event, "uid") ? [`uid ${event.uid}`] : [],
    ...isKnown(event, "comm") ? [word(event.comm)] : [],
  ].join(" ");
}

function details(event: RouterEvent): string {
  switch (event.event) {
    case "process_exec": {
      const argv = event.argv.map(word).join(" ") + (event.argvTruncated ? "…" : "");
      return `${word(event.filename)} [${argv}]${event.ppid === undefined ? "" : ` ppid ${event.ppid}`}`;
    }
    case "process_exit":
      if (event.incomplete) return "";
      return event.signal === 0 ? `exit code ${event.exitCode}` : `killed by signal ${event.signal}`;
    case "file_open":
      return `${event.syscall} ${word(event.path)}${event.pathTruncated ? "…" : ""} flags 0${event.flags.toString(8)}`;
    case "network_connect":
      return `${event.family} ${endpoint(event.family, event.address, event.port)}`;
    case "tcp_state": {
      const { family, src, sport, dst, dport, oldState, newState } = event;
      return `${endpoint(family, src, sport)} -> ${endpoint(family, dst, dport)} ${oldState} -> ${newState}`;
    }
    case "security_violation":
    case "resource_limit":
      return [event.kind, event.syscall, event.detail].filter((text) => text !== "").map(word).join(" ");
    default:
      return event satisfies never;
  }
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

function endpoint(family: "ipv4" | "ipv6" | "unix", address: string, port: number): string {
  if (family === "unix") return word(address);
  return family === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

function resultText(result: number): string {
  return result < 0 ? errnoName(-result) : String(result);
}

/** A text as one word: bare where that is unmistakable, else in quotes with its backslashes and quotes escaped. */
function word(text: string): string {
  const escaped = escapeControls(text.replace(/["\\]/g, "\\$&"));
  return escaped === text && /^[^\s[\]:]+$/.test(text) ? text : `"${escaped}"`;
}

/** `12.3 %` */
function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`;
}
