/**
 * Run in a namespace: the aggregator with its real worker.
 *
 *     monitor_script.ts OPTIONS
 *
 * Prints every report as a line of JSON (a bigint as "123n") until standard input ends; then stops it.
 */
import { Aggregator } from "../../lib/aggregate/aggregator.ts";
import { WorkerError } from "../../lib/runtime/worker_handle.ts";
import type { AggregatorOptions } from "../../lib/aggregate/aggregator_messages.ts";

const options: AggregatorOptions = JSON.parse(Deno.args[0]);
const encoder = new TextEncoder();

function print(report: unknown): void {
  const line = JSON.stringify(report, (_, value) => typeof value === "bigint" ? `${value}n` : value);
  const bytes = encoder.encode(line + "\n");
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
}

using aggregator = new Aggregator(options);
(async () => {
  for await (const _ of Deno.stdin.readable);
  aggregator.stop();
})();
try {
  for await (const report of aggregator.reports()) print(report);
} catch (error) {
  if (!(error instanceof WorkerError)) throw error;
  print({ kind: "failed", failure: error.failure });
}
Deno.exit(0);
