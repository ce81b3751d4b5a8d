/** `ebpfmon measure`: how much aggregation saves on real traffic. */
import type { Measurement } from "../../aggregate/flows/reduction.ts";
import type { Totals } from "../../aggregate/flows/totals.ts";
import { jsonLine, measureObject, readyObject, summaryObject } from "../../export/json_lines.ts";
import { FLOW4_KEY, FLOW_VALUE } from "../../wire/layouts.gen.ts";
import { aggregatorOptions } from "../aggregator_options.ts";
import { buildInfo } from "../build_info.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { runFlows } from "../flow_run.ts";
import { renderMeasurement, renderProgress } from "../measure_view.ts";
import { watchedInterfaces } from "../watched_interfaces.ts";
import type { MeasureOptions } from "./measure.ts";

/** Bytes of a record a packet: a ring buffer's record header, the five-tuple's key, a timestamp and a length. */
const RAW_RECORD_BYTES = 8 + FLOW4_KEY.size + 8 + 8;
const SUMMARY_RECORD_BYTES = FLOW4_KEY.size + FLOW_VALUE.size;

function measurementOf(totals: Totals, seconds: number): Measurement {
  return {
    seconds,
    rawEvents: totals.flows.packets,
    summaries: totals.flowSummaries,
    rawRecordBytes: RAW_RECORD_BYTES,
    summaryRecordBytes: SUMMARY_RECORD_BYTES,
    overflowPackets: totals.overflow.packets,
    seenPackets: totals.seen.packets,
  };
}

/** Counts for the seconds that were asked for, or until Ctrl-C, and prints the comparison. */
export async function run(options: MeasureOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const stop = stopOnSignals();
  const { seconds: secondsMax, json, quiet } = options;
  const aggregator = await aggregatorOptions(options, watchedInterfaces(options.interfaces));
  const notice = (text: string) => quiet || warn(text);
  const report = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
  const progress = !json && !quiet && Deno.stderr.isTerminal();
  let startNs = 0n;
  let seconds = 0;
  const { totals, allGone } = await runFlows(
    {
      aggregator,
      listen: null,
      durationMs: secondsMax * 1000,
      host,
      build: { version: buildInfo().version },
      events: null,
    },
    {
      ready({ interfaces, startNs: readyNs, notices }) {
        startNs = readyNs;
        for (const text of notices) notice(text);
        if (json) print(jsonLine(readyObject({ unixNs: unixNs(), host }, { interfaces, listen: null })));
      },
      window(window, totals) {
        seconds = Number(window.endNs - startNs) / 1e9;
        if (progress) report(renderProgress(seconds, secondsMax, totals));
      },
      notice: (_alert, message) => notice(message),
      interfaceGone: (what, remaining) => remaining === 0 || notice(what),
    },
    stop.signal,
  );
  if (progress) report("\r\x1b[K");
  const measurement = measurementOf(totals, seconds);
  if (json) {
    const stamp = { unixNs: unixNs(), host };
    print(jsonLine(measureObject(stamp, measurement)));
    print(jsonLine(summaryObject(stamp, totals, false)));
  } else {
    print(renderMeasurement(measurement));
  }
  if (allGone !== null) throw new Error(`Cannot go on measuring: ${allGone}`);
  return EXIT.done;
}
