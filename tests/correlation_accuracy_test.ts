/** How often the engine is right, on hosts of which the truth is known; and that order, copies and restarts change nothing. */
import { BUILTIN_CORRELATION_RULES } from "../lib/fleet/correlation/builtin_rules.ts";
import { CorrelationEngine } from "../lib/fleet/correlation/engine.ts";
import { type CorrelatedGroup, type CorrelationOptions, type FleetRecord, RULE_KINDS, type RuleKind } from "../lib/fleet/correlation/correlated_group.ts";
import { partitionKeys } from "../lib/fleet/correlation/partition.ts";
import { unixNsOf } from "../lib/fleet/correlation/record.ts";
import { assert, assertEquals, assertGreaterOrEqual, assertNotEquals } from "./assert.ts";
import { type Corpus, makeCorpus, memberName, type TrueGroup } from "./correlation_corpus.ts";
import { Random } from "./support/random.ts";

const ROUNDS = 20;
/** A group is found when it and the truth share so much of what either has. */
const OVERLAP_MIN = 0.8;
/** Precision and recall, each at least this. */
const FLOORS: Record<RuleKind, [precision: number, recall: number]> = {
  process_tree: [0.97, 0.94],
  connection_pair: [0.99, 0.99],
  burst: [0.99, 0.99],
  pressure: [0.94, 0.94],
};
const RULES = BUILTIN_CORRELATION_RULES.filter(({ name }) =>
  [
    "program connects, then reads files",
    "connection between two hosts",
    "burst of violations by a user",
    "kill after resource pressure",
  ].includes(name)
);

function correlate(records: readonly FleetRecord[], options: Partial<CorrelationOptions> = {}) {
  const groups: CorrelatedGroup[] = [];
  const engine = new CorrelationEngine(RULES, (group) => groups.push(group), options);
  for (const record of records) engine.add(record);
  engine.flush();
  return { groups: byId(groups), stats: engine.stats() };
}

function byId(groups: CorrelatedGroup[]): CorrelatedGroup[] {
  return groups.toSorted((left, right) => left.id < right.id ? -1 : 1);
}

/** The same records, each up to so much later than its time says, as networks deliver them. */
function delayed(records: readonly FleetRecord[], random: Random, delayMs: number): FleetRecord[] {
  return records
    .map((record) => ({ record, arrivesUs: Number(unixNsOf(record) / 1000n) + random.below(delayMs * 1000) }))
    .sort((left, right) => left.arrivesUs - right.arrivesUs)
    .map(({ record }) => record);
}

interface Accuracy {
  precision: number;
  recall: number;
  exact: number;
}

function accuracy(kind: RuleKind, { truth }: Corpus, groups: readonly CorrelatedGroup[]): Accuracy {
  const found = groups.filter((group) => group.kind === kind).map(({ members }) => new Set(members.map(memberName)));
  const wanted = truth.filter((group) => group.kind === kind);
  const byMember = new Map<string, TrueGroup>();
  for (const group of wanted) for (const member of group.members) byMember.set(member, group);
  const hit = new Set<TrueGroup>();
  let right = 0;
  let exact = 0;
  for (const members of found) {
    const candidates = new Set([...members].flatMap((member) => byMember.get(member) ?? []));
    for (const candidate of candidates) {
      const shared = candidate.members.intersection(members).size;
      const overlap = shared / candidate.members.union(members).size;
      if (overlap < OVERLAP_MIN || hit.has(candidate)) continue;
      hit.add(candidate);
      right++;
      if (overlap === 1) exact++;
      break;
    }
  }
  return { precision: right / found.length, recall: hit.size / wanted.length, exact: exact / found.length };
}

Deno.test("groups are found with the precision and recall that are promised", () => {
  const seed = Random.freshSeed();
  const corpus = makeCorpus(seed, ROUNDS);
  const { groups, stats } = correlate(corpus.records);
  assertEquals([stats.late, stats.duplicates, stats.processed], [0, 0, corpus.records.length], `TEST_SEED=${seed}`);
  for (const kind of RULE_KINDS) {
    const { precision, recall, exact } = accuracy(kind, corpus, groups);
    const wanted = corpus.truth.filter((group) => group.kind === kind).length;
    console.log(
      `${kind.padEnd(16)} of ${wanted}: precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}, ` +
        `exactly the members ${exact.toFixed(4)}`,
    );
    const [precisionMin, recallMin] = FLOORS[kind];
    assertGreaterOrEqual(precision, precisionMin, `${kind} TEST_SEED=${seed}`);
    assertGreaterOrEqual(recall, recallMin, `${kind} TEST_SEED=${seed}`);
  }
});

Deno.test("less certain groups are wrong more often", () => {
  const seed = Random.freshSeed();
  const corpus = makeCorpus(seed, 2 * ROUNDS);
  const { groups } = correlate(corpus.records);
  const pressures = groups.filter(({ kind }) => kind === "pressure");
  const exactShare = (some: CorrelatedGroup[]) => accuracy("pressure", corpus, some).exact;
  const sure = exactShare(pressures.filter(({ confidence }) => confidence === 1));
  const unsure = exactShare(pressures.filter(({ confidence }) => confidence < 1));
  assert(sure > unsure, `sure ${sure}, unsure ${unsure}, TEST_SEED=${seed}`);
});

Deno.test("order within the lateness changes no group", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const { records } = makeCorpus(seed, 4);
  const inOrder = correlate(records);
  for (const delayMs of [50, 1_000, 4_900]) {
    const { groups, stats } = correlate(delayed(records, random, delayMs));
    assertEquals([stats.late, stats.lateForPairs], [0, 0], `${delayMs} ms, TEST_SEED=${seed}`);
    assertEquals(groups, inOrder.groups, `${delayMs} ms, TEST_SEED=${seed}`);
  }
});

Deno.test("what is too late is counted, and the rest is found all the same", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const corpus = makeCorpus(seed, 4);
  const shuffled = delayed(corpus.records, random, 3_000);
  // Every twentieth record is taken out and comes at the very end.
  const kept = shuffled.filter((_, i) => i % 20 !== 0);
  const overdue = shuffled.filter((record, i) => i % 20 === 0 && Number(unixNsOf(record) - unixNsOf(kept[0])) < 3e11);
  const groups: CorrelatedGroup[] = [];
  const engine = new CorrelationEngine(RULES, (group) => groups.push(group));
  for (const record of [...kept, ...overdue]) engine.add(record);
  engine.flush();
  const { taken, late, processed, duplicates, future, waiting } = engine.stats();
  assertEquals(late, overdue.length, `TEST_SEED=${seed}`);
  assertEquals(taken, duplicates + late + future + processed + waiting);
  const { groups: reference } = correlate(kept);
  assertEquals(byId(groups), reference, `TEST_SEED=${seed}`);
});

Deno.test("copies are counted and change no group", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const { records } = makeCorpus(seed, 4);
  const twice = delayed([...records, ...records.filter(() => random.below(3) === 0)], random, 4_000);
  const once = correlate(records);
  const { groups, stats } = correlate(twice);
  assertEquals(stats.duplicates, twice.length - records.length, `TEST_SEED=${seed}`);
  assertEquals(groups, once.groups, `TEST_SEED=${seed}`);
});

Deno.test("an engine that is restored gives the groups that the first one would have given, none twice", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const records = delayed(makeCorpus(seed, 3).records, random, 4_000);
  const whole = correlate(records).groups;
  for (let trial = 0; trial < 5; trial++) {
    const savedAt = random.below(records.length);
    // It dies some time after the snapshot; what it gave out since then is given out again, under the same ids.
    const diesAt = savedAt + random.below(records.length - savedAt);
    const given: CorrelatedGroup[] = [];
    const first = new CorrelationEngine(RULES, (group) => given.push(group));
    let snapshot = first.snapshot();
    for (const [i, record] of records.slice(0, diesAt).entries()) {
      if (i === savedAt) snapshot = first.snapshot();
      first.add(record);
    }
    if (savedAt === diesAt) snapshot = first.snapshot();
    const second = new CorrelationEngine(RULES, (group) => given.push(group));
    second.restore(snapshot);
    // Replayed from before the snapshot: what the state has already is a copy.
    for (const record of records.slice(Math.max(0, savedAt - 200))) second.add(record);
    second.flush();
    const distinct = new Map(given.map((group) => [group.id, group]));
    assertEquals(byId([...distinct.values()]), whole, `trial ${trial}, TEST_SEED=${seed}`);
  }
});

Deno.test("two workers that each see one part give the groups of one engine that sees all", () => {
  const seed = Random.freshSeed();
  const { records } = makeCorpus(seed, 3);
  const [wanted, given]: CorrelatedGroup[][] = [[], []];
  const hostWorker = new CorrelationEngine(RULES, (group) => given.push(group));
  const pairWorker = new CorrelationEngine(RULES, (group) => given.push(group));
  const both = new CorrelationEngine(RULES, (group) => wanted.push(group));
  for (const record of records) {
    both.add(record);
    for (const { part } of partitionKeys(record)) (part === "host" ? hostWorker : pairWorker).add(record, part);
  }
  for (const engine of [both, hostWorker, pairWorker]) {
    // Each has its own last record; what is open then must not depend on it.
    engine.advance(unixNsOf(records.at(-1)!) + 3_600_000_000_000n);
    engine.flush();
    assertEquals(engine.stats().waiting, 0);
  }
  assertEquals(byId(given), byId(wanted), `TEST_SEED=${seed}`);
  assertNotEquals(given.length, 0);
});
