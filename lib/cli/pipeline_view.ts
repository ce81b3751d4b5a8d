/** What `pipeline` shows: a line a second, and the statistics at the end. Text only, no terminal. */
import { rfc3339 } from "../export/json_lines.ts";
import type { DeadLetter } from "../pipeline/dead_letters.ts";
import type { LatencyHistogram } from "../pipeline/latency_histogram.ts";
import { type PipelineStats, unaccounted } from "../pipeline/pipeline_stats.ts";
import type { EventDecoder } from "../events/event_decoder.ts";
import type { SimulateResult } from "../simulate/simulate_messages.ts";
import { escapeControls, fit, humanCount, humanDuration } from "../runtime/text.ts";

const NAME_WIDTH = 12;
const TOP_ROWS = 5;

/** What became of the events, in one line, and in a warning if that does not add up. */
export function renderOutcomes(stats: PipelineStats): string[] {
  const { filtered, aggregated, deadLettered, dropped, inFlight } = stats;
  const lines = [
    `Pipeline: ${stats.in} in = ${filtered} filtered + ${aggregated} aggregated + ${deadLettered} dead-lettered + ` +
    `${dropped} dropped + ${inFlight} in flight`,
  ];
  const missing = unaccounted(stats);
  if (missing !== 0) lines.push(`WARNING: ${missing} events are unaccounted for`);
  return lines;
}

/** One line while it runs. */
export function renderPipelineLine(stats: PipelineStats): string {
  const { p50Ns, p99Ns } = stats.latency.summary();
  return [
    `${humanCount(stats.rates.s1)}/s`,
    `in ${stats.in}`,
    `filtered ${stats.filtered}`,
    `aggregated ${stats.aggregated}`,
    `dead letters ${stats.deadLettered}`,
    `dropped ${stats.dropped}`,
    `in flight ${stats.inFlight}`,
    `p50 ${milliseconds(p50Ns)}`,
    `p99 ${milliseconds(p99Ns)}`,
  ].join("  ");
}

/**
 * The statistics of a run, once it is over. @param made what the simulator reports; null where events were not
 * simulated
 */
export function renderPipelineSummary(
  stats: PipelineStats,
  { seconds, made }: { seconds: number; made: SimulateResult | null },
): string[] {
  const lines = ["=== Pipeline statistics ===", `Duration: ${humanDuration(seconds)}`];
  if (made !== null) {
    lines.push(`Simulated: ${made.events} events in ${made.seconds.toFixed(3)} s`);
    for (const { ring, attempts, submitted, dropped } of made.rings) {
      lines.push(`  ring ${fit(ring, NAME_WIDTH)} ${attempts} = ${submitted} submitted + ${dropped} dropped`);
    }
  }
  lines.push(...renderOutcomes(stats));
  lines.push(`Throughput: ${humanCount(Math.round(stats.in / Math.max(seconds, 1e-9)))} events/s`);
  for (const { rule, count } of stats.filteredByRule) lines.push(`  filtered by ${escapeControls(rule)}: ${count}`);
  for (const { channel, policy, count } of stats.droppedByChannel) {
    lines.push(`  dropped by channel ${channel} (${policy}): ${count}`);
  }
  const categories = Object.entries(stats.categories).filter(([, count]) => count > 0);
  lines.push(`Categories: ${categories.map(([category, count]) => `${category} ${count}`).join(", ") || "none"}`);
  if (stats.cache !== null) {
    lines.push(`Process cache: ${(stats.cache.hitRatio * 100).toFixed(1)} % hits, ${stats.cache.entries} entries`);
  }
  lines.push("", latencyHeader());
  for (const { name, latency } of stats.stages) lines.push(latencyLine(name, latency));
  lines.push(latencyLine("whole", stats.latency));
  const processes = stats.processes.rows.slice(0, TOP_ROWS);
  if (processes.length > 0) {
    lines.push("", "Processes by events:");
    for (const { label, records } of processes) {
      lines.push(`  ${fit(String(label.pid), 8, "right")} ${fit(escapeControls(label.name), 16)} ${records}`);
    }
  }
  return lines;
}

/** One dead letter in one line. Text that a process chose is escaped. */
export function renderDeadLetter(letter: DeadLetter, decoder: EventDecoder): string {
  const { record } = letter;
  const event = decoder.decode(new DataView(record.buffer, record.byteOffset, record.byteLength), 0, record.length);
  const what = event === null
    ? `${record.length} bytes that are no event`
    : `${event.event} pid ${event.pid} ${JSON.stringify(event.comm)}`;
  const tries = letter.attempts === 1 ? "" : ` (tried ${letter.attempts} times)`;
  return escapeControls(`${rfc3339(letter.unixNs)} ${letter.stage}: ${letter.error}${tries}: ${what}`);
}

const PERCENTILES = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999]] as const;
const CELL_WIDTH = 12;

function latencyHeader(): string {
  const titles = [...PERCENTILES.map(([title]) => title), "max"];
  return fit("LATENCY", NAME_WIDTH) + titles.map((title) => fit(title, CELL_WIDTH, "right")).join("");
}

function latencyLine(name: string, latency: LatencyHistogram): string {
  const values = [...PERCENTILES.map(([, share]) => latency.percentileNs(share)), latency.maxNs];
  return fit(name, NAME_WIDTH) + values.map((ns) => fit(milliseconds(ns), CELL_WIDTH, "right")).join("");
}

function milliseconds(ns: number): string {
  return `${(ns / 1e6).toFixed(3)} ms`;
}
