import { assert, assertEquals, assertGreater, assertThrows } from "../../../tests/assert.ts";
import { at, FakeHost } from "../../../tests/correlation_records.ts";
import { correlate, openEngine } from "../../../tests/correlation_run.ts";
import { SEVERITIES } from "../../events/event.ts";
import type { FleetEvent } from "./correlated_group.ts";

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

const LINEAGES = `rules:
  - name: exec, connect, open
    kind: process_tree
    window_ms: 3000
    steps: [{ event: process_exec }, { event: network_connect }, { event: file_open }]
    severity: info
    sentence: "{host} {pid}"
  - name: pair
    kind: connection_pair
    window_ms: 10000
    severity: info
    sentence: "{host} and {server_host}"
`;

/** One lineage a second, of which each step has another severity, and its end of a connection. */
function busySeconds(host: FakeHost, from: number, to: number): FleetEvent[] {
  return Array.from({ length: to - from }, (_, i) => from + i).flatMap((seconds) => {
    const pid = 10 + seconds;
    const end = host.agent === "server"
      ? { src: "10.0.0.2", dst: "10.0.0.1", sport: 443, dport: 10_000 + seconds, oldState: "SYN_RECV" as const }
      : { sport: 10_000 + seconds };
    return [
      host.event("process_exec", seconds, { pid, severity: "critical" }),
      host.event("network_connect", seconds + 0.1, { pid, severity: "info" }),
      host.event("tcp_state", seconds + 0.2, { pid, severity: "info", ...end }),
      host.event("file_open", seconds + 0.3, { pid, severity: "debug" }),
      host.event("process_exit", seconds + 0.4, { pid, severity: "debug" }),
    ];
  });
}

/** Gives out what is more severe first, each severity in its order. */
class FakeSpool {
  readonly #waiting: FleetEvent[] = [];

  add(...records: FleetEvent[]): this {
    const rank = ({ event }: FleetEvent) => SEVERITIES.indexOf(event.severity);
    this.#waiting.push(...records);
    this.#waiting.sort((left, right) => rank(left) - rank(right));
    return this;
  }

  take(count = Infinity): FleetEvent[] {
    return this.#waiting.splice(0, count);
  }
}

function sortedIds(groups: readonly { id: string }[]): string[] {
  return groups.map(({ id }) => id).sort();
}

/**
 * Two hosts, of which one is cut off from second 20 on. What it has then comes by severity, over some seconds.
 *
 * @param lost what it never had to bring, of the time of the outage
 */
function throughOutage(seconds: number, lost: (record: FleetEvent) => boolean = () => false) {
  const back = 20 + seconds;
  const end = back + 30;
  const isOut = ({ unixNs }: FleetEvent) => unixNs >= at(20) && unixNs < at(back);
  const client = busySeconds(new FakeHost("client"), 0, end).filter((record) => !isOut(record) || !lost(record));
  const server = busySeconds(new FakeHost("server"), 0, end);
  const [cut, whole] = [openEngine(LINEAGES), openEngine(LINEAGES)];
  const spool = new FakeSpool();
  for (let second = 0; second < end; second++) {
    const isNow = ({ unixNs }: FleetEvent) => unixNs >= at(second) && unixNs < at(second + 1);
    const [own, others] = [client.filter(isNow), server.filter(isNow)];
    spool.add(...own);
    for (const { engine } of [cut, whole]) engine.advance(at(second + 1));
    for (const record of [...own, ...others]) whole.engine.add(record);
    const brought = second < 20 ? spool.take() : second < back ? [] : spool.take(5 + Math.ceil(seconds / 2));
    for (const record of [...others, ...brought]) cut.engine.add(record);
  }
  for (const { engine } of [cut, whole]) engine.advance(at(end + 3_600));
  return { stats: cut.engine.stats(), groups: cut.groups, wanted: whole.groups };
}

Deno.test("CorrelationEngine correlates the backlog of an outage, whose least severe part comes last", () => {
  for (const seconds of [6, 30, 55]) {
    const { stats, groups, wanted } = throughOutage(seconds);
    assertEquals([stats.late, stats.lateForPairs, stats.waiting, stats.forced], [0, 0, 0, 0], `${seconds} s`);
    assertEquals(sortedIds(groups), sortedIds(wanted), `${seconds} s`);
    const rules = Object.groupBy(groups, ({ rule }) => rule);
    assertEquals([rules["exec, connect, open"]!.length, rules.pair!.length], [2 * (50 + seconds), 50 + seconds]);
  }
});

Deno.test("CorrelationEngine correlates a backlog also where the first that comes of it is new", () => {
  const isUrgent = ({ event }: FleetEvent) => event.severity === "critical";
  const { stats, groups, wanted } = throughOutage(30, (record) => isUrgent(record) && record.unixNs < at(49));
  assertEquals([stats.late, stats.lateForPairs], [0, 0]);
  assertEquals(sortedIds(groups), sortedIds(wanted));
});

Deno.test("CorrelationEngine takes what a host brings after an outage that nobody waited for, except for pairs", () => {
  const { stats, groups, wanted } = throughOutage(600);
  const lineages = ({ rule }: { rule: string }) => rule !== "pair";
  assertEquals(stats.late, 0);
  assertGreater(stats.lateForPairs, 0);
  assertEquals(sortedIds(groups.filter(lineages)), sortedIds(wanted.filter(lineages)));
});

Deno.test("CorrelationEngine goes on in the middle of a backlog where its snapshot was taken", () => {
  const host = new FakeHost("client");
  const backlog = new FakeSpool().add(...busySeconds(host, 0, 40)).take();
  const first = openEngine(LINEAGES);
  const second = openEngine(LINEAGES);
  first.engine.advance(at(40));
  for (const record of backlog.slice(0, 90)) first.engine.add(record);
  second.engine.restore(first.engine.snapshot());
  for (const record of backlog.slice(80)) second.engine.add(record);
  second.engine.advance(at(3_600));
  const { late, duplicates, waiting } = second.engine.stats();
  assertEquals([late, duplicates, waiting], [0, 10, 0]);
  assertEquals(first.groups.length + second.groups.length, 40);
});

Deno.test("CorrelationEngine lets who has a long backlog make room, and nobody else", () => {
  const [behind, present] = [new FakeHost("behind"), new FakeHost("present")];
  const { engine } = openEngine(RULES, { waitingMax: 100 });
  engine.advance(at(1_000));
  for (let i = 0; i < 300; i++) {
    engine.add(behind.event("file_open", i, { severity: "critical" }));
    if (i % 10 === 0) engine.add(present.event("file_open", 1_000 + i / 300, { severity: "debug" }));
  }
  engine.add(behind.event("file_open", 10, { severity: "debug" }));
  engine.add(present.event("file_open", 1_000, { severity: "debug" }));
  const { late, waiting, forced } = engine.stats();
  assertEquals([late, waiting, forced], [1, 100, 231]);
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
    assertThrows(() => engine.restore(snapshot.replace('"version":2', '"version":7')), Error).message,
    "Cannot restore the correlation's state: it has version 7, not 2",
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
