/**
 * Bench: events from a simulated ring through filter, enrich and aggregate, by placement and kind of channel, beside a
 * plain loop over the same records in an array: no ring, no channel, no other thread. Then the latency at a fixed rate.
 */
import { AggregateStage } from "../lib/pipeline/aggregate_stage.ts";
import { EnrichStage } from "../lib/pipeline/enrich_stage.ts";
import type { EventBatch } from "../lib/events/event_batch.ts";
import { DEFAULT_DROP_RULES, FilterStage } from "../lib/pipeline/filter_stage.ts";
import { ProcessCache } from "../lib/processes/process_cache.ts";
import { runStage } from "../lib/pipeline/run_stage.ts";
import { Users } from "../lib/processes/users.ts";
import { SyntheticEvents } from "../lib/simulate/synthetic_events.ts";
import { batchOf } from "../tests/support/records.ts";
import { median, outputOf } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const LOOP_BATCHES = 64;
const LOOP_BATCH_EVENTS = 200;

const WAYS: [name: string, flags: string[]][] = [
  ["one worker", ["--placement", "one"]],
  ["a worker each", ["--placement", "each"]],
  ["2 enrich workers", ["--placement", "fan-out"]],
  ["one worker, BPF queues", ["--placement", "one", "--channel", "queue"]],
  ["a worker each, BPF queues", ["--placement", "each", "--channel", "queue"]],
];

interface Summary {
  type: string;
  in: number;
  filtered: number;
  aggregated: number;
  unaccounted: number;
  simulated: { seconds: number };
  latency: Record<"p50_ns" | "p99_ns", number>;
}

async function simulate(run: BenchRun, events: number, flags: string[]): Promise<Summary> {
  const lines = await outputOf(
    "./ebpfmon",
    "pipeline",
    "--simulate",
    String(events),
    "--json",
    "--listen",
    "off",
    ...flags,
  );
  const summary = JSON.parse(lines.trimEnd().split("\n").at(-1)!) as Summary;
  run.equal("the number of events that went in", summary.in, events);
  run.equal("the number of events that came out", summary.filtered + summary.aggregated, events);
  run.equal("the number of events that are unaccounted for", summary.unaccounted, 0);
  return summary;
}

/** Events a second of the stages alone. */
function plainLoop(run: BenchRun): number {
  const made = new SyntheticEvents(() => BigInt(Math.round(performance.now() * 1e6)));
  const batches: EventBatch[] = Array.from(
    { length: LOOP_BATCHES },
    () =>
      batchOf(Array.from({ length: LOOP_BATCH_EVENTS }, () => {
        const { data, lengthBytes } = made.next();
        return new Uint8Array(data.buffer, 0, lengthBytes).slice();
      })),
  );
  const nobody = { list: () => [], read: () => null, cgroupPath: () => null };
  const users = new Users({ passwdText: () => "", passwdStamp: () => null });
  const aggregate = new AggregateStage({
    nowNs: () => performance.now() * 1e6,
    processesMax: 4_096,
    containersMax: 1_024,
  });
  const stages = [
    new FilterStage({ dropRules: DEFAULT_DROP_RULES, filter: null }),
    new EnrichStage(new ProcessCache(nobody, users)),
    aggregate,
  ];
  // What the filter drops is gone after the first pass; it counts as looked at in that pass alone.
  let events = 0;
  let kept = 0;
  const start = performance.now();
  for (let pass = 0; pass < run.pick(100, 2); pass++) {
    for (const batch of batches) {
      events += batch.count;
      for (const stage of stages) runStage(stage, batch, () => {});
      kept += batch.count;
    }
  }
  const perSecond = events / ((performance.now() - start) / 1000);
  const counted = aggregate.take().records.reduce((sum, it) => sum + it);
  run.equal("the number of events that the loop counted", counted, kept);
  return perSecond;
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\nPipeline: M events/s from the simulated ring to the last stage, medians");
  const rates = new Map<string, number[]>([
    ["plain loop, no ring", []],
    ...WAYS.map(([name]) => [name, []] as [string, number[]]),
  ]);
  for (let round = 0; round < run.pick(5, 1); round++) {
    rates.get("plain loop, no ring")!.push(plainLoop(run));
    for (const [name, flags] of WAYS) {
      const events = flags.includes("queue") ? run.pick(500_000, 5_000) : run.pick(3_000_000, 20_000);
      const { simulated } = await simulate(run, events, flags);
      rates.get(name)!.push(events / simulated.seconds);
    }
  }
  const slowest = median(rates.get("one worker, BPF queues")!);
  for (const [name, values] of rates) {
    const rate = median(values);
    run.report(`  ${name.padEnd(28)} ${(rate / 1e6).toFixed(2)}   ${(rate / slowest).toFixed(1)} x BPF queues`);
  }
  const ratePerSecond = run.pick(500_000, 10_000);
  const latencies: Summary["latency"][] = [];
  for (let round = 0; round < run.pick(5, 1); round++) {
    latencies.push((await simulate(run, ratePerSecond * run.pick(3, 0.3), ["--rate", String(ratePerSecond)])).latency);
  }
  const [p50, p99] = (["p50_ns", "p99_ns"] as const).map((key) => median(latencies.map((one) => one[key])) / 1e6);
  run.report(
    `  at ${ratePerSecond} events/s: p50 ${p50.toFixed(2)} ms, p99 ${
      p99.toFixed(2)
    } ms (nobody waits for company in a ring)`,
  );
}
