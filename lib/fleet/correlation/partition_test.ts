import { assert, assertEquals } from "../../../tests/assert.ts";
import { FakeHost } from "../../../tests/correlation_records.ts";
import { partitionKeys, partitionOf } from "./partition.ts";

Deno.test("partitionKeys() sends a host's events to one place, and both ends of a connection to another", () => {
  const [a, b] = [new FakeHost("a"), new FakeHost("b")];
  const host = { part: "host", key: "host/a" };
  const connection = { part: "connection", key: "connection/6/10.0.0.1:40000/10.0.0.2:443" };
  assertEquals(partitionKeys(a.event("process_exec", 1)), [host]);
  assertEquals(partitionKeys(a.event("process_exit", 1, { pid: 7 })), [host]);
  assertEquals(partitionKeys(a.event("tcp_state", 1)), [host, connection]);
  assertEquals(partitionKeys(b.flow(1, { direction: "ingress" })), [connection]);
  assertEquals(partitionKeys(a.flow(1, { proto: 1 })), []);
});

Deno.test("partitionOf() spreads keys evenly, and the same each time", () => {
  const counts = new Array(16).fill(0);
  for (let i = 0; i < 16_000; i++) counts[partitionOf({ part: "host", key: `host/node-${i}` }, 16)]++;
  for (const count of counts) assert(count > 800 && count < 1_200, String(counts));
  assertEquals(partitionOf({ part: "host", key: "host/a" }, 1_000), 603);
});
