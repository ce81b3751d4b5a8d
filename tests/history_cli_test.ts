/** `monitor --store` and `history` as the built program runs them. */
import { assert, assertEquals, assertGreater, assertLessOrEqual, assertMatch, assertStringIncludes } from "./assert.ts";
import { Cli, monitorArgs, runCli } from "./support/cli.ts";
import { ethernet, ETHERTYPE, ipv4, PROTO, udp } from "./support/frames.ts";
import { StoreDir } from "./support/history_store.ts";
import { delay } from "../lib/runtime/timers.ts";
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

Deno.test("after an overflow history names the flows without room, marked, and its sums stay exact", async () => {
  await using net = await TestNet.create();
  using dir = new StoreDir();
  // One window, and room for flows that are there first.
  const flags = ["--flows-only", "--direction", "ingress", "--max-flows", "8", "--max-flows-limit", "8"];
  const monitor = new Cli(net, [...monitorArgs(...flags, "--store", dir.path), "--window", "60000"]);
  await monitor.ready();
  const frame = (sport: number) =>
    ethernet(ETHERTYPE.ipv4, ipv4(PROTO.udp, udp([], sport), { src: ENDS.peer.ipv4, dst: ENDS.watched.ipv4 }));
  const burst = (sport: number, count: number) => ({ hex: frame(sport).toHex(), count });
  const small = Array.from({ length: 8 }, (_, i) => burst(1000 + i, 1));
  const large = [burst(2000, 500), burst(2001, 300)];
  const input = JSON.stringify([...small, ...large]);
  const ifindex = await net.ifindex("peer");
  const sent = await net.runScript<{ accepted: number }>("peer", "sender.ts", [`${ifindex}`], input);
  assertEquals(sent.accepted, 808);
  await net.settle();
  monitor.kill("SIGINT");
  const { code, objects } = await monitor.result();
  assertEquals(code, 0);
  const summary = objects.at(-1)!;
  assertEquals([summary.packets, summary.overflow_packets], [8, 800]);

  const history = (...args: string[]) => runCli(net, ["history", ...args, "--store", dir.path, "--from", "-10m"]);
  const top = (await history("top", "--json")).objects;
  const sums = top.at(-1)!;
  assertEquals([sums.seen_packets, sums.overflow_packets, sums.flows_packets], [summary.seen_packets, 800, 8]);
  for (const [i, had] of [500, 300].entries()) {
    const { group, packets, estimate, error_packets, error_bytes } = top[i];
    assertStringIncludes(group, ` ${2000 + i} > `);
    assert(estimate === true && packets <= had && had <= packets + error_packets, JSON.stringify(top[i]));
    assertEquals(error_bytes, error_packets * frame(2000).length);
  }
  assertEquals([top[2].packets, top[2].estimate, top[2].error_packets], [1, undefined, undefined]);
  assertEquals(sums.estimated_packets, top[0].packets + top[1].packets);
  assertEquals(sums.selected_packets, sums.estimated_packets + 8);

  const rows = (await history("top", "--csv", "--limit", "1")).stdout.slice(1).map((line) => line.split(","));
  assertEquals(rows.reduce((sum, [, , packets]) => sum + Number(packets), 0), sums.seen_packets);
  const table = (await history("flows", "--limit", "3")).stdout.map((line) => line.trim());
  const lineOf = (port: number) => table.find((line) => line.includes(`${ENDS.peer.ipv4}:${port}`))!;
  assertMatch(lineOf(2000), / ~\d+ +~[\d.]+ k?B /);
  assert(!table.find((line) => line.includes(":100"))!.includes("~"));
});

Deno.test("/metrics says what became of the windows that were to be stored", async () => {
  await using net = await TestNet.create();
  using dir = new StoreDir();
  const listen = ["--listen", "127.0.0.1:0"];
  const monitor = new Cli(net, monitorArgs("--flows-only", ...listen, "--store", dir.path));
  const url = `http://${(await monitor.ready()).listen}/metrics`;
  await net.run("peer", "ping", ["-c", "3", "-i", "0.02", ENDS.watched.ipv4]);
  let page = "";
  const value = (name: string) => Number(new RegExp(`^ebpfmon_${name} (\\S+)$`, "m").exec(page)?.[1]);
  for (let tries = 0; tries < 100 && !(value("history_stored_flows_total") > 0); tries++) {
    await delay(50);
    page = await net.run("watched", "curl", ["-sf", url]);
  }
  monitor.kill("SIGINT");
  const { code, objects } = await monitor.result();
  assertEquals(code, 0);

  const stored = value("history_stored_windows_total");
  assertGreater(stored, 0);
  assertLessOrEqual(stored, value("windows_total"));
  const windows = objects.filter(({ type }) => type === "window").slice(0, stored);
  assertEquals(value("history_stored_flows_total"), windows.reduce((sum, { flows }) => sum + flows, 0));
  assertEquals(value("history_dropped_windows_total"), 0);
  assertEquals(value("history_dropped_flows_total"), 0);
  assertEquals(value("history_evicted_windows_total"), 0);
  assertGreater(value("history_size_bytes"), 0);
  assertGreater(value("history_last_batch_seconds"), 0);
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
