/** The router as the main thread has it: a worker, its reports, a clean end. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "./assert.ts";
import { monotonicNs } from "../lib/ffi/libc.ts";
import { Router } from "../lib/router/router.ts";
import { EVENT_TYPES, type HealthReport, type RouterEvent, type RouterOptions } from "../lib/router/protocol.ts";
import { WorkerError } from "../lib/worker_handle.ts";
import { ASSETS_DIR } from "./support/bpf.ts";
import { ACTOR, Actor, EVERYTHING, RING_BYTES } from "./support/router.ts";

const OPTIONS: RouterOptions = {
  sources: [...EVENT_TYPES],
  rules: [],
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

Deno.test("Router reports what it watches, events, health, and ends with nothing left inside", async () => {
  await using actor = await Actor.build();
  using router = new Router(OPTIONS);
  const events: RouterEvent[] = [];
  const healths: HealthReport[] = [];
  let acted: Promise<unknown> = Promise.resolve();
  let latencyNs = -1n;
  for await (const report of router.reports()) {
    switch (report.kind) {
      case "ready":
        assertEquals(report.sources, [...EVENT_TYPES]);
        acted = actor.run("connects", "9", "10").then(() => actor.run("opens", actor.dir));
        break;
      case "events":
        if (report.ring === "critical" && latencyNs < 0n) latencyNs = monotonicNs() - report.events[0].tsNs;
        events.push(...report.events);
        break;
      case "health":
        healths.push(report.health);
        if (healths.length === 8) await acted.then(() => router.stop());
    }
  }
  assertGreater(healths.length, 8);
  const last = healths.at(-1)!;
  assertAccounted(last);
  assertEquals(BigInt(events.length), last.rings.reduce((sum, ring) => sum + ring.consumed, 0n));
  assertEquals([last.undecodable, last.repeatsSuppressed >= 0n], [0n, true]);
  const types = new Set(events.map((event) => event.event));
  for (const type of ["process_exec", "process_exit", "file_open", "network_connect"] as const) assert(types.has(type));
  // Far above what it takes; far below the 100 ms that a timer would take.
  assertLess(latencyNs, 50_000_000n);
});

Deno.test("Router makes a ring that drops larger while it runs", async () => {
  await using actor = await Actor.build();
  const ringBytes = { critical: 4096, normal: 4096, debug: 4096 };
  using router = new Router({
    ...OPTIONS,
    sources: ["network_connect", "file_open"],
    ringBytes,
    repeatSuppression: false,
  });
  const flooder = actor.start("flood", "/flood", "300000");
  let last: HealthReport | undefined;
  let notices = 0;
  for await (const report of router.reports()) {
    if (report.kind === "ready") {
      await flooder.go();
      flooder.done.finally(() => setTimeout(() => router.stop(), 300));
    } else if (report.kind === "health") {
      last = report.health;
      notices += last.notices?.length ?? 0;
    }
  }
  assertAccounted(last!);
  assertGreater(last!.rings[2].capacityBytes, 4096);
  assertGreater(notices, 0);
});

Deno.test("Router whose reader is slow holds debug events back in their ring, and no further", async () => {
  await using actor = await Actor.build();
  using router = new Router({ ...OPTIONS, sources: ["file_open"], ringBytesMax: 0, repeatSuppression: false });
  const flooder = actor.start("flood", "/flood", "300000");
  let last: HealthReport | undefined;
  let events = 0;
  for await (const report of router.reports()) {
    if (report.kind === "ready") {
      await flooder.go();
      flooder.done.finally(() => router.stop());
    } else if (report.kind === "events") {
      events += report.events.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } else {
      last = report.health;
    }
  }
  assertAccounted(last!);
  assertEquals(BigInt(events), last!.rings[2].consumed);
  const { submitted, dropped } = last!.rings[2];
  assertEquals(submitted + dropped + last!.sampledOut, 300_000n);
  assertLess(events, 100_000);
});

Deno.test("Router that cannot start says so", async () => {
  using router = new Router({ ...OPTIONS, assetsDir: "/nonexistent" });
  await assertRejects(async () => {
    for await (const _ of router.reports());
  }, WorkerError);
});
