import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { ServerPool } from "./server_pool.ts";

const SERVERS = [{ host: "a", port: 1 }, { host: "b", port: 1 }];
const BACKOFF = { firstMs: 100, maxMs: 1000 };

function picked(pool: ServerPool, nowMs: number): string {
  const server = pool.pick(nowMs);
  assert("address" in server);
  return server.address.host;
}

Deno.test("ServerPool picks any server that has not failed lately", () => {
  const numbers = [0, 0.99, 0.49, 0.5];
  const pool = new ServerPool(SERVERS, { ...BACKOFF, random: () => numbers.shift()! });
  assertEquals([picked(pool, 0), picked(pool, 0), picked(pool, 0), picked(pool, 0)], ["a", "b", "a", "b"]);
});

Deno.test("ServerPool leaves a server alone for a while after it failed, then says how long to wait", () => {
  const pool = new ServerPool(SERVERS, { ...BACKOFF, random: () => 0.5 });
  const b = pool.pick(0);
  assert("address" in b && b.address.host === "b");
  pool.failed(b, 0);
  const a = pool.pick(0);
  assert("address" in a && a.address.host === "a");
  pool.failed(a, 10, 500);
  assertEquals(pool.pick(20), { waitMs: 30 });
  assertEquals(picked(pool, 50), "b");
  pool.failed(b, 50);
  assertEquals(pool.pick(60), { waitMs: 90 }, "twice as long");
  pool.worked(b);
  assertEquals(picked(pool, 60), "b");
});

Deno.test("ServerPool wants a server", () => {
  assertThrows(() => new ServerPool([], BACKOFF), TypeError, "no server is given");
});
