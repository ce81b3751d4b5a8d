/** TCP over a cable that loses packets: what is said to be sent again is what the kernel itself says. */
import { assert, assertEquals, assertGreater, assertGreaterOrEqual } from "./assert.ts";
import type { FlowRow, FlowWindow } from "../lib/aggregate/windows/flow_window.ts";
import type { WindowRetransmits } from "../lib/aggregate/windows/retransmit_counts.ts";
import { RetransmitTable } from "../lib/aggregate/retransmits/retransmit_table.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { RetransmitProbe } from "../lib/aggregate/retransmits/retransmit_probe.ts";
import { RcuFence } from "../lib/ffi/double_buffer_slot.ts";
import { ASSETS_DIR, assetsWithout, BUILD_DIR, openSystemLibbpf } from "./support/bpf.ts";
import { Cli, monitorArgs } from "./support/cli.ts";
import { eventually } from "./support/fleet_cli.ts";
import { Monitor } from "./support/monitor.ts";
import { ENDS, type NetSide, TestNet } from "./support/namespaces.ts";
import { SyscallActor } from "./support/processes.ts";
import { SocketUser } from "./support/sockets.ts";

const TCP = 6;
const SENT_BYTES = 400_000;

/** Where packets get lost: on arrival at a side, or as it sends them. */
type Loss = `${NetSide} ${"ingress" | "egress"}`;

/** Of a connection, as the side has them that is asked. */
interface Ports {
  local: number;
  remote: number;
}

/** A net that loses packets, and processes in it. */
class LossyNet implements AsyncDisposable {
  readonly net: TestNet;
  readonly #actor: SyscallActor;
  readonly #owned: AsyncDisposableStack;

  private constructor(net: TestNet, actor: SyscallActor, owned: AsyncDisposableStack) {
    this.net = net;
    this.#actor = actor;
    this.#owned = owned;
  }

  static async create(...losses: Loss[]): Promise<LossyNet> {
    await using stack = new AsyncDisposableStack();
    const actor = stack.use(await SyscallActor.build());
    const net = stack.use(await TestNet.create());
    for (const loss of losses) {
      const [side, hook] = loss.split(" ") as [NetSide, string];
      const { iface } = ENDS[side];
      await net.run(side, "tc", ["qdisc", "add", "dev", iface, "clsact"]);
      const program = ["bpf", "direct-action", "object-file", `${BUILD_DIR}/tests/bpf/loss.bpf.o`, "section", "tc"];
      await net.run(side, "tc", ["filter", "add", "dev", iface, hook, ...program]);
    }
    return new LossyNet(net, actor, stack.move());
  }

  user(side: NetSide): SocketUser {
    return this.#owned.use(new SocketUser(this.net, side, this.#actor));
  }

  /** A counter of a side's namespace, from /proc/net/snmp or netstat. */
  async counter(side: NetSide, file: "snmp" | "netstat", group: string, name: string): Promise<number> {
    const lines = (await this.net.run(side, "cat", [`/proc/net/${file}`])).split("\n");
    const [names, values] = lines.filter((line) => line.startsWith(`${group}: `)).map((line) => line.split(" "));
    return Number(values[names.indexOf(name)]);
  }

  /** Segments that a side has sent again: tried, less what could not be sent. */
  async sentAgain(side: NetSide): Promise<number> {
    return await this.counter(side, "snmp", "Tcp", "RetransSegs") -
      await this.counter(side, "netstat", "TcpExt", "TCPRetransFail");
  }

  /** The same of one connection, as its socket has it. */
  async sentAgainBy(side: NetSide, ports: Ports): Promise<number> {
    return Number(/\bretrans:\d+\/(\d+)/.exec(await this.#socket(side, ports))?.[1] ?? 0);
  }

  /** Waits until the other side has acknowledged all that one has sent: nothing of it is sent again after that. */
  async acknowledged(side: NetSide, ports: Ports): Promise<void> {
    await eventually(
      async () => !/\bunacked:\d/.test(await this.#socket(side, ports)),
      () => "acknowledgement of all",
    );
  }

  async #socket(side: NetSide, { local, remote }: Ports): Promise<string> {
    return await this.net.run(side, "ss", ["-tinH", `sport = :${local} and dport = :${remote}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

/** One connection, over which the client at `from` sends; what is lost is sent again until all of it is there. */
async function transfer(lossy: LossyNet, from: NetSide, family: "ipv4" | "ipv6") {
  const to = from === "watched" ? "peer" : "watched";
  const [client, server] = [lossy.user(from), lossy.user(to)];
  const remote = await server.ask("listen", ENDS[to][family], 0);
  const local = await client.ask("connect", ENDS[to][family], remote);
  await server.ask("accept");
  await Promise.all([client.ask("send", null, SENT_BYTES), server.ask("receive", null, SENT_BYTES)]);
  await lossy.acknowledged(from, { local, remote });
  return { local, remote };
}

function sumOf(windows: FlowWindow[], name: keyof WindowRetransmits): number {
  return windows.reduce((sum, { retransmits }) => sum + retransmits![name], 0);
}

/** What the rows say, having checked that it is said of what goes out by TCP and of nothing else. */
function retransmitsOf(rows: FlowRow[]): number {
  for (const { direction, proto, retransmits } of rows) {
    assertEquals(retransmits !== undefined, direction === "egress" && proto === TCP);
  }
  return rows.reduce((sum, { retransmits }) => sum + (retransmits ?? 0), 0);
}

function assertBalanced(windows: FlowWindow[]): void {
  for (const { retransmits, top } of windows) {
    const { segments, attributed, unattributed, overflow, missedRuns } = retransmits!;
    assertEquals(segments, attributed + unattributed + overflow);
    assertEquals(retransmitsOf(top), attributed);
    assertEquals(missedRuns, 0);
  }
}

Deno.test("each segment that is sent again is its connection's, as many as the kernel and the socket count", async () => {
  await using lossy = await LossyNet.create("peer ingress", "watched ingress");
  const monitor = await Monitor.start(lossy.net, { retransmits: true, windowMs: 1_000 });
  const connections = [await transfer(lossy, "watched", "ipv4"), await transfer(lossy, "watched", "ipv6")];
  // These are sent again by the other side, whose namespace is not watched.
  await transfer(lossy, "peer", "ipv4");
  await lossy.net.settle();
  const ofSockets = await Promise.all(connections.map((ports) => lossy.sentAgainBy("watched", ports)));
  const windows = await monitor.stop();
  assertEquals(monitor.ready.notices, []);
  assertBalanced(windows);
  assertEquals(sumOf(windows, "segments"), await lossy.sentAgain("watched"));
  assertEquals(sumOf(windows, "overflow"), 0);
  assertGreaterOrEqual(sumOf(windows, "elsewhere"), await lossy.sentAgain("peer"));
  assertGreater(await lossy.sentAgain("peer"), 0);
  const rows = windows.flatMap(({ top }) => top);
  connections.forEach(({ local, remote }, i) => {
    const own = rows.filter(({ sport, dport }) => sport === local && dport === remote);
    assertGreater(ofSockets[i], 10);
    // A window may end between a packet and the word that it was one more time: then no flow of the next one is met.
    const said = retransmitsOf(own);
    assertGreaterOrEqual(said, ofSockets[i] - sumOf(windows, "unattributed"));
    assert(said <= ofSockets[i]);
  });
});

Deno.test("an answer that is lost is sent again, and is its server's", async () => {
  await using lossy = await LossyNet.create("peer ingress");
  const monitor = await Monitor.start(lossy.net, { retransmits: true, windowMs: 1_000 });
  const ports: number[] = [];
  // The last one's socket is of IPv6, its connection is not.
  for (const [bound, family] of [[ENDS.watched.ipv4, "ipv4"], [ENDS.watched.ipv6, "ipv6"], ["::", "ipv4"]] as const) {
    const [server, client] = [lossy.user("watched"), lossy.user("peer")];
    const port = await server.ask("listen", bound, 0);
    await client.ask("connect", ENDS.watched[family], port);
    await server.ask("accept");
    ports.push(port);
  }
  await lossy.net.settle();
  const windows = await monitor.stop();
  assertBalanced(windows);
  const sentAgain = await lossy.sentAgain("watched");
  assertGreaterOrEqual(sentAgain, ports.length);
  assertEquals(sumOf(windows, "segments"), sentAgain);
  for (const port of ports) {
    const own = windows.flatMap(({ top }) => top).filter(({ sport }) => sport === port);
    // But for those said just after the end of a window.
    assertGreater(retransmitsOf(own) + sumOf(windows, "unattributed"), 0);
  }
});

Deno.test("what could not be sent again is not counted as sent", async () => {
  await using lossy = await LossyNet.create("peer ingress", "watched egress");
  const monitor = await Monitor.start(lossy.net, { retransmits: true });
  const failed = () => lossy.counter("watched", "netstat", "TcpExt", "TCPRetransFail");
  // Which packets are refused is chance; one of those that are sent again will be.
  for (let tries = 0; await failed() === 0 && tries < 50; tries++) await transfer(lossy, "watched", "ipv4");
  await lossy.net.settle();
  const windows = await monitor.stop();
  assertBalanced(windows);
  assertGreater(await failed(), 0);
  assertEquals(sumOf(windows, "segments"), await lossy.sentAgain("watched"));
});

Deno.test("what is sent again where nobody watches is counted, of no flow", async () => {
  await using lossy = await LossyNet.create("peer ingress");
  const monitor = await Monitor.start(lossy.net, { retransmits: true, direction: "ingress" });
  await transfer(lossy, "watched", "ipv4");
  await lossy.net.settle();
  const windows = await monitor.stop();
  assertBalanced(windows);
  assertGreater(sumOf(windows, "segments"), 0);
  assertEquals(sumOf(windows, "segments"), await lossy.sentAgain("watched"));
  assertEquals(sumOf(windows, "unattributed"), sumOf(windows, "segments"));
});

Deno.test("RetransmitProbe counts connections without room as overflow, and loses none of their segments", async () => {
  await using lossy = await LossyNet.create("peer ingress");
  using libbpf = openSystemLibbpf();
  using fence = new RcuFence(libbpf);
  const elf = Deno.readFileSync(`${ASSETS_DIR}/bpf/retransmit.bpf.o`);
  using probe = new RetransmitProbe(libbpf, elf, { entriesMax: 1 });
  probe.attach();
  await transfer(lossy, "watched", "ipv4");
  await transfer(lossy, "watched", "ipv6");
  probe.detach();
  const segments: bigint[] = [];
  const take = () => {
    probe.flip();
    fence.wait();
    return probe.take(({ count, values }) => {
      const view = new DataView(values.buffer, values.byteOffset);
      for (let i = 0; i < count; i++) segments.push(view.getBigUint64(i * 8, true));
    });
  };
  // Those of the whole host, and of these namespaces.
  const { home, other } = take();
  assertEquals(segments.length, 1);
  assertGreater(other.overflow, 0);
  assertEquals(home.seen + other.seen, Number(segments[0]) + home.overflow + other.overflow);
  assertGreaterOrEqual(other.seen, await lossy.sentAgain("watched"));
  // Both sides are empty afterwards.
  segments.length = 0;
  const nothing = { seen: 0, overflow: 0 };
  assertEquals([take(), take()], Array(2).fill({ home: nothing, other: nothing }));
  assertEquals(segments, []);
});

Deno.test("RetransmitTable meets the flow of a socket in another namespace", async () => {
  await using lossy = await LossyNet.create("peer ingress");
  using libbpf = openSystemLibbpf();
  using fence = new RcuFence(libbpf);
  const elf = Deno.readFileSync(`${ASSETS_DIR}/bpf/retransmit.bpf.o`);
  using probe = new RetransmitProbe(libbpf, elf, { entriesMax: 8_192 });
  const table = new RetransmitTable(probe.netns);
  probe.attach();
  const { local, remote } = await transfer(lossy, "watched", "ipv4");
  await lossy.net.settle();
  const sentAgain = await lossy.sentAgainBy("watched", { local, remote });
  probe.detach();
  probe.flip();
  fence.wait();
  const counters = probe.take((batch) => table.addBatch(batch));
  const ports = [local >> 8, local & 0xff, remote >> 8, remote & 0xff];
  const key = Uint8Array.of(192, 0, 2, 11, 192, 0, 2, 10, ...ports, TCP, 1, 0, 0);
  assertEquals(table.segmentsOf(4, key, 0), sentAgain);
  assertEquals(table.finish(counters, 0).forwarded, sentAgain);
});

Deno.test("monitor --sort retransmits ranks by them, in JSON and in metrics that add up", async () => {
  await using lossy = await LossyNet.create("peer ingress");
  const cli = new Cli(lossy.net, monitorArgs("--flows-only", "--sort", "retransmits", "--listen", "127.0.0.1:0"));
  const { listen } = await cli.ready();
  await transfer(lossy, "watched", "ipv4");
  await lossy.net.settle();
  const sentAgain = await lossy.sentAgain("watched");
  assertGreater(sentAgain, 0);
  let said = 0;
  await cli.until(({ type, tcp_retransmits }) => type === "window" && (said += tcp_retransmits) === sentAgain);
  const page = await lossy.net.run("watched", "curl", ["-sf", `http://${listen}/metrics`]);
  cli.kill("SIGINT");
  const { code, stderr, objects } = await cli.result();
  assertEquals([code, stderr], [0, []]);
  const windows = objects.filter(({ type }) => type === "window");
  for (const { top } of windows) {
    const ranked = top.map(({ retransmits = 0 }: { retransmits?: number }) => retransmits);
    assertEquals(ranked, ranked.toSorted((a: number, b: number) => b - a));
  }
  const total = (name: string) => Number(new RegExp(`_total{class="${name}"} (.*)$`, "m").exec(page)?.[1]);
  const { tcp_retransmits, attributed_retransmits, unattributed_retransmits } = objects.at(-1)!;
  assertEquals(tcp_retransmits, sentAgain);
  assertEquals(tcp_retransmits, attributed_retransmits + unattributed_retransmits);
  assertEquals([total("attributed"), total("unattributed")], [attributed_retransmits, unattributed_retransmits]);
});

Deno.test("the program for kernels before Linux 6.17 is one that a verifier takes", () => {
  using libbpf = openSystemLibbpf();
  using object = BpfObject.open(libbpf, "retransmit", Deno.readFileSync(`${ASSETS_DIR}/bpf/retransmit.bpf.o`));
  object.setAutoload("segments_tried", false);
  object.load();
  assertGreater(object.programFd("segments_sent"), 0);
});

Deno.test("without what counts retransmits, flows are counted and a notice says what is missing", async () => {
  const assetsDir = await assetsWithout("retransmit.bpf.o");
  try {
    await using net = await TestNet.create();
    const monitor = await Monitor.start(net, { assetsDir, retransmits: true });
    const windows = await monitor.stop();
    assertEquals(monitor.ready.notices.map((notice) => notice.split(":")[0]), ["retransmits are not counted"]);
    assert(windows.every(({ retransmits }) => retransmits === undefined));
  } finally {
    await Deno.remove(assetsDir, { recursive: true });
  }
});
