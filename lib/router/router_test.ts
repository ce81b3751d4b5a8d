import { assertEquals, assertRejects } from "../../tests/assert.ts";
import type { RouterOptions } from "./router_messages.ts";
import { Router } from "./router.ts";

const SILENT = new URL("../../tests/support/silent_router_worker.ts", import.meta.url);
const DEAF = new URL("../../tests/support/deaf_router_worker.ts", import.meta.url);
const STOPPED = "the router has stopped";
/** Never reached by a router that answers. */
const STOP_MS = 60_000;

function start(worker = SILENT): Router {
  return new Router({} as RouterOptions, worker);
}

/** What it reports until the end, being told to stop at the first. */
async function stopAtOnce(router: Router, deadlineMs: number): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind } of router.reports()) {
    kinds.push(kind);
    router.stop(deadlineMs);
  }
  return kinds;
}

Deno.test("Router.setRules() is answered when the router stops, and refused from then on", async () => {
  using router = start();
  const refused = assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  assertEquals(await stopAtOnce(router, STOP_MS), ["ready", "health"]);
  await refused;
  await assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  assertEquals(router.left, null);
});

Deno.test("Router.setRules() is answered when the router is disposed of while nobody reads its reports", async () => {
  const router = start();
  const refused = assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  router[Symbol.dispose]();
  await refused;
});

Deno.test("Router.stop() ends a worker that does not answer, and says what was left in its rings", async () => {
  using router = start(DEAF);
  const refused = assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  assertEquals(await stopAtOnce(router, 1), ["health"]);
  assertEquals(router.left, 4n);
  await refused;
});

Deno.test("Router.stop() has no deadline left once the router is disposed of", () => {
  const router = start(DEAF);
  router.stop(STOP_MS);
  router[Symbol.dispose]();
  // Neither now, when it has ended: the sanitizer would find the timer.
  router.stop(STOP_MS);
});
