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

const SEED = 1;
/** Some 200,000 records of 8 hosts. */
const CORPUS_ROUNDS = 100;
const ROUNDS = 5;
const DELAY_MS = 4_000;

export function benchCorrelation(): void {
  const { records } = makeCorpus(SEED, CORPUS_ROUNDS);
  const delayed = delay(records, new Random(SEED));
  const seconds = { sort: [] as number[], inOrder: [] as number[], delayed: [] as number[] };
  let groups = 0;
  for (let round = 0; round < ROUNDS; round++) {
    seconds.sort.push(timed(() => sort(delayed)));
    seconds.inOrder.push(timed(() => correlate(records)));
    seconds.delayed.push(timed(() => groups = correlate(delayed)));
  }
  const rate = (measured: number[]) => `${(records.length / median(measured) / 1e6).toFixed(2)} M records/s`;
  console.log(
    `\nCorrelation of ${records.length} records into ${groups} groups, ${BUILTIN_CORRELATION_RULES.length} rules`,
  );
  console.log(`   sorted by time and nothing else   ${rate(seconds.sort)}`);
  console.log(`   correlated, in order              ${rate(seconds.inOrder)}`);
  console.log(`   correlated, up to ${DELAY_MS / 1000} s late        ${rate(seconds.delayed)}`);
}

function correlate(records: readonly FleetRecord[]): number {
  let groups = 0;
  const engine = new CorrelationEngine(BUILTIN_CORRELATION_RULES, () => groups++);
  for (const record of records) engine.add(record);
  engine.flush();
  return groups;
}

function sort(records: readonly FleetRecord[]): void {
  const buffer = new ReorderBuffer();
  for (const record of records) buffer.add({ timeUs: toUs(unixNsOf(record)), record });
  while (buffer.take() !== undefined);
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

if (import.meta.main) benchCorrelation();
