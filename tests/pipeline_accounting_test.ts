/** in = filtered + aggregated + dead-lettered + dropped + in flight: whatever the placement, the channels, the policy. */
import { assert, assertEquals, assertGreater, assertLess } from "./assert.ts";
import type { OverflowPolicy } from "../lib/pipeline/channel/channel.ts";
import { makeSharedChannel, queueChannelMaker } from "../lib/pipeline/channel/open_channel.ts";
import type { Placement } from "../lib/pipeline/pipeline_messages.ts";
import { makeSmallChannel, outcomesOf, PipelineRun } from "./support/pipeline_run.ts";

const NONE = { filtered: 0, aggregated: 0, deadLettered: 0, dropped: 0, inFlight: 0 };

const PLACEMENTS: Placement[] = [
  { kind: "one" },
  { kind: "each" },
  { kind: "fan_out", enrichWorkers: 2, distribution: "hash" },
  { kind: "fan_out", enrichWorkers: 3, distribution: "round_robin" },
];

function nameOf(placement: Placement): string {
  return placement.kind === "fan_out" ? `${placement.kind} ${placement.distribution}` : placement.kind;
}

for (const placement of PLACEMENTS) {
  Deno.test(`all events are filtered or aggregated, in order, with placement ${nameOf(placement)}`, async () => {
    const dropRules = [{ name: "odd", filter: "pid >= 1000030" }];
    await using run = new PipelineRun({ placement, dropRules });
    await run.send(30_000);
    await run.send(100, { ring: "critical" });
    const stats = await run.stop();
    assertEquals(run.letters.map(({ error }) => error), []);
    // Numbers go round 61 pids, 30 of which stay below.
    const kept = Array.from({ length: 30_100 }, (_, i) => i % 61).filter((pid) => pid < 30).length;
    assertEquals(outcomesOf(stats), { ...NONE, filtered: 30_100 - kept, aggregated: kept });
    assertEquals(stats.filteredByRule, [{ rule: "odd", count: 30_100 - kept }]);
    assertEquals(stats.categories, { unknown: 0, syscall: 0, network: 0, filesystem: kept, process: 0 });
    assertEquals(stats.eventCounts.map(({ records }) => records).reduce((sum, records) => sum + records), kept);
    assertEquals(stats.latency.count, kept);
    for (const { name, in: came, out } of stats.stages) {
      assertEquals([name, came, out], [name, name === "filter" ? 30_100 : kept, kept]);
    }
    assertEquals(run.notices, []);
  });

  Deno.test(`the equation holds over BPF queues with placement ${nameOf(placement)}`, async () => {
    using channels = new DisposableStack();
    await using run = new PipelineRun({ placement, makeChannel: queueChannelMaker(channels) });
    await run.send(3_000);
    await run.send(50, { ring: "critical" });
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: 3_050 });
  });
}

for (const placement of [PLACEMENTS[0], PLACEMENTS[2]]) {
  for (const policy of ["block", "drop_newest", "drop_oldest"] as OverflowPolicy[]) {
    Deno.test(`a slow stage is met by ${policy} with placement ${nameOf(placement)}`, async () => {
      await using run = new PipelineRun({ placement, policy, delayMs: 4, makeChannel: makeSmallChannel });
      await run.send(4_000);
      const stats = await run.stop();
      assertEquals(stats.inFlight, 0);
      assertEquals(run.letters.map(({ error }) => error), []);
      if (policy === "block") {
        assertEquals(outcomesOf(stats), { ...NONE, aggregated: 4_000 });
        return;
      }
      assertGreater(stats.dropped, 0);
      assertGreater(stats.aggregated, 0);
      assertEquals(stats.aggregated + stats.dropped, 4_000);
      assert(stats.droppedByChannel.every((drops) => drops.policy === policy && /^\d+_bulk$/.test(drops.channel)));
    });
  }
}

Deno.test("a full BPF queue drops and counts", async () => {
  using channels = new DisposableStack();
  await using run = new PipelineRun({ policy: "drop_newest", delayMs: 50, makeChannel: queueChannelMaker(channels) });
  await run.send(12_000);
  const stats = await run.stop();
  assertEquals(stats.droppedByChannel.map(({ channel, policy }) => [channel, policy]), [["0_bulk", "drop_newest"]]);
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: 12_000 - stats.dropped, dropped: stats.dropped });
});

for (const placement of PLACEMENTS) {
  Deno.test(`each event that a stage throws on becomes a dead letter with placement ${nameOf(placement)}`, async () => {
    const node = placement.kind === "one" ? "pipeline" : placement.kind === "each" ? "enrich" : "filter";
    await using run = new PipelineRun({ placement }, { kind: "throw", node, number: 100, deaths: 0 });
    await run.send(10_000);
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: 9_900, deadLettered: 100 });
    assertEquals(run.letters.length, 100);
    assertEquals(
      run.letters.map(({ stage, error, attempts }) => ({ stage, error, attempts })),
      Array.from({ length: 100 }, (_, i) => ({
        stage: "faulty",
        error: `Cannot bear number ${i * 100}`,
        attempts: 1,
      })),
    );
    assertEquals(run.notices, []);
  });
}

Deno.test("records that contradict themselves become dead letters of the filter stage", async () => {
  await using run = new PipelineRun({ filter: "pid > 0" });
  await run.send(10);
  run.sendRaw(new Uint8Array(200).fill(0xff));
  await run.send(10);
  const stats = await run.stop();
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: 20, deadLettered: 1 });
  const [{ stage, error, record }] = run.letters;
  assertEquals([stage, record], ["filter", new Uint8Array(200).fill(0xff)]);
  assertEquals(error, "Cannot read an event: header says 4294967295 bytes of payload, there are 104");
});

for (const placement of [PLACEMENTS[0], PLACEMENTS[1]]) {
  Deno.test(`a stop whose deadline passes says what is left with placement ${nameOf(placement)}`, async () => {
    await using run = new PipelineRun({ placement, delayMs: 100, makeChannel: makeSharedChannel });
    await run.send(5_000);
    await run.until(({ aggregated }) => aggregated > 0);
    const stats = await run.stop(150);
    assertGreater(stats.inFlight, 0);
    assertGreater(stats.aggregated, 0);
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: stats.aggregated, inFlight: 5_000 - stats.aggregated });
  });
}

Deno.test("a stop under load finishes what is inside", async () => {
  await using run = new PipelineRun({ placement: { kind: "each" }, deliver: true });
  let stopping = false;
  const sending = run.send(1_000_000, { until: () => stopping });
  await run.until(({ aggregated }) => aggregated > 20_000);
  stopping = true;
  await sending;
  const stats = await run.stop();
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: run.sent });
  assertEquals(run.events.length, run.sent);
  assertEquals(run.events.findIndex(({ firstNs }, i) => Number(firstNs) !== i), -1, "all of them, in order");
});

Deno.test("an urgent event overtakes a bulk lane that is full", async () => {
  const delayMs = 100;
  await using run = new PipelineRun({ placement: { kind: "each" }, deliver: true, delayMs });
  const bulk = 3_000;
  await run.send(bulk);
  await run.until(({ aggregated }) => aggregated > 0);
  await run.send(1, { ring: "critical" });
  const stats = await run.until(() => run.events.some(({ severity }) => severity === "critical"));
  assertGreater(stats.inFlight, 0);
  const stop = await run.stop();
  assertEquals(outcomesOf(stop), {
    ...NONE,
    aggregated: bulk + 1 - stop.deadLettered,
    deadLettered: stop.deadLettered,
  });
  const place = run.events.findIndex(({ severity }) => severity === "critical");
  assertLess(place, bulk * 0.7);
});
