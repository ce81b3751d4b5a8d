/** `monitor --store` and `history` as the built program runs them. */
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "./assert.ts";
import { Cli, monitorArgs, runCli } from "./support/cli.ts";
import { StoreDir } from "./support/history_store.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

Deno.test("history adds up to what monitor counted, while it runs and afterwards", async () => {
  await using net = await TestNet.create();
  using dir = new StoreDir();
  const monitor = new Cli(net, monitorArgs("--flows-only", "--top", "1", "--store", dir.path, "--store-rows", "4"));
  await monitor.ready();
  await net.run("peer", "ping", ["-c", "20", "-i", "0.02", ENDS.watched.ipv4]);
  await net.run("peer", "ping", ["-c", "20", "-i", "0.02", ENDS.watched.ipv6]);
  const history = (...args: string[]) => runCli(net, ["history", ...args, "--store", dir.path, "--from", "-10m"]);
  const during = await history("top", "--by", "proto", "--json");
  assertEquals([during.code, during.stderr], [0, []]);
  assertGreater(during.objects.at(-1)!.seen_packets, 0);

  monitor.kill("SIGINT");
  const { code, objects } = await monitor.result();
  assertEquals(code, 0);
  const summary = objects.at(-1)!;
  assert(objects.every(({ type, top }) => type !== "window" || top.length <= 1));
  assertEquals(objects.filter(({ alert }) => alert === "history"), []);

  const top = (await history("top", "--by", "proto", "--json")).objects;
  const sums = top.at(-1)!;
  assertEquals([sums.seen_packets, sums.seen_bytes], [summary.seen_packets, summary.seen_bytes]);
  assertEquals([sums.flows_packets, sums.flows, sums.rest_packets], [summary.packets, summary.flows, 0]);
  const groups = Object.fromEntries(top.slice(0, -1).map(({ group, packets }) => [group, packets]));
  assertEquals(groups, { icmp: 40, icmp6: 40 });

  const [, ...flows] = (await history("flows", "--where", "ip6 and ingress", "--csv")).stdout;
  assertEquals(flows.length, 1);
  assertStringIncludes(flows[0], `${ENDS.watched.iface},ingress,${ENDS.peer.ipv6},${ENDS.watched.ipv6},`);
  assertStringIncludes(flows[0], ",icmp6,20,");

  const series = (await history("series", "--by", "iface")).stdout.join("\n");
  assertMatch(series, new RegExp(`^${ENDS.watched.iface} +[▁-█ ]+ 80 `, "m"));
  assertStringIncludes(series, "seen: 80 packets");
});

Deno.test("a store that cannot be used ends history and monitor with one line, before anything is attached", async () => {
  await using net = await TestNet.create();
  using dir = new StoreDir();
  const none = await runCli(net, ["history", "top", "--store", `${dir.dir}/none.db`]);
  assertEquals([none.code, none.stdout], [1, []]);
  assertMatch(none.stderr.join("|"), /^ebpfmon: Cannot read the store .*none\.db: there is no such file;[^|]*$/);

  Deno.writeTextFileSync(dir.path, "not a database ".repeat(1_000));
  const read = await runCli(net, ["history", "series", "--store", dir.path]);
  assertEquals([read.code, read.stderr], [1, [`ebpfmon: Cannot read the store ${dir.path}: it is not a database`]]);
  const write = await runCli(net, monitorArgs("--flows-only", "--store", dir.path));
  assertEquals([write.code, write.objects], [1, []]);
  assertEquals(write.stderr, [`ebpfmon: Cannot open the store ${dir.path}: it is not a database`]);

  const usage = await runCli(net, ["history", "top", "--store", dir.path, "--from", "now", "--to", "-1h"]);
  assertEquals(usage.code, 2);
});
