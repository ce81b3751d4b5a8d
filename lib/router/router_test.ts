import { assertEquals, assertRejects } from "../../tests/assert.ts";
import type { RouterOptions } from "./protocol.ts";
import { Router } from "./router.ts";

const SILENT = new URL("../../tests/support/silent_router_worker.ts", import.meta.url);
const STOPPED = "the router has stopped";

function start(): Router {
  return new Router({} as RouterOptions, SILENT);
}

Deno.test("Router.setRules() is answered when the router stops, and refused from then on", async () => {
  using router = start();
  const refused = assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  const kinds: string[] = [];
  for await (const { kind } of router.reports()) {
    kinds.push(kind);
    if (kind === "ready") router.stop();
  }
  assertEquals(kinds, ["ready", "health"]);
  await refused;
  await assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
});

Deno.test("Router.setRules() is answered when the router is disposed of while nobody reads its reports", async () => {
  const router = start();
  const refused = assertRejects(() => router.setRules({ rules: [] }), Error, STOPPED);
  router[Symbol.dispose]();
  await refused;
});
