/** The router as commands have it: a worker that feeds the pipeline, its reports, a clean end. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "./assert.ts";
import { BUILT_IN_RULES_ONLY, type EventRunHandlers, PIPELINE_DEFAULTS, runEvents } from "../lib/cli/event_run.ts";
import type { PipelineEvent } from "../lib/pipeline/pipeline_messages.ts";
import { type PipelineStats, unaccounted } from "../lib/pipeline/pipeline_stats.ts";
import { EVENT_TYPES } from "../lib/events/event.ts";
import type { HealthReport, RouterOptions } from "../lib/router/router_messages.ts";
import { WorkerError } from "../lib/runtime/worker_handle.ts";
import { ASSETS_DIR } from "./support/bpf.ts";
import { eventually } from "./support/fleet_cli.ts";
import { ACTOR, Actor, EVERYTHING, RING_BYTES } from "./support/router.ts";

const OPTIONS: Omit<RouterOptions, "output" | "rules" | "filters" | "watch" | "minimumSeverity" | "debugOneIn"> = {
  sources: [...EVENT_TYPES],
  ringBytes: RING_BYTES,
  ringBytesMax: 4 << 20,
  rateLimit: 0,
  repeatSuppression: true,
  isolate: [],
  only: { ...EVERYTHING, comm: ACTOR },
  healthMs: 100,
  assetsDir: ASSETS_DIR,
};

function assertAccounted({ rings }: HealthReport): void {
  for (const { ring, submitted, consumed, fill } of rings) assertEquals([consumed, fill], [submitted, 0], ring);
}

function consumed({ rings }: HealthReport): number {
  return Number(rings.reduce((sum, ring) => sum + ring.consumed, 0n));
}

/** What a run came to. */
interface Outcome {
  health: HealthReport;
  stats: PipelineStats;
  events: PipelineEvent[];
  notices: number;
}

/** Runs router and pipeline until `stop`. @param act what happens once programs are attached */
async function run(
  options: Partial<typeof OPTIONS>,
  act: (stop: () => void) => void,
  handlers: Pick<EventRunHandlers, "events"> = {},
): Promise<Outcome> {
  const outcome = { events: [] as PipelineEvent[], notices: 0 } as Outcome;
  const stop = new AbortController();
  let stats: () => PipelineStats = () => {
    throw new Error("Cannot ask: no pipeline");
  };
  await runEvents(
    {
      router: { ...OPTIONS, ...options },
      rules: BUILT_IN_RULES_ONLY,
      pipeline: { ...PIPELINE_DEFAULTS, assetsDir: ASSETS_DIR, deliver: true },
    },
    {
      started: (pipeline) => stats = () => pipeline.stats(),
      ready(report) {
        assertEquals(report.sources, options.sources ?? [...EVENT_TYPES]);
        act(() => stop.abort());
      },
      async events(events) {
        outcome.events.push(...events);
        await handlers.events?.(events);
      },
      health(health) {
        outcome.health = health;
        outcome.notices += health.notices?.length ?? 0;
      },
      notice: (text) => {
        throw new Error(text);
      },
    },
    { signal: stop.signal, durationMs: null },
  );
  outcome.stats = stats();
  return outcome;
}

Deno.test("what the router reads comes through the pipeline, and nothing is left inside at the end", async () => {
  await using actor = await Actor.build();
  let isStopping = false;
  let isUrgent = false;
  const { events, health, stats } = await run({}, (stop) => {
    const end = () => {
      isStopping = true;
      stop();
    };
    actor.run("connects", "9", "10").then(() => actor.run("opens", actor.dir))
      .then(() => eventually(() => isUrgent, () => "critical event")).finally(end);
  }, {
    events(events) {
      isUrgent ||= !isStopping && events.some(({ severity }) => severity === "critical");
    },
  });
  assertAccounted(health);
  assertEquals(events.length, consumed(health));
  assertEquals([stats.in, stats.aggregated, stats.inFlight, unaccounted(stats)], [events.length, events.length, 0, 0]);
  const types = new Set(events.map((event) => event.event));
  for (const type of ["process_exec", "process_exit", "file_open", "network_connect"] as const) assert(types.has(type));
  // No timer looks at the critical ring: who waits in it without waking the reader comes at the end.
  assert(isUrgent);
  const counted = stats.eventCounts.reduce((sum, { records }) => sum + records, 0);
  assertEquals(counted, events.length);
});

Deno.test("events carry what is known of their process", async () => {
  await using actor = await Actor.build();
  const { events } = await run({ sources: ["process_exec", "file_open"] }, (stop) => {
    actor.run("opens", actor.dir).then(() => setTimeout(stop, 1_200));
  });
  const opens = events.filter((event) => event.event === "file_open");
  assertGreater(opens.length, 0);
  for (const { process, pid, category } of opens) {
    assertEquals([process?.pid, process?.name, process?.exe, category], [pid, ACTOR, actor.path, "filesystem"]);
    assertEquals([process?.ppid, process?.user], [Deno.pid, "root"]);
  }
});

Deno.test("the router makes a ring that drops larger while it runs", async () => {
  await using actor = await Actor.build();
  const ringBytes = { critical: 4096, normal: 4096, debug: 4096 };
  const flooder = actor.start("flood", "/flood", "300000");
  const { health, notices, stats } = await run(
    { sources: ["file_open", "network_connect"], ringBytes, repeatSuppression: false },
    (stop) => {
      flooder.done.finally(() => setTimeout(stop, 300));
      void flooder.go();
    },
  );
  assertAccounted(health);
  assertEquals(stats.aggregated, consumed(health));
  assertGreater(health.rings[2].capacityBytes, 4096);
  assertGreater(notices, 0);
});

Deno.test("a slow reader holds events back in the pipeline, then in their ring, and no further", async () => {
  await using actor = await Actor.build();
  const flooder = actor.start("flood", "/flood", "300000");
  const { health, events, stats } = await run(
    { sources: ["file_open"], ringBytesMax: 0, repeatSuppression: false },
    (stop) => {
      flooder.done.finally(stop);
      void flooder.go();
    },
    { events: () => new Promise((resolve) => setTimeout(resolve, 100)) },
  );
  assertAccounted(health);
  assertEquals(events.length, consumed(health));
  assertEquals([stats.aggregated, unaccounted(stats)], [events.length, 0]);
  const { submitted, dropped } = health.rings[2];
  assertEquals(submitted + dropped + health.sampledOut, 300_000n);
  assertLess(events.length, 100_000);
});

Deno.test("a router that cannot start says so", async () => {
  await assertRejects(() => run({ assetsDir: "/nonexistent" }, () => {}), WorkerError);
});
