/** `monitor` names the process of each flow: processes of known numbers talk, and both ends are watched. */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "./assert.ts";
import { Cli, type CliResult, type JsonObject, monitorArgs } from "./support/cli.ts";
import { delay } from "../lib/runtime/timers.ts";
import { ENDS, type NetSide, TestNet } from "./support/namespaces.ts";
import { SyscallActor } from "./support/processes.ts";
import { SocketUser } from "./support/sockets.ts";

const ARGS = ["--flows-only", "--top", "100"];

/** Monitors and processes in a net of their own. */
class Talk implements AsyncDisposable {
  readonly net: TestNet;
  readonly actor: SyscallActor;
  readonly #owned: AsyncDisposableStack;

  private constructor(net: TestNet, actor: SyscallActor, owned: AsyncDisposableStack) {
    this.net = net;
    this.actor = actor;
    this.#owned = owned;
  }

  static async create(): Promise<Talk> {
    await using stack = new AsyncDisposableStack();
    const actor = stack.use(await SyscallActor.build());
    const net = stack.use(await TestNet.create());
    return new Talk(net, actor, stack.move());
  }

  user(side: NetSide): SocketUser {
    return this.#owned.use(new SocketUser(this.net, side, this.actor));
  }

  async watch(side: NetSide, ...args: string[]): Promise<Cli> {
    const all = ["monitor", ENDS[side].iface, "--json", "--window", "200", "--listen", "off", ...ARGS, ...args];
    const cli = new Cli(this.net, all, [], side);
    await cli.ready();
    return cli;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

async function stopped(cli: Cli): Promise<CliResult> {
  cli.kill("SIGINT");
  const result = await cli.result();
  assertEquals([result.code, result.stderr], [0, []]);
  return result;
}

function windowsOf({ objects }: CliResult): JsonObject[] {
  return objects.filter(({ type }) => type === "window");
}

function flowsOf(result: CliResult, proto: string): JsonObject[] {
  return windowsOf(result).flatMap(({ top }) => top).filter((flow) => flow.proto === proto);
}

// deno-lint-ignore no-explicit-any
function sum(objects: any[], field: string): number {
  return objects.reduce((total, object) => total + object[field], 0);
}

/** Every flow is one process's, in both directions. */
function assertOwner(flows: JsonObject[], owner: { pid: number; comm: string; exe: string }): void {
  assertGreater(flows.length, 0);
  const owners = new Set(flows.map(({ pid, comm, exe }) => JSON.stringify({ pid, comm, exe })));
  assertEquals([...owners], [JSON.stringify(owner)]);
  assertEquals(new Set(flows.map(({ direction }) => direction)), new Set(["ingress", "egress"]));
}

async function connect(server: SocketUser, client: SocketUser, family: "ipv4" | "ipv6" = "ipv4"): Promise<number> {
  const port = await server.ask("listen", ENDS.watched[family], 0);
  await client.ask("connect", ENDS.watched[family], port);
  await server.ask("accept");
  return port;
}

async function exchange(server: SocketUser, client: SocketUser): Promise<void> {
  await Promise.all([client.ask("send", null, 200_000), server.ask("receive", null, 200_000)]);
  await Promise.all([server.ask("send", null, 100_000), client.ask("receive", null, 100_000)]);
}

Deno.test("monitor attributes every byte of TCP to the process of its end, on both ends", async () => {
  await using talk = await Talk.create();
  const { actor: { comm, path } } = talk;
  const monitors = { watched: await talk.watch("watched"), peer: await talk.watch("peer") };
  const [server, client] = [talk.user("watched"), talk.user("peer")];
  for (const family of ["ipv4", "ipv6"] as const) {
    await connect(server, client, family);
    await exchange(server, client);
  }
  await talk.net.settle();
  for (const [side, { pid }] of [["watched", server], ["peer", client]] as const) {
    const result = await stopped(monitors[side]);
    assertOwner(flowsOf(result, "tcp"), { pid, comm, exe: path });
    const windows = windowsOf(result);
    assertGreater(sum(windows, "attributed_bytes"), 600_000);
    for (const { attributed_bytes, unattributed_bytes, unasked_bytes, bytes } of windows) {
      assertEquals(attributed_bytes + unattributed_bytes + unasked_bytes, bytes);
    }
    const tcpBytes = sum(flowsOf(result, "tcp"), "bytes");
    assertEquals(sum(windows, "attributed_bytes"), tcpBytes);
  }
});

Deno.test("monitor attributes UDP that is not connected, on both ends", async () => {
  await using talk = await Talk.create();
  const { actor: { comm, path } } = talk;
  const monitors = { watched: await talk.watch("watched"), peer: await talk.watch("peer") };
  const [server, client] = [talk.user("watched"), talk.user("peer")];
  const serverPort = await server.ask("udp", "0.0.0.0", 0);
  const clientPort = await client.ask("udp", ENDS.peer.ipv4, 0);
  await client.ask(`sendto-${serverPort}`, ENDS.watched.ipv4, 100);
  await server.ask("receive", null, 100);
  await server.ask(`sendto-${clientPort}`, ENDS.peer.ipv4, 100);
  await client.ask("receive", null, 100);
  await talk.net.settle();
  for (const [side, { pid }] of [["watched", server], ["peer", client]] as const) {
    assertOwner(flowsOf(await stopped(monitors[side]), "udp"), { pid, comm, exe: path });
  }
});

Deno.test("monitor knows the owner of a connection that is older than itself", async () => {
  await using talk = await Talk.create();
  const { actor: { comm, path } } = talk;
  const [server, client] = [talk.user("watched"), talk.user("peer")];
  await connect(server, client);
  const monitor = await talk.watch("watched");
  await exchange(server, client);
  await talk.net.settle();
  assertOwner(flowsOf(await stopped(monitor), "tcp"), { pid: server.pid, comm, exe: path });
});

Deno.test("monitor --filter chooses flows by process, and ranks only those", async () => {
  await using talk = await Talk.create();
  const [loud, quiet, client] = [talk.user("watched"), talk.user("watched"), talk.user("peer")];
  const byPid = await talk.watch("watched", "--filter", `tcp and pid ${quiet.pid}`, "--top", "2");
  const byOther = await talk.watch("peer", "--filter", "comm nobody");
  await connect(loud, client);
  await exchange(loud, client);
  const port = await connect(quiet, client);
  await client.ask("send", null, 1_000);
  await quiet.ask("receive", null, 1_000);
  await talk.net.settle();
  const chosen = await stopped(byPid);
  const rows = windowsOf(chosen).flatMap(({ top }) => top);
  assertGreater(rows.length, 0);
  assertEquals(new Set(rows.map(({ sport, dport }) => sport === port || dport === port)), new Set([true]));
  assertEquals(new Set(rows.map(({ pid }) => pid)), new Set([quiet.pid]));
  assertEquals(sum(rows, "packets"), sum(windowsOf(chosen), "matched_packets"));
  assertEquals(sum(windowsOf(await stopped(byOther)), "matched_packets"), 0);
});

Deno.test("monitor --no-owners names nobody", async () => {
  await using talk = await Talk.create();
  const monitor = await talk.watch("watched", "--no-owners");
  const [server, client] = [talk.user("watched"), talk.user("peer")];
  await connect(server, client);
  await exchange(server, client);
  const result = await stopped(monitor);
  const [window] = windowsOf(result);
  assertEquals(Object.hasOwn(window, "attributed_bytes"), false);
  assert(flowsOf(result, "tcp").every((flow) => !Object.hasOwn(flow, "pid")));
});

Deno.test("monitor --activity has process windows beside the flows', and metrics that promtool finds no fault with", async () => {
  await using talk = await Talk.create();
  const args = monitorArgs(
    "--listen",
    "127.0.0.1:0",
    "--flows-only",
    "--activity",
    "--process-metrics",
    "1",
    "--top",
    "1000",
  );
  const cli = new Cli(talk.net, args);
  const { listen } = await cli.ready();
  const { pid } = await talk.actor.run("calls", "400000");
  const [server, client] = [talk.user("watched"), talk.user("peer")];
  await connect(server, client);
  await exchange(server, client);
  await cli.until(({ type, top }) => type === "processes" && top.some((row: JsonObject) => row.pid === pid));
  await cli.until(({ type, attributed_bytes }) => type === "window" && attributed_bytes > 100_000);
  let page = "";
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(page)?.[1]);
  // The window that holds the last of the calls may still go on.
  for (const deadlineMs = performance.now() + 10_000; performance.now() < deadlineMs;) {
    page = await talk.net.run("watched", "curl", ["-sf", `http://${listen}/metrics`]);
    if (value("ebpfmon_activity_calls_total") > 800_000) break;
    await delay(100);
  }
  const result = await stopped(cli);

  assertStringIncludes(page, `ebpfmon_process_syscalls_total{pid="${pid}",comm="${talk.actor.comm}"} `);
  assertEquals(page.match(/^ebpfmon_process_syscalls_total/gm)?.length, 1);
  const processes = result.objects.filter(({ type }) => type === "processes");
  const scraped = processes.slice(0, windowsOf(result).length);
  assert(processes.every(({ balanced }) => balanced));
  assertGreater(value("ebpfmon_activity_calls_total"), 800_000);
  assert(value("ebpfmon_activity_calls_total") <= sum(scraped, "seen_calls"));
  assertGreater(value("ebpfmon_flow_attributed_bytes_total"), 100_000);
  assertEquals(processes.length, windowsOf(result).length);
  const { activity } = result.objects.at(-1)!;
  assertEquals([activity.balanced, activity.seen_calls], [true, sum(processes, "seen_calls")]);

  const promtool = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = promtool.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page));
  await writer.close();
  const { code, stdout, stderr } = await promtool.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals({ code, said }, { code: 0, said: "" });
});
