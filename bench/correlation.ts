/**
 * Bench: records a second through the correlation engine, in the order of their times and as networks deliver them, and
 * beside it what comes before any correlation: taking each record's time and sorting by it.
 */
import { BUILTIN_CORRELATION_RULES } from "../lib/fleet/correlation/builtin_rules.ts";
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import type { FleetRecord } from "../lib/fleet/correlation/correlated_group.ts";
import { toUs, unixNsOf } from "../lib/fleet/correlation/record.ts";
import { ReorderBuffer } from "../lib/fleet/correlation/reorder_buffer.ts";
import { makeCorpus } from "../tests/correlation_corpus.ts";
import { Random } from "../tests/support/random.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const SEED = 1;
const DELAY_MS = 4_000;

export function bench(run: BenchRun): void {
  const { records } = makeCorpus(SEED, run.pick(100, 2));
  const delayed = delay(records, new Random(SEED));
  const seconds = { sort: [] as number[], inOrder: [] as number[], delayed: [] as number[] };
  let sorted = 0;
  let [inOrder, late]: Correlated[] = [];
  for (let round = 0; round < run.pick(5, 1); round++) {
    seconds.sort.push(timed(() => sorted = sort(delayed)));
    seconds.inOrder.push(timed(() => inOrder = correlate(records)));
    seconds.delayed.push(timed(() => late = correlate(delayed)));
    run.equal("the number of records that were sorted", sorted, records.length);
    run.equal("the number of records that were correlated in order", inOrder.processed, records.length);
    run.equal("the number of records that were correlated late", late.processed, records.length);
    run.equal("the groups of late records", late.groups.toSorted().join("\n"), inOrder.groups.toSorted().join("\n"));
  }
  const rate = (measured: number[]) => `${(records.length / median(measured) / 1e6).toFixed(2)} M records/s`;
  run.report(
    `\nCorrelation of ${records.length} records into ${
      late!.groups.length
    } groups, ${BUILTIN_CORRELATION_RULES.length} rules`,
  );
  run.report(`   sorted by time and nothing else   ${rate(seconds.sort)}`);
  run.report(`   correlated, in order              ${rate(seconds.inOrder)}`);
  run.report(`   correlated, up to ${DELAY_MS / 1000} s late        ${rate(seconds.delayed)}`);
}

interface Correlated {
  processed: number;
  /** Rule and number of members of each. */
  groups: string[];
}

function correlate(records: readonly FleetRecord[]): Correlated {
  const groups: string[] = [];
  const engine = new CorrelationEngine(
    BUILTIN_CORRELATION_RULES,
    ({ rule, members }) => groups.push(`${rule} ${members.length}`),
  );
  for (const record of records) engine.add(record);
  engine.flush();
  return { processed: engine.stats().processed, groups };
}

/** @returns how many records came out, each no earlier than the one before */
function sort(records: readonly FleetRecord[]): number {
  const buffer = new ReorderBuffer();
  for (const record of records) buffer.add({ timeUs: toUs(unixNsOf(record)), record });
  let sorted = 0;
  for (let lastUs = -Infinity;; sorted++) {
    const next = buffer.take();
    if (next === undefined || next.timeUs < lastUs) return sorted;
    lastUs = next.timeUs;
  }
}

function delay(records: readonly FleetRecord[], random: Random): FleetRecord[] {
  return records
    .map((record) => ({ record, arrivesUs: toUs(unixNsOf(record)) + random.below(DELAY_MS * 1000) }))
    .sort((left, right) => left.arrivesUs - right.arrivesUs)
    .map(({ record }) => record);
}

function timed(work: () => void): number {
  const began = performance.now();
  work();
  return (performance.now() - began) / 1000;
}
