/** Flow records of the built ./ebpfmon in the hands of collectors: nfdump's over UDP, one from the RFC over TCP. */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { Cli, type JsonObject, monitorArgs } from "./support/cli.ts";
import { delay } from "../lib/runtime/timers.ts";
import { until } from "./support/until.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

const COLLECTOR = "127.0.0.1";
const PORT = 4739;
const UDP_PORTS = [2001, 2002, 2003];
const DATAGRAMS = 40;

/** Datagrams of both families from the peer, which nobody answers but ICMP, and pings. */
async function makeTraffic(net: TestNet): Promise<void> {
  for (const family of ["ipv4", "ipv6"] as const) {
    for (const port of UDP_PORTS) {
      const address = ENDS.watched[family];
      await net.runScript("peer", "talker.ts", ["udp-send", address, `${port}`, `${DATAGRAMS}`, `${port % 100}`]);
    }
    await net.run("peer", "ping", ["-q", "-c", "5", "-i", "0.01", ENDS.watched[family]]);
  }
}

/** Monitors the traffic and sends the flows there. @returns what it printed */
async function monitorInto(net: TestNet, target: string, ...more: string[]): Promise<JsonObject[]> {
  const cli = new Cli(net, monitorArgs("--flows-only", "--ipfix", target, "--top", "1", ...more));
  await cli.ready();
  await makeTraffic(net);
  // Over the end of a window.
  await delay(500);
  cli.kill("SIGINT");
  const { code, objects, stderr } = await cli.result();
  assertEquals([code, stderr], [0, []]);
  return objects;
}

function summaryOf(objects: JsonObject[]): JsonObject {
  const summary = objects.at(-1)!;
  assertEquals([summary.type, summary.balanced], ["summary", true]);
  return summary;
}

/** Waits for something of a collector. */
const collected = (what: string, isSo: () => Promise<boolean>) => until(isSo, what, 5_000);

interface NfdumpFlow {
  proto: number;
  in_packets: number;
  in_bytes: number;
  src4_addr?: string;
  src6_addr?: string;
  src_port?: number;
  dst_port?: number;
  icmp_type?: number;
  tcp_flags?: string;
  first: string;
  last: string;
}

Deno.test("nfcapd gets every flow of monitor --ipfix over UDP, IPv4 and IPv6, packets and bytes equal", async () => {
  await using net = await TestNet.create();
  const dir = await Deno.makeTempDir();
  try {
    const nfcapd = net.spawn("watched", "nfcapd", [
      "-w",
      dir,
      "-b",
      COLLECTOR,
      "-p",
      `${PORT}`,
      "-t",
      "3600",
      "-B",
      "4000000",
    ]);
    const said = new Response(nfcapd.stderr).text();
    await collected("nfcapd", async () => (await net.run("watched", "ss", ["-lunH"])).includes(`${COLLECTOR}:${PORT}`));
    const objects = await monitorInto(net, `udp://${COLLECTOR}:${PORT}`);
    // Read by the collector: nothing waits in its socket, whose second column ss shows first.
    await collected("all of it", async () => {
      const sockets = (await net.run("watched", "ss", ["-luanH"])).split("\n");
      return sockets.some((line) => line.includes(`${COLLECTOR}:${PORT}`) && /^\w+\s+0\s/.test(line));
    });
    nfcapd.kill("SIGTERM");
    const { success } = await nfcapd.status;
    assert(success, await said);
    // Without the brackets around them; times without a zone.
    const listed = await net.run("watched", "env", ["TZ=UTC", "nfdump", "-q", "-R", dir, "-o", "json"]);
    const flows: NfdumpFlow[] = JSON.parse(`[${listed}]`);

    const summary = summaryOf(objects);
    const sum = (field: "in_packets" | "in_bytes") => flows.reduce((total, flow) => total + flow[field], 0);
    assertEquals(flows.length, summary.flows);
    assertEquals(sum("in_packets"), summary.packets);
    assertEquals(sum("in_bytes"), summary.bytes);

    // What was sent is among them, flow by flow.
    for (const [address, version] of [[ENDS.peer.ipv4, "src4_addr"], [ENDS.peer.ipv6, "src6_addr"]] as const) {
      for (const port of UDP_PORTS) {
        const sent = flows.filter((flow) => flow[version] === address && flow.proto === 17 && flow.dst_port === port);
        const headers = version === "src4_addr" ? 14 + 20 + 8 : 14 + 40 + 8;
        const [packets, bytes] = ["in_packets", "in_bytes"].map((field) =>
          sent.reduce((total, flow) => total + flow[field as "in_packets"], 0)
        );
        assertEquals([packets, bytes], [DATAGRAMS, DATAGRAMS * (headers + port % 100)], `${address} to ${port}`);
      }
      const echoes = flows.filter((flow) => flow[version] === address && [8, 128].includes(flow.icmp_type ?? -1));
      assertEquals(echoes.reduce((total, flow) => total + flow.in_packets, 0), 5, `${address}: echo requests`);
    }
    const now = Date.now();
    for (const { first, last } of flows) {
      const [firstMs, lastMs] = [first, last].map((text) => Date.parse(`${text}Z`));
      assert(firstMs <= lastMs && Math.abs(now - firstMs) < 60_000, `${first} to ${last}`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a collector over TCP gets every flow of monitor --ipfix and what belongs to none", async () => {
  await using net = await TestNet.create();
  const collector = net.spawnScript("watched", "ipfix_collector.ts", [COLLECTOR, `${PORT}`]);
  await collected(
    "the collector",
    async () => (await net.run("watched", "ss", ["-ltnH"])).includes(`${COLLECTOR}:${PORT}`),
  );
  // Eight flows find room, four of each family; the others overflow.
  const objects = await monitorInto(net, `tcp://${COLLECTOR}:${PORT}`, "--max-flows", "4");
  const { success, stdout } = await collector.output();
  assert(success);
  const got = JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!);

  const summary = summaryOf(objects);
  assertEquals(got.flows[256] + got.flows[257], summary.flows);
  assertGreater(Math.min(got.flows[256], got.flows[257]), 0);
  assertEquals([got.packets, got.octets].map(Number), [summary.packets, summary.bytes]);
  const { 164: ignoredPackets, 165: ignoredOctets, 166: notSent } = got.statistics;
  assertEquals([ignoredPackets, ignoredOctets, notSent].map(Number), [
    summary.overflow_packets + summary.other_packets,
    summary.overflow_bytes + summary.other_bytes,
    0,
  ]);
  assertEquals(Number(got.packets) + Number(ignoredPackets), summary.seen_packets);
});

Deno.test("monitor --ipfix goes on without a collector, says so, and counts what it did not send", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(
    net,
    monitorArgs("--flows-only", "--ipfix", `tcp://${COLLECTOR}:${PORT}`, "--listen", `${COLLECTOR}:9464`),
  );
  await cli.ready();
  await makeTraffic(net);
  await cli.until(({ type, alert }) => type === "alert" && alert === "ipfix");
  const metrics = await net.run("watched", "curl", ["-s", `http://${COLLECTOR}:9464/metrics`]);
  assertStringIncludes(metrics, "\nebpfmon_export_ipfix_connected 0\n");
  assertStringIncludes(metrics, "\nebpfmon_export_ipfix_flows_total 0\n");
  cli.kill("SIGINT");
  const { code, objects } = await cli.result();
  assertEquals(code, 0);
  const summary = summaryOf(objects);
  assertGreater(summary.flows, 0);
  const alerts = objects.filter(({ alert }) => alert === "ipfix").map(({ message }) => message);
  assertStringIncludes(alerts[0], `IPFIX collector tcp://${COLLECTOR}:${PORT} is away: `);
  assertEquals(
    alerts.at(-1),
    `flow records that the collector did not get: ${summary.flows}, with ${summary.packets} packets`,
  );
});
