/** Egress and tc ingress through clsact filters, as on kernels without TCX, with the built ./ebpfmon. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "./assert.ts";
import { Cli, type CliResult, type JsonObject, monitorArgs, runCli } from "./support/cli.ts";
import { delay } from "../lib/runtime/timers.ts";
import { eventually } from "./support/fleet_cli.ts";
import { ENDS, TestNet } from "./support/namespaces.ts";

const ACCEPT = decodeURIComponent(new URL("../build/tests/bpf/accept.bpf.o", import.meta.url).pathname);
const { iface } = ENDS.watched;
const PINGS = 5;
/** Of each ping: the answers, over IPv4 and IPv6. */
const ANSWERS = 2 * PINGS;

type Direction = "ingress" | "egress";

interface Filter {
  pref: number;
  kind: string;
  handle: string;
  name: string;
  programId: number;
}

/** Filters of a hook in the order in which they see a packet, as iproute2 shows them. */
async function filtersOf(net: TestNet, direction: Direction = "egress"): Promise<Filter[]> {
  const text = await net.run("watched", "tc", ["-j", "filter", "show", "dev", iface, direction]);
  const entries: JsonObject[] = text.trim() === "" ? [] : JSON.parse(text);
  return entries.filter(({ options }) => options !== undefined).map(({ pref, kind, options }) => ({
    pref,
    kind,
    handle: options.handle,
    name: options.bpf_name ?? "",
    programId: options.prog?.id ?? 0,
  }));
}

async function ownFilters(net: TestNet, direction: Direction = "egress"): Promise<Filter[]> {
  return (await filtersOf(net, direction)).filter(({ name }) => name.startsWith("ebpfmon:"));
}

/** `monitor` of egress by a clsact filter. */
function egressArgs(...more: string[]): string[] {
  return monitorArgs("--direction", "egress", "--egress-hook", "clsact", "--flows-only", ...more);
}

async function startEgress(net: TestNet, ...more: string[]): Promise<Cli> {
  const cli = new Cli(net, egressArgs(...more));
  await cli.ready();
  return cli;
}

async function ping(net: TestNet): Promise<void> {
  for (const family of ["ipv4", "ipv6"] as const) {
    await net.run("peer", "ping", ["-q", "-c", `${PINGS}`, "-i", "0.01", ENDS.watched[family]]);
  }
}

/** Answers to pings in an output so far. */
function answersIn(objects: JsonObject[]): number {
  const rows = objects.flatMap(({ type, top }) => type === "window" ? top as JsonObject[] : []);
  return rows.filter(({ proto, dport, direction }) =>
    direction === "egress" && ["icmp", "icmp6"].includes(proto) && [0, 129 << 8].includes(dport)
  ).reduce((sum, { packets }) => sum + packets, 0);
}

function alertsIn(objects: JsonObject[], alert: string): string[] {
  return objects.filter((object) => object.type === "alert" && object.alert === alert).map(({ message }) => message);
}

async function stop(cli: Cli): Promise<CliResult> {
  cli.kill("SIGTERM");
  const result = await cli.result();
  assertEquals(result.code, 0, result.stderr.join("\n"));
  return result;
}

async function kill(cli: Cli): Promise<void> {
  cli.kill("SIGKILL");
  assertEquals((await cli.result()).signal, "SIGKILL");
}

async function programExists(id: number): Promise<boolean> {
  const { success } = await new Deno.Command("bpftool", { args: ["prog", "show", "id", `${id}`] }).output();
  return success;
}

/** Ids of the programs that a process holds open. */
async function programsOf(net: TestNet, cli: Cli): Promise<number[]> {
  const fds = await net.run("watched", "sh", ["-c", `cat /proc/${cli.pid}/fdinfo/*`]);
  return [...new Set([...fds.matchAll(/^prog_id:\s*(\d+)/gm)].map(([, id]) => Number(id)))];
}

for (const hook of ["clsact", "tcx"] as const) {
  Deno.test(`two monitors on one interface both count everything by ${hook}, and one goes on when the other ends`, async () => {
    await using net = await TestNet.create();
    const args = monitorArgs("--flows-only", "--mode", hook, "--egress-hook", hook);
    const [first, second] = [new Cli(net, args), new Cli(net, args)];
    for (const cli of [first, second]) {
      const { interfaces: [{ mode, egress }] } = await cli.ready();
      assertEquals({ mode, egress }, { mode: hook, egress: hook });
    }
    await ping(net);
    const ended = await stop(first);
    await ping(net);
    const went = await stop(second);
    assertEquals(answersIn(ended.objects), ANSWERS);
    assertEquals(answersIn(went.objects), 2 * ANSWERS);
    for (const { objects } of [ended, went]) {
      const requests = objects.flatMap(({ type, top }) => type === "window" ? top as JsonObject[] : [])
        .filter(({ direction, dport }) => direction === "ingress" && [8 << 8, 128 << 8].includes(dport));
      assertEquals(
        requests.reduce((sum, { packets }) => sum + packets, 0),
        objects === ended.objects ? ANSWERS : 2 * ANSWERS,
      );
    }
    for (const direction of ["ingress", "egress"] as const) assertEquals(await filtersOf(net, direction), []);
  });
}

Deno.test("monitors that start at once get a filter each", async () => {
  await using net = await TestNet.create();
  const all = Array.from({ length: 4 }, () => new Cli(net, egressArgs()));
  for (const cli of all) await cli.ready();
  assertEquals(new Set((await ownFilters(net)).map(({ name }) => name)).size, all.length);
  await ping(net);
  for (const cli of all) assertEquals(answersIn((await stop(cli)).objects), ANSWERS);
  assertEquals(await filtersOf(net), []);
});

Deno.test("after a kill -9 what counts is gone, the other monitor goes on, and the next start removes the filter", async () => {
  await using net = await TestNet.create();
  const killed = await startEgress(net);
  const [{ programId }] = await ownFilters(net);
  const programs = (await programsOf(net, killed)).filter((id) => id !== programId);
  assert(programs.length > 0);
  const other = await startEgress(net);
  await kill(killed);
  // Programs and maps are freed after an RCU grace period.
  for (const id of programs) await eventually(async () => !await programExists(id), () => `end of program ${id}`);
  assertEquals((await ownFilters(net)).length, 2);
  await ping(net);

  // A plain start, which has no filter of its own here.
  const next = new Cli(net, monitorArgs("--flows-only"));
  await next.ready();
  assertEquals((await ownFilters(net)).length, 1);
  assertEquals(alertsIn(next.objects, "notice"), [
    `removed filters that an instance which has ended had left: ${iface} egress`,
  ]);
  assertEquals(await programExists(programId), false);
  await ping(net);
  await stop(next);
  assertEquals(answersIn((await stop(other)).objects), 2 * ANSWERS);
  assertEquals(await filtersOf(net), []);
});

Deno.test("detach removes filters of instances that have ended, and with --force those of running ones", async () => {
  await using net = await TestNet.create();
  assertEquals((await runCli(net, ["detach"])).stdout, ["Nothing to remove."]);
  const killed = new Cli(net, monitorArgs("--flows-only", "--mode", "clsact", "--egress-hook", "clsact"));
  await killed.ready();
  await kill(killed);
  const running = await startEgress(net);
  // It has removed those of the one before; so kill another one beside it.
  assertEquals((await ownFilters(net)).length, 1);
  const beside = await startEgress(net);
  await kill(beside);

  const elsewhere = await runCli(net, ["detach", "lo"]);
  assertEquals([elsewhere.code, elsewhere.stdout], [0, ["Nothing to remove."]]);
  const unknown = await runCli(net, ["detach", "nowhere0"]);
  assertEquals(unknown.code, 1);
  const refused = await runCli(net, ["detach"], ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]);
  assertEquals(refused.code, 3);
  assertEquals(refused.stderr.length, 1);
  assertStringIncludes(refused.stderr[0], "CAP_NET_ADMIN");
  assertEquals((await ownFilters(net)).length, 2);

  const swept = await runCli(net, ["detach", iface]);
  assertEquals(swept.code, 0);
  assertEquals(swept.stdout.length, 2);
  assertMatch(swept.stdout[0], new RegExp(`^removed  ${iface} egress .* has ended$`));
  assertMatch(swept.stdout[1], new RegExp(`^kept     ${iface} egress .* is running`));
  assertEquals((await ownFilters(net)).length, 1);
  await ping(net);
  await running.until(() => answersIn(running.objects) === ANSWERS);

  const forced = await runCli(net, ["detach", "--force", "--json"]);
  assertEquals(
    forced.objects.map(({ type, iface, direction, owner, removed }) => [type, iface, direction, owner, removed]),
    [
      ["filter", iface, "egress", "running", true],
    ],
  );
  const result = await running.result();
  assertEquals(result.code, 1);
  assertEquals(result.stderr.length, 1);
  assertStringIncludes(result.stderr[0], `what watched ${iface} was detached by another program`);
});

Deno.test("a running instance is left alone by one of another user in another pid namespace", async () => {
  await using net = await TestNet.create();
  const running = await startEgress(net);
  const caps = "+net_admin,+bpf,+perfmon";
  const prefix = ["unshare", "--pid", "--fork", "--mount-proc", "setpriv", "--reuid", "65534", "--clear-groups"];
  const elsewhere = [...prefix, "--inh-caps", caps, "--ambient-caps", caps, "env", "HOME=/tmp"];
  const { code, stdout, stderr } = await runCli(net, ["detach"], elsewhere);
  assertEquals([code, stderr], [0, []]);
  assertMatch(stdout[0], /^kept .* is running/);
  await kill(running);
  assertMatch((await runCli(net, ["detach"], elsewhere)).stdout[0], /^removed .* has ended$/);
  assertEquals(await filtersOf(net), []);
});

Deno.test("a filter that accepts everything at priority 1 comes after ours, and works when ours is gone", async () => {
  await using net = await TestNet.create();
  await net.run("watched", "tc", ["qdisc", "add", "dev", iface, "clsact"]);
  const accept = ["bpf", "direct-action", "object-file", ACCEPT, "section", "tc"];
  await net.run("watched", "tc", ["filter", "add", "dev", iface, "egress", "prio", "1", "handle", "1", ...accept]);
  const before = await filtersOf(net);
  const cli = await startEgress(net);
  assertEquals((await filtersOf(net))[1], before[0]);
  await ping(net);
  // One more, which the kernel puts in front: told, once.
  await net.run("watched", "tc", ["filter", "add", "dev", iface, "egress", "prio", "1", "handle", "2", ...accept]);
  await cli.until(({ type, alert }) => type === "alert" && alert === "filter_in_front");
  await ping(net);
  await delay(500);
  const { objects } = await stop(cli);
  assertEquals(answersIn(objects), ANSWERS);
  const [told, ...more] = alertsIn(objects, "filter_in_front");
  assertEquals(more, []);
  assertMatch(told, /accept\.bpf\.o.*\(bpf, priority 1, program \d+\)/);
  assertEquals(await filtersOf(net).then((filters) => filters.at(-1)), before[0]);
});

Deno.test("a filter that nothing can come before is named at the start, and what it leaves is counted", async () => {
  await using net = await TestNet.create();
  await net.run("watched", "tc", ["qdisc", "add", "dev", iface, "clsact"]);
  // The priority of a filter for one protocol cannot be shared.
  const accept = ["protocol", "ip", "prio", "1", "bpf", "direct-action", "object-file", ACCEPT, "section", "tc"];
  await net.run("watched", "tc", ["filter", "add", "dev", iface, "egress", ...accept]);
  const cli = await startEgress(net);
  assertEquals((await filtersOf(net)).map(({ pref }) => pref), [1, 2]);
  await ping(net);
  const { objects } = await stop(cli);
  const notices = alertsIn(objects, "notice");
  assertEquals(notices.length, 1);
  assertStringIncludes(
    notices[0],
    `${iface} egress: these filters of others come first, and a packet that one of them ends is not counted: `,
  );
  assertMatch(notices[0], /accept\.bpf\.o.*\(bpf, priority 1, program \d+\)/);
  assertEquals(answersIn(objects), PINGS); // those over IPv6
});

for (
  const [what, args] of [
    ["its filter", ["filter", "del", "dev", iface, "egress", "prio", "1"]],
    ["its qdisc", ["qdisc", "del", "dev", iface, "clsact"]],
  ] as const
) {
  Deno.test(`monitor tells that somebody removed ${what} from a deleted interface`, async () => {
    await using net = await TestNet.create();
    const both = new Cli(net, monitorArgs("--flows-only", "--egress-hook", "clsact"));
    await both.ready();
    await ping(net);
    await net.run("watched", "tc", [...args]);
    const { message } = await both.until(({ type, alert }) => type === "alert" && alert === "hook_lost");
    assertEquals(
      message,
      `egress of ${iface} is not counted any more, since another program detached what watched it; start ebpfmon again to watch it`,
    );
    await net.run("watched", "ip", ["link", "delete", iface]);
    const result = await both.result();
    assertEquals(result.code, 1);
    assertStringIncludes(result.stderr.at(-1)!, `${iface} was deleted`);
  });
}

Deno.test("an interface that is deleted and made again is watched by the next start", async () => {
  await using net = await TestNet.create();
  const first = await startEgress(net);
  await net.run("watched", "ip", ["link", "delete", iface]);
  const result = await first.result();
  assertEquals(result.code, 1);
  assertStringIncludes(result.stderr.at(-1)!, `${iface} was deleted`);
  await net.run("watched", "ip", ["link", "add", iface, "type", "veth"]);
  await net.run("watched", "ip", ["link", "set", iface, "up"]);
  const again = await startEgress(net);
  assertEquals((await ownFilters(net)).length, 1);
  await stop(again);
  assertEquals(await filtersOf(net), []);
});

Deno.test("an ingress qdisc leaves no hook for egress: told, and nothing is counted as what it is not", async () => {
  await using net = await TestNet.create();
  await net.run("watched", "tc", ["qdisc", "add", "dev", iface, "ingress"]);
  const refused = await runCli(net, egressArgs());
  assertEquals(refused.code, 4);
  assertStringIncludes(refused.stderr[0], `tc qdisc del dev ${iface} ingress`);
  const cli = new Cli(net, monitorArgs("--flows-only", "--mode", "clsact", "--egress-hook", "clsact"));
  const { interfaces: [{ mode, egress }] } = await cli.ready();
  assertEquals({ mode, egress }, { mode: "clsact", egress: null });
  await ping(net);
  const { objects } = await stop(cli);
  assertEquals(answersIn(objects), 0);
  assertStringIncludes(alertsIn(objects, "notice").join("\n"), "watching ingress only");
  assertNotEquals(objects.at(-1)!.seen_packets, 0);
});
