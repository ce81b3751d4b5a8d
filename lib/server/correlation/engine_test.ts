import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { at, FakeHost } from "../../../tests/correlation_records.ts";
import { correlate, openEngine } from "../../../tests/correlation_run.ts";

const RULES = `rules:
  - name: burst
    kind: burst
    match: { event: security_violation }
    per: user
    threshold: 2
    window_ms: 1000
    severity: warning
    sentence: "{events} on {host}"
  - name: pair
    kind: connection_pair
    window_ms: 10000
    severity: debug
    sentence: "{src} {dst}"
`;

const OTHER_RULES = RULES.replace("threshold: 2", "threshold: 3");

Deno.test("CorrelationEngine gives a group out once its host's watermark has passed it", () => {
  const h = new FakeHost("h");
  const { engine, groups } = openEngine(RULES, { latenessMs: 2_000 });
  for (const seconds of [1, 1.5]) engine.add(h.event("security_violation", seconds));
  engine.add(h.event("file_open", 4.5)); // watermark 2.5: the last one's window ends then
  assertEquals(groups, []);
  engine.add(h.event("file_open", 4.7));
  assertEquals(groups.map(({ sentence, startUnixNs, endUnixNs }) => [sentence, startUnixNs, endUnixNs]), [
    ["2 on h", at(1), at(1.5)],
  ]);
});

Deno.test("CorrelationEngine takes what is late for the fleet but not for its own host, except for pairs", () => {
  const [fast, slow] = [new FakeHost("fast"), new FakeHost("slow")];
  const { engine, groups } = openEngine(RULES, { latenessMs: 1_000, idleMs: 60_000 });
  engine.add(fast.event("file_open", 40));
  engine.add(fast.event("file_open", 41)); // the fleet, of which slow is not yet known, is at 40
  for (const seconds of [10, 10.5]) engine.add(slow.event("security_violation", seconds));
  engine.add(slow.event("tcp_state", 11));
  assertEquals([engine.stats().late, engine.stats().lateForPairs], [0, 1]);
  engine.flush();
  assertEquals(groups.map(({ sentence }) => sentence), ["2 on slow"]);
});

Deno.test("CorrelationEngine counts what is late, and leaves it out", () => {
  const h = new FakeHost("h");
  const { groups, stats } = correlate(RULES, [
    h.event("security_violation", 1),
    h.event("file_open", 7),
    h.event("security_violation", 1.5),
    h.event("security_violation", 1.9),
    h.event("security_violation", 2), // the watermark itself is not late
  ]);
  assertEquals([groups.length, stats.late, stats.processed, stats.taken], [1, 2, 3, 5]);
});

Deno.test("CorrelationEngine is not held up for ever by a host that is silent", () => {
  const [talks, silent] = [new FakeHost("talks"), new FakeHost("silent")];
  const { engine, groups } = openEngine(RULES, { latenessMs: 1_000, idleMs: 10_000 });
  for (const seconds of [1, 1.5]) engine.add(silent.event("security_violation", seconds));
  engine.add(talks.event("tcp_state", 2));
  engine.add(silent.event("tcp_state", 2, { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: 40_000 }));
  for (let seconds = 3; seconds < 13; seconds++) engine.add(talks.event("file_open", seconds));
  assertEquals(groups, []);
  for (let seconds = 13; seconds < 40; seconds++) engine.add(talks.event("file_open", seconds));
  assertEquals(groups.map(({ rule, closed }) => [rule, closed]), [["burst", "window"], ["pair", "window"]]);
});

Deno.test("CorrelationEngine.advance() closes groups when nothing comes, and refuses what is far ahead", () => {
  const h = new FakeHost("h");
  const { engine, groups } = openEngine(RULES, { latenessMs: 1_000, idleMs: 10_000, aheadMaxMs: 5_000 });
  for (const seconds of [1, 1.5]) engine.add(h.event("security_violation", seconds));
  engine.advance(at(13.4));
  assertEquals(groups.length, 0);
  engine.advance(at(13.6));
  assertEquals(groups.length, 1);
  engine.add(h.event("security_violation", 18.6));
  engine.add(h.event("security_violation", 18.7));
  assertEquals([engine.stats().future, engine.stats().waiting], [1, 1]);
});

Deno.test("CorrelationEngine takes each sequence of a host once", () => {
  const [a, b] = [new FakeHost("a"), new FakeHost("b")];
  const record = a.event("security_violation", 1);
  const { stats, groups } = correlate(RULES, [record, record, b.event("security_violation", 1), { ...record }]);
  assertEquals([stats.duplicates, stats.processed, groups.length], [2, 2, 0]);
});

Deno.test("groups have ids that depend on what they are, and on nothing else", () => {
  const group = (agent: string, rules = RULES) => {
    const h = new FakeHost(agent);
    const records = [1, 1.5].map((seconds) => h.event("security_violation", seconds));
    return correlate(rules, [new FakeHost("z").event("file_open", 0.5), ...records]).groups[0];
  };
  assertEquals(group("a"), group("a"));
  assert(/^[0-9a-f]{32}$/.test(group("a").id));
  const ids = [group("a"), group("b"), group("a", RULES.replace("name: burst", "name: other"))].map(({ id }) => id);
  assertEquals(new Set(ids).size, 3);
});

Deno.test("CorrelationEngine.restore() refuses the state of other rules or another version", () => {
  const { engine } = openEngine(RULES);
  const snapshot = engine.snapshot();
  const other = openEngine(OTHER_RULES).engine;
  assertEquals(
    assertThrows(() => other.restore(snapshot), Error).message,
    "Cannot restore the correlation's state: it was made with other rules",
  );
  assertEquals(
    assertThrows(() => engine.restore(snapshot.replace('"version":1', '"version":7')), Error).message,
    "Cannot restore the correlation's state: it has version 7, not 1",
  );
});

Deno.test("CorrelationEngine.snapshot() and restore() keep all state", () => {
  const h = new FakeHost("h");
  const first = openEngine(RULES);
  first.engine.add(h.event("security_violation", 1));
  first.engine.add(h.flow(2));
  const second = openEngine(RULES);
  second.engine.restore(first.engine.snapshot());
  assertEquals(second.engine.snapshot(), first.engine.snapshot());
  assertEquals(second.engine.stats(), first.engine.stats());
});

Deno.test("CorrelationEngine makes room for hosts by forgetting the one silent for longest", () => {
  const { engine } = openEngine(RULES, { agentsMax: 2 });
  for (const [i, agent] of ["a", "b", "c"].entries()) engine.add(new FakeHost(agent).event("file_open", 1 + i));
  const { agents, agentsEvicted, processed, waiting } = engine.stats();
  assertEquals([agents, agentsEvicted, processed, waiting], [2, 1, 1, 2]);
});
