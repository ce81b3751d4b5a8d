import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { Random } from "../../tests/support/random.ts";
import { batchOf, eventRecord, processInfo } from "../../tests/support/records.ts";
import { EVENT_TYPES, type EventType, SEVERITIES } from "../events/event.ts";
import { AggregateStage } from "./aggregate_stage.ts";
import { AggregateTotals } from "./aggregate_totals.ts";
import { categoriseEvent } from "../events/categorise.ts";

const NOW_NS = 6_000_000_000;
const LIMITS = { processesMax: 100, containersMax: 100 };
const NOTHING = { records: 0, estimated: 0 };

function newStage(limits = LIMITS): AggregateStage {
  return new AggregateStage({ nowNs: () => NOW_NS, ...limits });
}

/** The totals of one batch. */
function totalsOf(batch: ReturnType<typeof batchOf>, stage = newStage()): AggregateTotals {
  stage.run(batch);
  const totals = new AggregateTotals(LIMITS);
  totals.add(structuredClone(stage.take()));
  return totals;
}

Deno.test("AggregateStage counts records by type and severity, and what they stand for", () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const stage = newStage();
  const totals = new AggregateTotals(LIMITS);
  const expected = EVENT_TYPES.flatMap((event) =>
    SEVERITIES.map((severity) => ({ event, severity, records: 0, estimated: 0 }))
  );
  for (let round = 0; round < 20; round++) {
    const records = Array.from({ length: random.below(200) }, () => {
      const count = random.pick(expected);
      const [weight, repeats] = [1 + random.below(64), 1 + random.below(1_000_000)];
      count.records++;
      count.estimated += weight * repeats;
      return eventRecord(count.event, { severity: count.severity, weight, repeats, pid: random.below(300) });
    });
    stage.run(batchOf(records));
    if (random.below(3) === 0) totals.add(stage.take());
  }
  totals.add(stage.take());
  totals.add(stage.take());
  assertEquals(totals.counts(), expected.filter(({ records }) => records > 0), `TEST_SEED=${seed}`);
  const sum = (key: "records" | "estimated") => expected.reduce((all, count) => all + count[key], 0);
  assertEquals([totals.records, totals.latency.count], [sum("records"), sum("records")], `TEST_SEED=${seed}`);
  const { rows, other } = totals.topProcesses(5);
  for (const key of ["records", "estimated"] as const) {
    assertEquals(rows.reduce((all, row) => all + row[key], other[key]), sum(key), `TEST_SEED=${seed}`);
  }
});

Deno.test("AggregateStage counts categories, and leaves out what was dropped before", () => {
  const events: EventType[] = ["file_open", "tcp_state", "file_open", "process_exit", "file_open"];
  const batch = batchOf(events.map((event) => eventRecord(event)));
  for (let i = 0; i < batch.count; i++) categoriseEvent(batch, i);
  batch.drop(4);
  const totals = totalsOf(batch);
  assertEquals(totals.categories(), { unknown: 0, syscall: 0, network: 1, filesystem: 2, process: 1 });
  assertEquals(totals.records, 4);
});

Deno.test("AggregateStage tells programs of one pid apart, and counts containers", () => {
  const shell = processInfo({ pid: 7, name: "sh", exe: "/bin/sh", containerId: "c1", podUid: "p1" });
  const ls = processInfo({ pid: 7, name: "ls", exe: "/bin/ls", containerId: "c1", podUid: "p1" });
  const other = processInfo({ pid: 8, name: "sh", exe: "/bin/sh", containerId: "c2" });
  const outside = processInfo({ pid: 9, name: "sh", exe: "/bin/sh" });
  // The same process may come as another object, from another worker's cache.
  const order = [shell, ls, { ...shell }, other, outside, ls, shell];
  const batch = batchOf(
    order.map(({ pid }, i) => eventRecord("file_open", { pid, weight: i === 3 ? 10 : 1 })),
    order,
  );
  const totals = totalsOf(batch);
  assertEquals(totals.topProcesses(9), {
    rows: [
      { label: { pid: 8, name: "sh", exe: "/bin/sh" }, records: 1, estimated: 10 },
      { label: { pid: 7, name: "sh", exe: "/bin/sh" }, records: 3, estimated: 3 },
      { label: { pid: 7, name: "ls", exe: "/bin/ls" }, records: 2, estimated: 2 },
      { label: { pid: 9, name: "sh", exe: "/bin/sh" }, records: 1, estimated: 1 },
    ],
    other: NOTHING,
  });
  assertEquals(totals.topContainers(9), {
    rows: [
      { label: { containerId: "c2", podUid: "" }, records: 1, estimated: 10 },
      { label: { containerId: "c1", podUid: "p1" }, records: 5, estimated: 5 },
    ],
    other: NOTHING,
  });
});

Deno.test("AggregateStage takes the name of a process that is not known from its first record", () => {
  const batch = batchOf([
    eventRecord("file_open", { pid: 5, comm: "123456789012345" }),
    eventRecord("file_open", { pid: 5, comm: "thread" }),
    eventRecord("file_open", { pid: 6, comm: "\u00e9" }),
  ]);
  assertEquals(totalsOf(batch).topProcesses(9).rows, [
    { label: { pid: 5, name: "123456789012345", exe: "" }, records: 2, estimated: 2 },
    { label: { pid: 6, name: "\u00e9", exe: "" }, records: 1, estimated: 1 },
  ]);
});

Deno.test("AggregateStage loses no count when processes and containers fold", () => {
  const stage = newStage({ processesMax: 3, containersMax: 2 });
  const infos = Array.from({ length: 500 }, (_, i) => processInfo({ pid: i % 11, containerId: `c${i % 7}` }));
  const totals = totalsOf(batchOf(infos.map(({ pid }) => eventRecord("file_open", { pid })), infos), stage);
  for (const { rows, other } of [totals.topProcesses(50), totals.topContainers(50)]) {
    assertEquals(rows.reduce((sum, { records }) => sum + records, other.records), 500);
    assertEquals(other.records > 0, true);
  }
});

Deno.test("AggregateStage measures from the kernel's timestamp, and a clock that is behind as 0", () => {
  const batch = batchOf([NOW_NS - 1_000_000, NOW_NS + 5].map((tsNs) => eventRecord("file_open", { tsNs })));
  const { latency } = totalsOf(batch);
  assertEquals([latency.count, latency.maxNs, latency.meanNs], [2, 1_000_000, 500_000]);
});

Deno.test("AggregateStage throws on an unknown type or severity, counts nothing of it, and goes on behind it", () => {
  const stage = newStage();
  const batch = batchOf([
    eventRecord("file_open"),
    eventRecord("file_open").with(8, EVENT_TYPES.length),
    eventRecord("file_open").with(10, 5),
    eventRecord("file_open"),
  ]);
  for (const at of [1, 2]) {
    assertThrows(() => stage.run(batch), RangeError, "Cannot count an event");
    assertEquals(batch.next, at);
    batch.drop(batch.next++);
  }
  stage.run(batch);
  const totals = new AggregateTotals(LIMITS);
  totals.add(stage.take());
  assertEquals([totals.records, totals.latency.count, totals.topProcesses(1).rows[0].records], [2, 2, 2]);
});
