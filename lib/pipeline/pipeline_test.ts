/**
 * What the main thread alone decides. What becomes of events, and of workers that die, is in tests/pipeline_*_test.ts.
 */
import { assert, assertEquals, assertGreaterOrEqual, assertRejects, assertThrows } from "../../tests/assert.ts";
import { makeSmallChannel, outcomesOf, PipelineRun, RUN_DEFAULTS } from "../../tests/support/pipeline_run.ts";
import type { Script, ToldPlan } from "../../tests/support/scripted_pipeline_worker.ts";
import { WorkerError } from "../runtime/worker_handle.ts";
import { FIRST_NODE_WORKER } from "./channel/channel.ts";
import { makeSharedChannel } from "./channel/open_channel.ts";
import { Pipeline, type PipelineOptions } from "./pipeline.ts";
import { shapeOf } from "./pipeline_shape.ts";
import type { Placement } from "./pipeline_messages.ts";
import { unaccounted } from "./pipeline_stats.ts";

const WORKER = new URL("../../tests/support/scripted_pipeline_worker.ts", import.meta.url);
const NONE = { filtered: 0, aggregated: 0, deadLettered: 0, dropped: 0, inFlight: 0 };

const EACH: Placement = { kind: "each" };
const PLACEMENTS: Placement[] = [
  { kind: "one" },
  EACH,
  { kind: "fan_out", enrichWorkers: 3, distribution: "hash" },
];

function scripted(placement: Placement, script: Script, options: Partial<PipelineOptions> = {}): PipelineRun {
  return new PipelineRun({ ...options, placement, worker: WORKER, filter: JSON.stringify(script) });
}

const NOTHING_SPECIAL: Script = { node: "" };

for (const placement of PLACEMENTS) {
  Deno.test(`Pipeline starts a worker for each node, and stops them in their order: ${placement.kind}`, async () => {
    await using run = scripted(placement, NOTHING_SPECIAL);
    const { nodes } = shapeOf(placement);
    await run.until(() => run.notices.length === nodes.length);
    const told = run.notices.splice(0).map((notice): ToldPlan => JSON.parse(notice));
    const lanes = (hop: number) => [`${hop}_urgent`, `${hop}_bulk`];
    assertEquals(
      told.sort((a, b) => a.worker - b.worker),
      nodes.map(({ name, stages, input, outputs }, i) => ({
        name,
        worker: FIRST_NODE_WORKER + i,
        stages,
        input: lanes(input),
        outputs: outputs.map(lanes),
      })),
    );
    assertEquals(outcomesOf(await run.stop()), NONE);
    assertEquals(run.notices, nodes.map(({ name }) => `${name} stopped`));
  });
}

Deno.test("Pipeline makes two channels a hop, the urgent ones to block, and events enter the first", async () => {
  const made: string[] = [];
  const options: Partial<PipelineOptions> = {
    policy: "drop_oldest",
    makeChannel: (name, lane, policy) => {
      made.push(`${name} ${lane} ${policy}`);
      return makeSharedChannel(name, lane, policy);
    },
  };
  await using run = scripted(EACH, NOTHING_SPECIAL, options);
  assertEquals(
    made,
    [0, 1, 2].flatMap((hop) => [`${hop}_urgent urgent block`, `${hop}_bulk bulk drop_oldest`]),
  );
  assertEquals([run.pipeline.input.urgent.name, run.pipeline.input.bulk.name], ["0_urgent", "0_bulk"]);
  await run.stop();
});

/** Counts workers instead of starting them; the last one cannot be started. */
class UnstartedWorker {
  static startsMax = 0;
  static running = 0;

  constructor() {
    if (UnstartedWorker.running >= UnstartedWorker.startsMax) throw new Error("Cannot start a thread");
    UnstartedWorker.running++;
  }

  postMessage(): void {}

  terminate(): void {
    UnstartedWorker.running--;
  }
}

Deno.test("Pipeline leaves no worker behind when one of them cannot be started", () => {
  const { Worker } = globalThis;
  globalThis.Worker = UnstartedWorker as unknown as typeof Worker;
  try {
    const handlers = { events: () => {}, notice: () => {} };
    for (UnstartedWorker.startsMax = 0; UnstartedWorker.startsMax < 3; UnstartedWorker.startsMax++) {
      assertThrows(() => new Pipeline({ ...RUN_DEFAULTS, placement: EACH }, handlers), Error, "Cannot start a thread");
      assertEquals(UnstartedWorker.running, 0);
    }
  } finally {
    globalThis.Worker = Worker;
  }
});

Deno.test("Pipeline.stop() waits for a node that does not answer until its deadline, and says what is left", async () => {
  await using run = scripted(EACH, { node: "enrich", deaf: true });
  await run.send(7);
  await run.send(2, { ring: "critical" });
  const stats = await run.stop(50);
  assertEquals(outcomesOf(stats), { ...NONE, inFlight: 9 });
  // Those behind it might still have got something from it.
  assertEquals(run.notices.filter((notice) => /^(enrich|aggregate) stopped$/.test(notice)), []);
  assertEquals(run.pipeline.stats().inFlight, 9);
});

Deno.test("Pipeline.stats() can be asked for while it stops and afterwards, and nothing in it goes back", async () => {
  await using run = new PipelineRun({ placement: EACH, delayMs: 20, makeChannel: makeSmallChannel });
  await run.send(300);
  let stopped = false;
  const stopping = run.stop().finally(() => stopped = true);
  let [aggregated, asked] = [0, 0];
  while (!stopped) {
    const stats = run.pipeline.stats();
    assertEquals(stats.in, 300);
    assertGreaterOrEqual(stats.aggregated, aggregated);
    aggregated = stats.aggregated;
    asked++;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert(asked > 0);
  await stopping;
  const stats = run.pipeline.stats();
  assertEquals([outcomesOf(stats), unaccounted(stats)], [{ ...NONE, aggregated: 300 }, 0]);
});

Deno.test("Pipeline hands events on one report after another, and asks for more when each has been taken", async () => {
  const script: Script = { node: "pipeline", reports: 3 };
  const options: PipelineOptions = { ...RUN_DEFAULTS, worker: WORKER, filter: JSON.stringify(script) };
  const said: string[] = [];
  const all = Promise.withResolvers<void>();
  const say = (word: string) => {
    if (said.push(word) === 9) all.resolve();
  };
  await using pipeline = new Pipeline(options, {
    events: async () => {
      say("handed");
      await new Promise((resolve) => setTimeout(resolve, 5));
      say("taken");
    },
    notice: (text) => {
      if (text === "pipeline taken") say("told");
    },
  });
  await Promise.race([all.promise, pipeline.failure]);
  const inTurn = said.filter((word) => word !== "told");
  assertEquals(inTurn, ["handed", "taken", "handed", "taken", "handed", "taken"]);
  assert(said.indexOf("told") > said.indexOf("taken"));
  assertEquals(await pipeline.stop(60_000), 0);
});

Deno.test("Pipeline keeps a dead letter with its time, hands it on, and asks for more", async () => {
  const record = Uint8Array.of(1, 2, 3);
  await using run = scripted(EACH, { node: "enrich", letter: [...record] });
  await run.until(() => run.notices.includes("enrich taken"));
  const [{ unixNs, ...letter }] = run.letters;
  assertEquals(letter, { stage: "enrich", error: "Cannot bear it", attempts: 1, record });
  assertEquals(run.pipeline.deadLetters.letters(), [{ ...letter, unixNs }]);
  assert(unixNs > 1_600_000_000n * 1_000_000_000n && unixNs % 1_000_000n === 0n, `${unixNs} are milliseconds`);
});

for (const exitCode of [3, 4] as const) {
  Deno.test(`Pipeline does not start a worker again over what will not change: exit code ${exitCode}`, async () => {
    await using run = scripted(EACH, { node: "enrich", failWith: exitCode });
    const error = await assertRejects(() => run.pipeline.failure, WorkerError, "Cannot begin");
    assertEquals(error.failure.exitCode, exitCode);
    assertEquals(run.notices.filter((notice) => notice.includes("started again")), []);
  });
}

Deno.test("Pipeline gives a worker up that fails more than five times, and says each time that it starts it again", async () => {
  await using run = scripted({ kind: "one" }, { node: "pipeline", failWith: 1 });
  await assertRejects(() => run.pipeline.failure, WorkerError, "Cannot begin");
  assertEquals(run.notices, Array(5).fill("the pipeline worker failed and is started again: Cannot begin"));
  assertEquals(run.pipeline.stats().retried, 0);
  await assertRejects(() => run.pipeline.stop(60_000), WorkerError, "Cannot begin");
});

Deno.test("Pipeline can be disposed of twice, and after a stop", async () => {
  const run = scripted(EACH, NOTHING_SPECIAL);
  await run.stop();
  await run[Symbol.asyncDispose]();
  await run[Symbol.asyncDispose]();
});
