/** A network that goes away under an agent, in namespaces of its own. */
import { assertEquals, assertGreater } from "./assert.ts";
import { readBatches } from "./support/fleet_file_store.ts";
import { AgentProgram, ServerProgram } from "./support/fleet_programs.ts";
import { delay } from "../lib/runtime/timers.ts";
import { ENDS, type NetSide, TestNet } from "./support/namespaces.ts";

Deno.test("A link that is down for half a minute costs no event, and none comes twice", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ebpfmon-fleet-" });
  await using net = await TestNet.create();
  const launchIn = (side: NetSide) => (command: string, args: string[]) => net.spawn(side, command, args);
  try {
    const storePath = `${folder}/store`;
    await using server = await ServerProgram.start(
      { listen: { host: ENDS.watched.ipv4, port: 0 }, tls: null, insecure: true, storePath, keepaliveMs: 1000 },
      launchIn("watched"),
    );
    await using agent = AgentProgram.start({
      link: {
        servers: [{ host: ENDS.watched.ipv4, port: server.port }],
        tls: null,
        insecure: true,
        backoff: { firstMs: 50, maxMs: 500 },
        keepaliveMs: 1000,
      },
      agent: "agent-1",
      from: 0,
      to: 20_000,
      chunk: 100,
      // Events are made before, during and after.
      rate: 600,
      flushMs: 0,
      memoryBytesMax: 64 * 1024 * 1024,
    }, launchIn("peer"));
    await delay(1500);
    await net.run("watched", "ip", ["link", "set", ENDS.watched.iface, "down"]);
    await delay(30_000);
    await net.run("watched", "ip", ["link", "set", ENDS.watched.iface, "up"]);
    const { spool, link } = await agent.result();
    assertEquals(spool.events.acknowledged, 20_000);
    assertGreater(link.failures, 0);
    const numbers = readBatches(storePath).batches.flatMap(({ numbers }) => numbers);
    assertEquals(numbers.length, 20_000);
    assertEquals(new Set(numbers).size, 20_000);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
