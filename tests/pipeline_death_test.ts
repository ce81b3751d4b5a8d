/** Workers of a pipeline that die, hang or never begin: nothing is lost uncounted, and order is kept. */
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes } from "./assert.ts";
import { queueChannelMaker } from "../lib/pipeline/channel/open_channel.ts";
import type { Placement } from "../lib/pipeline/pipeline_messages.ts";
import { WorkerError } from "../lib/runtime/worker_handle.ts";
import type { Fault } from "./support/pipeline_faults.ts";
import { makeSmallChannel, outcomesOf, PipelineRun } from "./support/pipeline_run.ts";

const NONE = { filtered: 0, aggregated: 0, deadLettered: 0, dropped: 0, inFlight: 0 };
const EVENTS = 10_000;
/** The event that a worker dies at: far enough in for a batch to be full, far enough from the end for some to follow. */
const FATAL = 5_000;

const ONE: Placement = { kind: "one" };
const EACH: Placement = { kind: "each" };
const HASH: Placement = { kind: "fan_out", enrichWorkers: 2, distribution: "hash" };
const TURNS: Placement = { kind: "fan_out", enrichWorkers: 2, distribution: "round_robin" };

function fault(kind: Fault["kind"], node: string, deaths = 1): Fault {
  return { kind, node, deaths, number: FATAL };
}

const MORTALS: { placement: Placement; node: string }[] = [
  { placement: ONE, node: "pipeline" },
  { placement: EACH, node: "filter" },
  { placement: EACH, node: "enrich" },
  { placement: EACH, node: "aggregate" },
  { placement: TURNS, node: "aggregate" },
];

for (const { placement, node } of MORTALS) {
  Deno.test(`a batch whose worker dies is tried once more: ${node} with placement ${placement.kind}`, async () => {
    await using run = new PipelineRun({ placement }, fault("die", node));
    await run.send(EVENTS);
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: EVENTS });
    assertGreater(stats.retried, 0);
    assertEquals(run.notices, [
      `the ${node} worker failed and is started again: Cannot go on: die`,
    ]);
    const stage = node === "pipeline" ? "filter" : node;
    assertEquals(stats.stages.find(({ name }) => name === stage)?.restarts, 1);
  });

  Deno.test(`a batch that kills two workers becomes dead letters: ${node} with placement ${placement.kind}`, async () => {
    await using run = new PipelineRun({ placement }, fault("die", node, 2));
    await run.send(EVENTS);
    const stats = await run.stop();
    assertGreater(stats.deadLettered, 0);
    assertEquals(outcomesOf(stats), {
      ...NONE,
      aggregated: EVENTS - stats.deadLettered,
      deadLettered: stats.deadLettered,
    });
    assertEquals(stats.retried, 2 * stats.deadLettered);
    assertEquals(run.letters.length, stats.deadLettered);
    const stage = node === "pipeline" ? "filter" : node;
    for (const letter of run.letters) {
      assertEquals([letter.stage, letter.error, letter.attempts], [
        stage,
        "2 workers died over the batch that it was in",
        3,
      ]);
    }
    assertEquals(run.notices.length, 2);
  });
}

Deno.test("order within a process is kept across the death of a worker that enriches", async () => {
  await using run = new PipelineRun({ placement: HASH, makeChannel: makeSmallChannel }, fault("die", "enrich "));
  await run.send(EVENTS);
  const stats = await run.stop();
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: EVENTS });
  assertEquals(run.letters, []);
  assertEquals(run.notices.length, 1);
});

for (const kind of ["die", "hang"] as const) {
  Deno.test(`what is delivered is in order within a process, each event once, over a worker's end: ${kind}`, async () => {
    const options = { placement: HASH, hangMs: 400, deliver: true, makeChannel: makeSmallChannel };
    await using run = new PipelineRun(options, fault(kind, "enrich "));
    await run.send(EVENTS);
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: EVENTS });
    assertEquals(run.notices.length, 1);
    const byPid = Map.groupBy(run.events, ({ pid }) => pid);
    assertGreater(byPid.size, 1);
    for (const [pid, events] of byPid) {
      const numbers = events.map(({ firstNs }) => Number(firstNs));
      assertEquals(numbers, [...new Set(numbers)].sort((a, b) => a - b), `of process ${pid}`);
    }
    assertEquals(run.events.length, EVENTS);
  });
}

for (const kind of ["microtask", "timer"] as const) {
  Deno.test(`an error outside of all stages costs a worker and no event: ${kind}`, async () => {
    await using run = new PipelineRun({ placement: EACH }, fault(kind, "enrich"));
    await run.send(EVENTS);
    await run.until(() => run.notices.length > 0);
    await run.send(EVENTS);
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: 2 * EVENTS });
    assertEquals(run.notices.length, 1);
    assertStringIncludes(run.notices[0], `the enrich worker failed and is started again: `);
    assertStringIncludes(run.notices[0], `Cannot go on: ${kind}`);
  });
}

for (const { placement, node } of [MORTALS[0], MORTALS[2]]) {
  Deno.test(`a worker that hangs is replaced, and its batch counts once, whoever ends it: ${node}`, async () => {
    await using run = new PipelineRun({ placement, hangMs: 400 }, fault("hang", node));
    await run.send(EVENTS);
    const stats = await run.stop();
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: EVENTS });
    assertEquals(run.notices.length, 1);
    assertStringIncludes(run.notices[0], `the ${node} worker failed and is started again: `);
    assertStringIncludes(run.notices[0], "it has been at one batch for ");
  });
}

Deno.test("a slow batch is not taken for one that hangs", async () => {
  await using run = new PipelineRun({ hangMs: 500, delayMs: 700 });
  await run.send(100);
  const stats = await run.stop();
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: 100 });
  assertEquals(run.notices, []);
});

Deno.test("who waits for a slow successor is not taken for one that hangs", async () => {
  const options = { placement: EACH, hangMs: 400, delayMs: 150, makeChannel: makeSmallChannel };
  await using run = new PipelineRun(options);
  await run.send(600);
  const stats = await run.stop();
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: 600 });
  assertEquals(run.notices, []);
});

for (const placement of [HASH, TURNS]) {
  const { distribution } = placement as Extract<Placement, { kind: "fan_out" }>;
  Deno.test(`others do the work of a worker that never begins: ${distribution}`, async () => {
    const options = { placement, makeChannel: makeSmallChannel };
    await using run = new PipelineRun(options, { kind: "start", node: "enrich 1", number: 0, deaths: 0 });
    await run.send(EVENTS);
    await run.send(20, { ring: "critical" });
    const stats = await run.stop();
    assertEquals(run.letters.map(({ error }) => error), []);
    assertEquals(outcomesOf(stats), { ...NONE, aggregated: EVENTS + 20 });
    assertEquals(run.notices.at(-1), "the enrich 1 worker failed 6 times, others do its work");
  });
}

Deno.test("others go on, in order, where a worker dies all the time over what it is given", async () => {
  // Each batch of the first one kills two workers and is given up; after six deaths the second one takes over.
  const options = { placement: HASH, makeChannel: makeSmallChannel };
  await using run = new PipelineRun(options, { kind: "die_always", node: "enrich 1", number: 0, deaths: 0 });
  await run.send(EVENTS);
  const stats = await run.stop();
  assertGreater(stats.deadLettered, 0);
  assert(run.letters.every(({ error }) => error === "2 workers died over the batch that it was in"), "no other reason");
  assertEquals(outcomesOf(stats), {
    ...NONE,
    aggregated: EVENTS - stats.deadLettered,
    deadLettered: stats.deadLettered,
  });
  assertEquals(run.notices.at(-1), "the enrich 1 worker failed 6 times, others do its work");
});

Deno.test("a pipeline whose only worker never begins fails, and says why", async () => {
  await using run = new PipelineRun({}, { kind: "start", node: "pipeline", number: 0, deaths: 0 });
  const error = await assertRejects(() => run.pipeline.failure, WorkerError);
  assertEquals(error.message, "Cannot begin");
  assertEquals(run.notices.length, 5);
});

Deno.test("a pipeline none of whose fanned-out workers begins fails", async () => {
  const options: { placement: Placement } = { placement: { ...HASH, enrichWorkers: 2 } as Placement };
  await using run = new PipelineRun(options, { kind: "start", node: "enrich", number: 0, deaths: 0 });
  await run.send(100);
  const error = await assertRejects(() => run.pipeline.failure, WorkerError);
  assertEquals(error.message, "Cannot begin");
});

Deno.test("stopping goes on where workers die", async () => {
  await using run = new PipelineRun({}, fault("die", "pipeline", 1_000));
  await run.send(EVENTS);
  const stats = await run.stop();
  assertEquals(stats.aggregated + stats.deadLettered, EVENTS);
});

Deno.test("over BPF queues, what dies with a worker is counted as lost", async () => {
  using channels = new DisposableStack();
  const options = { placement: EACH, makeChannel: queueChannelMaker(channels) };
  await using run = new PipelineRun(options, fault("die", "enrich"));
  await run.send(7_000);
  const stats = await run.stop();
  assertGreater(stats.dropped, 0);
  assertEquals(outcomesOf(stats), { ...NONE, aggregated: 7_000 - stats.dropped, dropped: stats.dropped });
  assertEquals(stats.droppedByChannel, [{ channel: "1_bulk", policy: "lost", count: stats.dropped }]);
  assertEquals(stats.retried, 0);
});
