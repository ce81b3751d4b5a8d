/** `ebpfmon history`: what a store knows of a time, as a table, a chart, JSON or CSV. */
import { jsonLine } from "../../export/json_lines.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import { queryFlows, querySeries, queryTop, type Ranking, type Selection } from "../../history/query.ts";
import { HistoryReader, type TimeRange } from "../../history/reader.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { csv, flowObjects, flowsCells, seriesCells, seriesObjects, topCells, topObjects } from "../history_export.ts";
import { resolveTime } from "../flags/time.ts";
import { usageError } from "../flags/usage.ts";
import { renderFlows, renderNothing, renderSeries, renderTop } from "../history_view.ts";
import type { HistoryOptions } from "./history.ts";

/** An answer in each of the forms it may take. */
interface Printed {
  json(): object[];
  csv(): string;
  text(): string;
}

function rangeOf({ from, to }: HistoryOptions): TimeRange {
  const nowNs = unixNs();
  const range = { fromNs: resolveTime(from, nowNs), toNs: resolveTime(to, nowNs) };
  if (range.fromNs >= range.toNs) {
    throw usageError("history", "--from is not before --to");
  }
  return range;
}

function selectionOf(options: HistoryOptions): Selection {
  return {
    range: rangeOf(options),
    level: options.level,
    where: options.where === "" ? null : parseFlowFilter(options.where),
    within: options.group,
    networks: options.networks,
  };
}

function ask(
  reader: HistoryReader,
  selection: Selection,
  options: HistoryOptions & { host: string },
): Printed {
  const ranking: Ranking = { rank: options.rank, limit: options.limit };
  const stamp = { unixNs: unixNs(), host: options.host };
  const orNothing = (summary: Parameters<typeof renderNothing>[0], text: () => string) =>
    summary.found === null ? renderNothing(summary, reader.span()) : text();
  switch (options.view) {
    case "top": {
      const by = options.by ?? "flow";
      const answer = queryTop(reader, selection, by, ranking);
      return {
        json: () => topObjects(stamp, answer, by),
        csv: () => csv(topCells(answer)),
        text: () => orNothing(answer.summary, () => renderTop(answer, by, options.rank)),
      };
    }
    case "series": {
      const answer = querySeries(reader, selection, options.by, ranking);
      const selective = selection.where !== null || selection.within !== null;
      return {
        json: () => seriesObjects(stamp, answer),
        csv: () => csv(seriesCells(answer, options.by !== null)),
        text: () => orNothing(answer.summary, () => renderSeries(answer, { rank: options.rank, selective })),
      };
    }
    case "flows": {
      const answer = queryFlows(reader, selection, ranking);
      return {
        json: () => flowObjects(stamp, answer),
        csv: () => csv(flowsCells(answer)),
        text: () => orNothing(answer.summary, () => renderFlows(answer, options.rank)),
      };
    }
    default:
      return options.view satisfies never;
  }
}

/**
 * @throws {UsageError} when the time ends before it begins @throws {StoreError} when there is no store, or none that
 * this program reads
 */
export function run(options: HistoryOptions, { host }: RunContext): ExitCode {
  const selection = selectionOf(options);
  using reader = new HistoryReader(options.path);
  // The whole answer is made before any of it is printed: a slow reader of our output must not keep the store's log
  // from being cut.
  const text = reader.snapshot(() => {
    const printed = ask(reader, selection, { ...options, host });
    if (options.json) return printed.json().map(jsonLine).join("");
    return options.csv ? printed.csv() : printed.text();
  });
  print(text);
  return EXIT.done;
}
