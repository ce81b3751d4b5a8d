/**
 * Bench: what the filter and the aggregate stage cost an event, over batches in memory as a channel hands them out, beside
 * a plain loop that counts the same events by type and severity and does nothing else.
 */
import { parseEventFilter } from "../lib/filter/language.ts";
import { AggregateStage } from "../lib/pipeline/aggregate_stage.ts";
import type { EventBatch } from "../lib/events/event_batch.ts";
import { DEFAULT_DROP_RULES, FilterStage } from "../lib/pipeline/filter_stage.ts";
import { LatencyHistogram } from "../lib/pipeline/latency_histogram.ts";
import type { Stage } from "../lib/pipeline/stage.ts";
import { EVENT_TYPES, SEVERITIES } from "../lib/events/event.ts";
import { Random } from "../tests/support/random.ts";
import { batchOf, eventRecord, processInfo } from "../tests/support/records.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const BATCHES = 64;
const BATCH_EVENTS = 1_000;
const PROCESSES = 200;
const EVENTS = BATCHES * BATCH_EVENTS;
/** Passes every event here, after looking at several things of each. */
const FILTER = "pid >= 100 and (severity >= debug and not path /nowhere) and not comm nobody";

/** All types, a few severities, processes that come again: none is dropped, so that batches can be run over again. */
function syntheticBatches(): EventBatch[] {
  const random = new Random(1);
  const processes = Array.from(
    { length: PROCESSES },
    (_, i) =>
      processInfo({ pid: 1_000 + i, name: `worker-${i}`, containerId: i % 3 === 0 ? `container-${i % 12}` : "" }),
  );
  return Array.from({ length: BATCHES }, () => {
    const owners = Array.from({ length: BATCH_EVENTS }, () => random.pick(processes));
    const records = owners.map(({ pid }) =>
      eventRecord(random.pick(EVENT_TYPES), { pid, severity: random.pick(SEVERITIES), tsNs: random.below(2 ** 31) })
    );
    return batchOf(records, owners);
  });
}

/** ns an event of `work` over every batch, once. */
function nsAnEvent(batches: EventBatch[], passes: number, work: (batch: EventBatch) => void): number {
  const start = performance.now();
  for (let pass = 0; pass < passes; pass++) for (const batch of batches) work(batch);
  return (performance.now() - start) * 1e6 / (passes * EVENTS);
}

function runs(stage: Stage): (batch: EventBatch) => void {
  return (batch) => {
    batch.next = 0;
    stage.run(batch);
    if (batch.settle() !== 0) throw new Error(`stage ${stage.name} dropped events that the bench needs again`);
  };
}

export function bench(run: BenchRun): void {
  run.report(`\n9. Stages, ${PROCESSES} processes (ns an event; ratio = cost / cost of the plain loop)`);
  const passes = run.pick(8, 1);
  const roundsMax = run.pick(7, 1);
  const batches = syntheticBatches();
  const counts = new Float64Array(EVENT_TYPES.length * SEVERITIES.length);
  const aggregate = new AggregateStage({ nowNs: () => 2 ** 31, processesMax: 1_024, containersMax: 256 });
  const latency = new LatencyHistogram();
  const candidates: Record<string, (batch: EventBatch) => void> = {
    "plain loop": (batch) => {
      for (let i = 0; i < batch.count; i++) counts[batch.type(i) * SEVERITIES.length + batch.severity(i)]++;
    },
    "latency alone": (batch) => {
      for (let i = 0; i < batch.count; i++) latency.record(2 ** 31 - batch.tsNs(i));
    },
    "filter, default rule": runs(new FilterStage({ dropRules: DEFAULT_DROP_RULES, filter: null })),
    "filter, five conditions": runs(
      new FilterStage({ dropRules: DEFAULT_DROP_RULES, filter: parseEventFilter(FILTER) }),
    ),
    "aggregate": runs(aggregate),
  };
  const rounds = new Map(Object.keys(candidates).map((name) => [name, [] as number[]]));
  for (let round = 0; round < roundsMax; round++) {
    for (const [name, work] of Object.entries(candidates)) rounds.get(name)!.push(nsAnEvent(batches, passes, work));
  }
  const sumOf = (cells: Float64Array) => cells.reduce((sum, it) => sum + it);
  const expected = roundsMax * passes * EVENTS;
  run.equal("the number of events that the plain loop counted", sumOf(counts), expected);
  run.equal("the number of latencies", latency.count, expected);
  const { records, processes } = aggregate.take();
  run.equal("the events by type and severity", records.join(), counts.join());
  run.equal("the number of processes", processes.rows.length, PROCESSES);
  const plain = median(rounds.get("plain loop")!);
  for (const [name, all] of rounds) {
    run.report(`   ${name.padEnd(24)} ${median(all).toFixed(1)} ns, ratio ${(median(all) / plain).toFixed(1)}`);
  }
}
