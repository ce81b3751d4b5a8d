/** `agent` as the built program runs it, in a net of its own and without a server. */
import { assert, assertEquals, assertLess } from "./assert.ts";
import { Cli } from "./support/cli.ts";
import { ethernet, ETHERTYPE, ipv4, PROTO, udp } from "./support/frames.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

/** Sends a packet of each of so many flows. */
async function sendFlows(net: TestNet, flows: number): Promise<void> {
  const addresses = { src: ENDS.peer.ipv4, dst: ENDS.watched.ipv4 };
  const bursts = Array.from({ length: flows }, (_, i) => ({
    hex: ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], 1000 + i), addresses)).toHex(),
    count: 1,
  }));
  const ifindex = await net.ifindex("peer");
  const input = JSON.stringify(bursts);
  const { accepted } = await net.runScript<{ accepted: number }>("peer", "sender.ts", [`${ifindex}`], input);
  assertEquals(accepted, flows);
}

Deno.test("agent --max-flows-limit lets a map that was full grow, and agent says so", async () => {
  await using net = await TestNet.create();
  const spool = await Deno.makeTempDir();
  const flags = ["--max-flows", "8", "--max-flows-limit", "64", "--direction", "ingress", "--window", "200"];
  const link = ["--server", "127.0.0.1:1", "--spool", spool, "--listen", "off", "--json", "--duration", "3"];
  const agent = new Cli(net, ["agent", ENDS.watched.iface, ...link, ...flags]);
  await agent.ready();
  await sendFlows(net, 20);
  const { code, objects } = await agent.result();
  await Deno.remove(spool, { recursive: true });
  assertEquals(code, 0);
  const notices = objects.filter(({ type }) => type === "alert").map(({ message }) => message);
  assert(notices.includes("flow map full: it grows from window to window, to 64 flows at most"), notices.join("\n"));
  const { packets, overflow_packets } = objects.at(-1)!;
  assertLess(19, packets + overflow_packets);
});
