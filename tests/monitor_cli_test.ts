/** The built ./ebpfmon as its users meet it: signals, exit codes, messages, metrics. */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "./assert.ts";
import { Cli, type CliResult, type JsonObject, monitorArgs, runCli } from "./support/cli.ts";
import { eventually } from "./support/fleet_cli.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

const GENERATOR = decodeURIComponent(new URL("../build/tests/bpf/generator.bpf.o", import.meta.url).pathname);
const PINGS = 20;

async function ping(net: TestNet): Promise<void> {
  for (const family of ["ipv4", "ipv6"] as const) {
    await net.run("peer", "ping", ["-q", "-c", `${PINGS}`, "-i", "0.01", ENDS.watched[family]]);
  }
}

/** One error, one line, no stack trace. */
function assertOneLine({ stderr }: CliResult): string {
  assertEquals(stderr.length, 1, stderr.join("\n"));
  return stderr[0];
}

/** Echo requests and replies among the flows: nothing that the kernel sends of its own accord. */
function countPings(objects: JsonObject[]): number {
  const echo = [8 << 8, 0, 128 << 8, 129 << 8];
  const rows = objects.flatMap(({ type, top }) => type === "window" ? top as JsonObject[] : []);
  return sum(rows.filter(({ proto, dport }) => ["icmp", "icmp6"].includes(proto) && echo.includes(dport)), "packets");
}

function sum(objects: JsonObject[], field: string): number {
  return objects.reduce((total, object) => total + object[field], 0);
}

/** The windows are complete, and the one summary at the end is their sum and balances. @returns the summary */
function assertSummary(objects: JsonObject[]): JsonObject {
  assertEquals(objects[0].type, "ready");
  const summaries = objects.filter(({ type }) => type === "summary");
  assertEquals(summaries.length, 1);
  const summary = objects.at(-1)!;
  assertEquals(summary.type, "summary");
  const windows = objects.filter(({ type }) => type === "window");
  assertGreater(windows.length, 0);
  windows.forEach((window, i) => {
    assertEquals(window.sequence, i);
    if (i > 0) assertEquals(window.start_ns, windows[i - 1].end_ns);
  });
  for (const object of [...windows, summary]) {
    for (const unit of ["packets", "bytes"]) {
      const parts = object[unit] + object[`overflow_${unit}`] + object[`other_${unit}`];
      assertEquals(object[`seen_${unit}`], parts, JSON.stringify(object));
    }
  }
  for (const field of ["seen_packets", "seen_bytes", "packets", "bytes", "other_packets", "overflow_packets"]) {
    assertEquals(summary[field], sum(windows, field), field);
  }
  return summary;
}

/** Name or number of the XDP program on the watched end; null without one. */
async function xdpOf(net: TestNet): Promise<{ id: number } | null> {
  const [{ xdp }] = JSON.parse(await net.run("watched", "ip", ["-j", "-d", "link", "show", ENDS.watched.iface]));
  return xdp?.prog ?? null;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`monitor ends on ${signal} with exit code 0, a last window and a summary that balances`, async () => {
    await using net = await TestNet.create();
    const cli = new Cli(net, monitorArgs("--window", "60000"));
    await cli.ready();
    await ping(net);
    cli.kill(signal);
    const result = await cli.result();
    assertEquals(result.stderr, []);
    assertEquals(result.code, 0);
    // The window that the signal cut short holds everything: a request and a reply each.
    assertEquals(result.objects.filter(({ type }) => type === "window").length, 1);
    assertSummary(result.objects);
    assertEquals(countPings(result.objects), 4 * PINGS);
    assertEquals(await xdpOf(net), null);
  });
}

Deno.test("monitor --duration ends by itself with exit code 0", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, monitorArgs("--duration", "1.5"));
  await cli.ready();
  await ping(net);
  const result = await cli.result();
  assertEquals(result.code, 0);
  assertSummary(result.objects);
  assertEquals(countPings(result.objects), 4 * PINGS);
  const rows = result.objects.flatMap(({ type, top }) => type === "window" ? top : []);
  assertEquals(new Set(rows.map(({ direction }) => direction)), new Set(["ingress", "egress"]));
});

for (const windowMs of [60_000, 200]) {
  Deno.test(`monitor ends with exit code 0 when nobody reads its output any more, with windows of ${windowMs} ms`, async () => {
    await using net = await TestNet.create();
    const args = monitorArgs("--window", `${windowMs}`, "--duration", "600");
    const before = performance.now();
    const result = await runCli(net, args, ["bash", "-o", "pipefail", "-c", '"$0" "$@" | head -n 1']);
    assertEquals([result.code, result.stderr, result.stdout.length], [0, [], 1]);
    // Long before the time that it was given.
    assertLess(performance.now() - before, 300_000);
  });
}

Deno.test("monitor leaves no program and no link in the kernel after kill -9", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, monitorArgs());
  await cli.ready();
  const fds = await net.run("watched", "sh", ["-c", `cat /proc/${cli.pid}/fdinfo/*`]);
  const ids = (
    field: string,
  ) => [...new Set([...fds.matchAll(new RegExp(`^${field}:\\s*(\\d+)`, "gm"))].map((it) => it[1]))];
  const [links, programs] = [ids("link_id"), ids("prog_id")];
  assertEquals(links.length, 7); // two for the flows, three for who uses which socket, two for what is sent again
  assertGreater(programs.length, 0);
  assert(await xdpOf(net) !== null);
  const exists = async (kind: string, id: string) => {
    const { success } = await new Deno.Command("bpftool", { args: [kind, "show", "id", id] }).output();
    return success;
  };
  assert(await exists("link", links[0]));
  assert(await exists("prog", programs[0]));

  cli.kill("SIGKILL");
  assertEquals((await cli.result()).signal, "SIGKILL");
  assertEquals(await xdpOf(net), null);
  // Programs and maps are freed after an RCU grace period.
  for (const id of links) await eventually(async () => !await exists("link", id), () => `end of link ${id}`);
  for (const id of programs) await eventually(async () => !await exists("prog", id), () => `end of program ${id}`);
});

Deno.test("monitor ends with exit code 1 and complete sums when its interface is deleted", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, monitorArgs("--quiet"));
  await cli.ready();
  await ping(net);
  await net.run("watched", "ip", ["link", "delete", ENDS.watched.iface]);
  const result = await cli.result();
  assertStringIncludes(assertOneLine(result), ENDS.watched.iface);
  assertEquals(result.code, 1);
  assertSummary(result.objects);
  assertEquals(countPings(result.objects), 4 * PINGS);
});

Deno.test("monitor says in one line that an interface does not exist, with exit code 1", async () => {
  await using net = await TestNet.create();
  const result = await runCli(net, ["monitor", "nowhere0", "--listen", "off", "--json"]);
  assertMatch(assertOneLine(result), /Cannot find interface "nowhere0": there are .*watched0/);
  assertEquals(result.code, 1);
  assertEquals(result.stdout, []);
});

Deno.test("wrong usage is one line and exit code 2", async () => {
  await using net = await TestNet.create();
  // deno-fmt-ignore
  for (const args of [
    ["monitor", "--no-such-flag"], ["monitor", "--window", "ten"], ["monitor", "--window", "0"], ["monitor", "--listen", "9464"],
    ["monitor", "--filter", "tcp and"], ["frobnicate"], ["measure"],
  ]) {
    const result = await runCli(net, args);
    assertOneLine(result);
    assertEquals(result.code, 2, args.join(" "));
    assertEquals(result.stdout, []);
  }
});

Deno.test("without privileges monitor names the capabilities in one line, with exit code 3", async () => {
  await using net = await TestNet.create();
  const result = await runCli(net, monitorArgs(), ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
  const line = assertOneLine(result);
  for (const name of ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]) assertStringIncludes(line, name);
  assertEquals(result.code, 3);
  assertEquals(result.stdout, []);
});

Deno.test("monitor ends with exit code 1 and attaches nothing when its port is in use", async () => {
  await using net = await TestNet.create();
  const first = new Cli(net, monitorArgs("--listen", "127.0.0.1:0", "--direction", "egress"));
  const { listen } = await first.ready();
  const result = await runCli(net, monitorArgs("--listen", listen));
  assertStringIncludes(assertOneLine(result), listen);
  assertEquals(result.code, 1);
  assertEquals(result.stdout, []);
  assertEquals(await xdpOf(net), null);
  first.kill("SIGTERM");
  assertEquals((await first.result()).code, 0);
});

Deno.test("monitor leaves somebody else's XDP program alone, unless --force is given", async () => {
  await using net = await TestNet.create();
  await net.run("watched", "ip", ["link", "set", ENDS.watched.iface, "xdpdrv", "object", GENERATOR, "section", "xdp"]);
  const other = await xdpOf(net);
  const refused = await runCli(net, monitorArgs());
  assertMatch(assertOneLine(refused), new RegExp(`\\b${other!.id}\\b.*--force`));
  assertEquals(refused.code, 4);
  assertEquals((await xdpOf(net))?.id, other!.id);

  const beside = new Cli(net, monitorArgs("--mode", "tcx"));
  await beside.ready();
  assertEquals((await xdpOf(net))?.id, other!.id);
  beside.kill("SIGINT");
  assertEquals((await beside.result()).code, 0);

  const forced = new Cli(net, monitorArgs("--force"));
  await forced.ready();
  assert((await xdpOf(net))?.id !== other!.id);
  await ping(net);
  forced.kill("SIGINT");
  const result = await forced.result();
  assertEquals(result.code, 0);
  assertSummary(result.objects);
  assertEquals(countPings(result.objects), 4 * PINGS);
});

Deno.test("monitor tells that another one with --force took its place, and goes on in the other direction", async () => {
  await using net = await TestNet.create();
  const first = new Cli(net, monitorArgs("--flows-only"));
  await first.ready();
  const second = new Cli(net, monitorArgs("--flows-only", "--force"));
  await second.ready();
  const { message } = await first.until(({ type, alert }) => type === "alert" && alert === "hook_lost");
  assertStringIncludes(
    message,
    `ingress of ${ENDS.watched.iface} is not counted any more, since another program detached`,
  );
  await ping(net);
  for (const cli of [first, second]) cli.kill("SIGINT");
  const results = [await first.result(), await second.result()];
  assertEquals(results.map(({ code }) => code), [0, 0]);
  assertEquals(results.map(({ objects }) => countPings(objects)), [2 * PINGS, 4 * PINGS]);
});

/** Samples of the Prometheus text format: name, labels, value. */
function parseMetrics(text: string): { name: string; labels: Record<string, string>; value: number }[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const [, name, labelText = "", value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const labels = Object.fromEntries(
      [...labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text]),
    );
    return { name, labels, value: Number(value) };
  });
}

Deno.test("/metrics says the same as the JSON lines, and promtool finds no fault", async () => {
  await using net = await TestNet.create();
  const cli = new Cli(net, monitorArgs("--listen", "127.0.0.1:0"));
  const { listen } = await cli.ready();
  await ping(net);
  await cli.until(() => countPings(cli.objects) === 4 * PINGS);
  const text = await net.run("watched", "curl", ["-sf", `http://${listen}/metrics`]);
  const health = await net.run("watched", "curl", [
    "-s",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    `http://${listen}/readyz`,
  ]);
  cli.kill("SIGINT");
  const result = await cli.result();
  assertSummary(result.objects);

  assertEquals(health, "200");
  const metrics = parseMetrics(text);
  const total = (name: string, accepts: (labels: Record<string, string>) => boolean = () => true) =>
    sum(
      metrics.filter((it) => it.name === name && accepts(it.labels)).map(({ value }) => ({ type: "", value })),
      "value",
    );
  const inFlows = ({ class: name }: Record<string, string>) => name === "flow";
  // A window may have ended since: the metrics are of so many.
  const windows = result.objects.filter(({ type }) => type === "window").slice(0, total("ebpfmon_windows_total"));
  for (const unit of ["packets", "bytes"]) {
    assertEquals(total(`ebpfmon_${unit}_total`), sum(windows, `seen_${unit}`));
    assertEquals(total(`ebpfmon_${unit}_total`, inFlows), sum(windows, unit));
  }
  assertEquals(countPings(windows), 4 * PINGS);
  assertEquals(new Set(metrics.flatMap(({ labels }) => labels.iface ?? [])), new Set([ENDS.watched.iface]));
  const promtool = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = promtool.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assertEquals({ code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) }, {
    code: 0,
    said: "",
  });
});
