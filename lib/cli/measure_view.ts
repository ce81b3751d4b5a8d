/** What `measure` prints: progress while it counts, then the report. Text only. */

import { type Measurement, reduction } from "../aggregate/flows/reduction.ts";
import type { Totals } from "../aggregate/flows/totals.ts";
import { humanBytes, humanCount } from "../runtime/text.ts";

const BAR = 20;

/** Redraws one line of a terminal in place: time gone, and what was counted so far. */
export function renderProgress(elapsedSeconds: number, seconds: number, { seen }: Totals): string {
  const done = Math.min(1, Math.max(0, elapsedSeconds / seconds));
  const bar = "#".repeat(Math.round(done * BAR)).padEnd(BAR, ".");
  return `\r[${bar}] ${Math.floor(elapsedSeconds)} of ${seconds} s · ${humanCount(seen.packets)} packets\x1b[K`;
}

/** The final report: lines, each with its newline. */
export function renderMeasurement(measurement: Measurement): string {
  const { seconds, rawEvents, summaries, rawRecordBytes, summaryRecordBytes, overflowPackets, seenPackets } =
    measurement;
  const { ratio, rawBytesPerSecond, summaryBytesPerSecond, savedRatio } = reduction(measurement);
  const lines = [
    "=== Aggregation Effectiveness ===",
    `Duration: ${seconds.toFixed(2)} s`,
    `Seen: ${seenPackets} packets`,
    `Raw events: ${rawEvents}`,
    `Summaries: ${summaries}`,
    `Reduction: ${ratio === null ? "none, no flow was seen" : `${ratio.toFixed(1)}:1`}`,
    `Bandwidth raw: ${humanBytes(rawBytesPerSecond)}/s (at ${rawRecordBytes} bytes a packet's record)`,
    `Bandwidth aggregated: ${humanBytes(summaryBytesPerSecond)}/s (at ${summaryRecordBytes} bytes a flow's record)`,
    `Bandwidth saved: ${savedRatio === null ? "none" : percent(savedRatio)}`,
  ];
  if (overflowPackets > 0n) {
    lines.push(
      `WARNING: flow map full: ${overflowPackets} packets in overflow are in no summary; raise --max-flows`,
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** A share in percent, rounded down, so that 99.996 % is not shown as 100 %. */
function percent(ratio: number): string {
  return `${(Math.floor(ratio * 1e4) / 100).toFixed(2)} %`;
}
