/**
 * Processes of known numbers talk between two namespaces; each flow must be theirs, on each side, in each of the ways
 * that this machine's kernel takes. tests/kernels has the others.
 */
import { assertEquals, assertGreater, assertLessOrEqual, assertNotEquals } from "./assert.ts";
import { parseAddress } from "../lib/net/address.ts";
import { hostProcessDetails } from "../lib/processes/host_details.ts";
import { OwnerWatch as MonitorOwners } from "../lib/aggregate/owners/owner_watch.ts";
import { monotonicNs } from "../lib/ffi/libc.ts";
import type { OwnedFlow, SocketOwners } from "../lib/aggregate/owners/socket_owners.ts";
import type { SocketOwnerProbeOptions } from "../lib/aggregate/owners/socket_owner_probe.ts";
import type { FilterableFlow } from "../lib/filter/flows.ts";
import { ASSETS_DIR, openSystemLibbpf } from "./support/bpf.ts";
import { Monitor } from "./support/monitor.ts";
import { delay } from "../lib/runtime/timers.ts";
import { ENDS, type NetSide, TestNet } from "./support/namespaces.ts";
import { SyscallActor } from "./support/processes.ts";
import { netnsOf, OwnerWatch, SocketUser } from "./support/sockets.ts";

/** What each way promises is in `promises()`; a way that sees each call promises more. */
const SUITES: { name: string; options: Partial<SocketOwnerProbeOptions> }[] = [
  { name: "by tracepoints", options: { ways: ["tracepoints"] } },
  { name: "by states and scans", options: { ways: ["states"] } },
  { name: "by states and scans, kept by address", options: { ways: ["states"], byAddress: true } },
];

const PROTO = { icmp: 1, tcp: 6, udp: 17 } as const;

/** A server at the watched end, a client at the peer's, in a net of their own. */
class Talk implements AsyncDisposable {
  readonly actor: SyscallActor;
  readonly net: TestNet;
  readonly netns: Record<NetSide, number>;
  readonly #owned: AsyncDisposableStack;

  private constructor(actor: SyscallActor, net: TestNet, owned: AsyncDisposableStack, netns: Record<NetSide, number>) {
    this.actor = actor;
    this.net = net;
    this.netns = netns;
    this.#owned = owned;
  }

  static async create(): Promise<Talk> {
    await using stack = new AsyncDisposableStack();
    const actor = stack.use(await SyscallActor.build());
    const net = stack.use(await TestNet.create());
    const netns = { watched: await netnsOf(net, "watched"), peer: await netnsOf(net, "peer") };
    return new Talk(actor, net, stack.move(), netns);
  }

  user(side: NetSide, options: { cpu?: number } = {}): SocketUser {
    return this.#owned.use(new SocketUser(this.net, side, this.actor, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}

/** What the watched end sees of a conversation: to its server, and back. */
function flows(family: "ipv4" | "ipv6", proto: number, ports: { client: number; server: number }): OwnedFlow[] {
  const client = ENDS.peer[family];
  const server = ENDS.watched[family];
  const firstSeenNs = monotonicNs();
  return [
    { direction: "ingress", src: client, dst: server, sport: ports.client, dport: ports.server, proto, firstSeenNs },
    { direction: "egress", src: server, dst: client, sport: ports.server, dport: ports.client, proto, firstSeenNs },
  ];
}

/** The same packets at the other end of the cable. */
function mirrored(flow: OwnedFlow): OwnedFlow {
  return { ...flow, direction: flow.direction === "ingress" ? "egress" : "ingress" };
}

function pids(owners: SocketOwners, flows: OwnedFlow[], netns: number): (number | null)[] {
  return flows.map((flow) => owners.ownerOf(flow, netns)?.pid ?? null);
}

for (const { name, options } of SUITES) promises(name, options);

/** The tests that each way passes. */
function promises(name: string, options: Partial<SocketOwnerProbeOptions>): void {
  Deno.test(`${name}: each byte of a TCP connection is its server's on one side and its client's on the other`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const monitors = {
      watched: await Monitor.start(talk.net, {}, "watched"),
      peer: await Monitor.start(talk.net, {}, "peer"),
    };
    const server = talk.user("watched");
    const client = talk.user("peer");
    for (const family of ["ipv4", "ipv6"] as const) {
      const port = await server.ask("listen", ENDS.watched[family], 0);
      await client.ask("connect", ENDS.watched[family], port);
      await server.ask("accept");
      await Promise.all([client.ask("send", null, 300_000), server.ask("receive", null, 300_000)]);
      await Promise.all([server.ask("send", null, 200_000), client.ask("receive", null, 200_000)]);
    }
    await watch.scanIfNeeded();
    await talk.net.settle();
    const owned = { watched: server.pid, peer: client.pid };
    for (const side of ["watched", "peer"] as const) {
      const rows = (await monitors[side].stop()).flatMap((window) => window.top).filter(({ proto }) => proto === 6);
      const owners = rows.map((row) => watch.owners.ownerOf(row, talk.netns[side]));
      assertEquals([...new Set(owners.map((owner) => owner?.pid))], [owned[side]]);
      assertEquals([...new Set(owners.map((owner) => owner?.comm))], [talk.actor.comm]);
      assertEquals([...new Set(owners.map((owner) => owner?.netns))], [talk.netns[side]]);
      assertGreater(rows.reduce((sum, { bytes }) => sum + bytes, 0), 1_000_000);
    }
  });

  for (const family of ["ipv4", "ipv6"] as const) {
    Deno.test(`${name}: a TCP connection over ${family} has owners before it has carried a byte`, async () => {
      await using talk = await Talk.create();
      using watch = new OwnerWatch(options);
      const server = talk.user("watched");
      const client = talk.user("peer");
      const any = family === "ipv4" ? "0.0.0.0" : "::";
      const serverPort = await server.ask("listen", any, 0);
      const clientPort = await client.ask("connect", ENDS.watched[family], serverPort);
      const seen = flows(family, PROTO.tcp, { client: clientPort, server: serverPort });
      assertEquals(pids(watch.owners, seen, talk.netns.watched), [server.pid, server.pid]);
      assertEquals(pids(watch.owners, seen.map(mirrored), talk.netns.peer), [client.pid, client.pid]);
    });
  }

  Deno.test(`${name}: a connection that nobody answers is its client's`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const client = talk.user("peer");
    const address = "192.0.2.99";
    const clientPort = await client.ask("try", address, 81);
    const [, toNobody] = flows("ipv4", PROTO.tcp, { client: 81, server: clientPort });
    const flow = { ...toNobody, src: ENDS.peer.ipv4, dst: address };
    assertEquals(watch.owners.ownerOf(flow)?.pid, client.pid);
    assertEquals(watch.owners.ownerOf({ ...flow, firstSeenNs: flow.firstSeenNs + 200_000_000_000n }), null);
  });

  for (const family of ["ipv4", "ipv6"] as const) {
    Deno.test(`${name}: UDP over ${family} that is not connected has owners in both directions`, async () => {
      await using talk = await Talk.create();
      using watch = new OwnerWatch(options);
      const server = talk.user("watched");
      const client = talk.user("peer");
      const serverPort = await server.ask("udp", family === "ipv4" ? "0.0.0.0" : "::", 0);
      const clientPort = await client.ask("udp", ENDS.peer[family], 0);
      await client.ask(`sendto-${serverPort}`, ENDS.watched[family], 100);
      await server.ask("receive", null, 100);
      await watch.scanIfNeeded();
      const seen = flows(family, PROTO.udp, { client: clientPort, server: serverPort });
      assertEquals(pids(watch.owners, seen, talk.netns.watched), [server.pid, server.pid]);
      assertEquals(pids(watch.owners, seen.map(mirrored), talk.netns.peer), [client.pid, client.pid]);
    });
  }

  Deno.test(`${name}: a socket on any address of another namespace is found once that one's address is known`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const [server, other] = [talk.user("watched"), talk.user("watched")];
    const client = talk.user("peer");
    const port = await server.ask("udp", "0.0.0.0", 0);
    const clientPort = await client.ask("udp", "0.0.0.0", 0);
    const [toServer] = flows("ipv4", PROTO.udp, { client: clientPort, server: port });
    await client.ask(`sendto-${port}`, ENDS.watched.ipv4, 100);
    await server.ask("receive", null, 100);
    await other.ask("udp", ENDS.watched.ipv4, 0);
    await other.ask("sendto-9", ENDS.peer.ipv4, 10);
    await watch.scanIfNeeded();
    assertEquals(watch.owners.ownerOf(toServer)?.pid, server.pid);
  });

  Deno.test(`${name}: a socket of both families is found by an IPv4 flow`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const server = talk.user("watched");
    const client = talk.user("peer");
    const port = await server.ask("udp", "::", 0);
    await client.ask("udp", "0.0.0.0", 0);
    await client.ask(`sendto-${port}`, ENDS.watched.ipv4, 100);
    await server.ask("receive", null, 100);
    await watch.scanIfNeeded();
    const [toServer] = flows("ipv4", PROTO.udp, { client: 9, server: port });
    assertEquals(watch.owners.ownerOf(toServer, talk.netns.watched)?.pid, server.pid);
  });

  Deno.test(`${name}: connections and sockets from before the start are found by the scan`, async () => {
    await using talk = await Talk.create();
    const server = talk.user("watched");
    const client = talk.user("peer");
    const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
    const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
    await server.ask("accept");
    const datagrams = talk.user("watched");
    const udpPort = await datagrams.ask("udp", "0.0.0.0", 0);

    using watch = new OwnerWatch(options);
    const tcp = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort });
    const [udp] = flows("ipv4", PROTO.udp, { client: 4_000, server: udpPort });
    assertEquals(pids(watch.owners, [...tcp, udp], talk.netns.watched), [null, null, null]);
    await watch.probe.scan();
    assertEquals(pids(watch.owners, tcp, talk.netns.watched), [server.pid, server.pid]);
    assertEquals(pids(watch.owners, tcp.map(mirrored), talk.netns.peer), [client.pid, client.pid]);
    const owner = watch.owners.ownerOf(udp, talk.netns.watched);
    assertEquals([owner?.pid, owner?.comm, owner?.netns], [datagrams.pid, talk.actor.comm, talk.netns.watched]);
  });

  Deno.test(`${name}: a connection belongs to the child that a server forks for it, once it is used there`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const server = talk.user("watched");
    const client = talk.user("peer");
    const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
    const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
    await server.ask("accept");
    await server.ask("send", null, 10);
    const seen = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort });
    assertEquals(pids(watch.owners, seen, talk.netns.watched), [server.pid, server.pid]);
    const childPid = await server.ask("fork");
    assertNotEquals(childPid, server.pid);
    await server.ask("send", null, 10);
    await watch.scanIfNeeded();
    assertEquals(pids(watch.owners, seen, talk.netns.watched), [childPid, childPid]);
  });

  Deno.test(`${name}: a process that has ended is still named, and the port's next owner is another`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const first = talk.user("watched");
    const port = await first.ask("udp", ENDS.watched.ipv4, 0);
    await first.ask("sendto-9", ENDS.peer.ipv4, 10);
    await watch.scanIfNeeded();
    await first[Symbol.asyncDispose]();
    const [, sent] = flows("ipv4", PROTO.udp, { client: 9, server: port });
    const ended = watch.owners.ownerOf(sent, talk.netns.watched);
    assertEquals([ended?.pid, ended?.comm], [first.pid, talk.actor.comm]);

    const second = talk.user("watched");
    await second.ask("udp", ENDS.watched.ipv4, port);
    await second.ask("sendto-9", ENDS.peer.ipv4, 10);
    await watch.scanIfNeeded();
    const next = watch.owners.ownerOf(sent, talk.netns.watched);
    assertEquals(next?.pid, second.pid);
    assertGreater(next!.startedNs, ended!.startedNs);
  });

  Deno.test(`${name}: packets that are only forwarded are found at their other end; those without ports at none`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const server = talk.user("watched");
    const client = talk.user("peer");
    const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
    const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
    const [toServer] = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort });
    // As a host sees it whose bridge the client's packet leaves by, with no process of the server's.
    const forwarded = { ...toServer, dst: "203.0.113.1", dport: 1 };
    assertEquals(watch.owners.ownerOf(forwarded), null);
    assertEquals(watch.owners.ownerOf({ ...toServer, direction: "egress" })?.pid, client.pid);
    assertEquals(watch.owners.ownerOf({ ...toServer, proto: PROTO.icmp }), null);
  });

  Deno.test(`${name}: a connection belongs to the child that has got it from who connected`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const server = talk.user("watched");
    const client = talk.user("peer");
    const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
    const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
    const seen = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort }).map(mirrored);
    await watch.scanIfNeeded();
    assertEquals(pids(watch.owners, seen, talk.netns.peer), [client.pid, client.pid]);
    const childPid = await client.ask("pass");
    await client.ask("send", null, 10);
    await watch.scanIfNeeded();
    assertEquals(pids(watch.owners, seen, talk.netns.peer), [childPid, childPid]);
  });

  Deno.test(`${name}: a TCP connection belongs to who receives from it, of two that hold it`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const server = talk.user("watched");
    const client = talk.user("peer");
    const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
    const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
    await server.ask("accept");
    const childPid = await client.ask("fork");
    await server.ask("send", null, 10);
    await client.ask("receive", null, 10);
    const seen = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort }).map(mirrored);
    assertEquals(pids(watch.owners, seen, talk.netns.peer), [childPid, childPid]);
    await watch.scanIfNeeded();
    assertEquals(pids(watch.owners, seen, talk.netns.peer), [childPid, childPid]);
  });

  // The kernel gives the memory of a socket to the next one, and ports are used again.
  Deno.test(`${name}: sockets that come and go one after another are never taken for an earlier one`, async () => {
    await using talk = await Talk.create();
    using watch = new OwnerWatch(options);
    const port = 4_000;
    const [, sent] = flows("ipv4", PROTO.udp, { client: 9, server: port });
    for (let round = 0; round < 6; round++) {
      const [server, client, datagrams] = [talk.user("watched"), talk.user("peer"), talk.user("watched")];
      const serverPort = await server.ask("listen", ENDS.watched.ipv4, 0);
      const clientPort = await client.ask("connect", ENDS.watched.ipv4, serverPort);
      await datagrams.ask("udp", ENDS.watched.ipv4, port);
      await datagrams.ask("sendto-9", ENDS.peer.ipv4, 10);
      await watch.scanIfNeeded();
      const tcp = flows("ipv4", PROTO.tcp, { client: clientPort, server: serverPort });
      assertEquals(pids(watch.owners, [...tcp, sent], talk.netns.watched), [server.pid, server.pid, datagrams.pid]);
      assertEquals(pids(watch.owners, tcp.map(mirrored), talk.netns.peer), [client.pid, client.pid]);
      for (const user of [datagrams, client, server]) await user[Symbol.asyncDispose]();
    }
  });
}

Deno.test("two processes of one number that use one port in turn are told apart", async () => {
  await using talk = await Talk.create();
  using watch = new OwnerWatch();
  const user = talk.user("watched");
  const port = await user.ask("udp", ENDS.watched.ipv4, 0);
  const [, sent] = flows("ipv4", PROTO.udp, { client: 9, server: port });
  const pid = await user.ask("child", ENDS.peer.ipv4, 0);
  const first = watch.owners.ownerOf(sent, talk.netns.watched)!;
  assertEquals(await user.ask("child", ENDS.peer.ipv4, pid), pid);
  const second = watch.owners.ownerOf(sent, talk.netns.watched)!;
  assertEquals([first.pid, second.pid], [pid, pid]);
  assertGreater(second.startedNs, first.startedNs);
});

Deno.test("the table forgets sockets that nobody uses, and knows a busy one again", async () => {
  await using talk = await Talk.create();
  using watch = new OwnerWatch({ ownersMax: 128 });
  // The kernel's table has a list for each CPU, and one CPU takes from another's only when nothing else is left: what
  // was noted on an idle CPU stays. So both are on one.
  const [busy, others] = [talk.user("watched", { cpu: 0 }), talk.user("watched", { cpu: 0 })];
  const send = async (user: SocketUser) => {
    const port = await user.ask("udp", ENDS.watched.ipv4, 0);
    await user.ask("sendto-9", ENDS.peer.ipv4, 10);
    return port;
  };
  const ownerOf = (port: number) => {
    const [, sent] = flows("ipv4", PROTO.udp, { client: 9, server: port });
    return watch.owners.ownerOf(sent, talk.netns.watched)?.pid ?? null;
  };
  const busyPort = await send(busy);
  const ports: number[] = [];
  for (let i = 0; i < 600; i++) ports.push(await send(others));
  assertEquals(ownerOf(ports.at(-1)!), others.pid);
  assertLessOrEqual(ports.filter((port) => ownerOf(port) !== null).length, 128);
  assertEquals(ownerOf(busyPort), null);
  // As long as 250 timer ticks last on the slowest kernels.
  await delay(2_600);
  await busy.ask("sendto-9", ENDS.peer.ipv4, 10);
  assertEquals(ownerOf(busyPort), busy.pid);
});

Deno.test("the kernel takes every program, and a probe leaves nothing attached", async () => {
  await using talk = await Talk.create();
  const user = talk.user("watched");
  using watch = new OwnerWatch();
  assertEquals(watch.probe.notices, []);
  watch.probe.detach();
  const port = await user.ask("udp", ENDS.watched.ipv4, 0);
  await user.ask("sendto-9", ENDS.peer.ipv4, 10);
  const [, sent] = flows("ipv4", PROTO.udp, { client: 9, server: port });
  assertEquals(watch.owners.ownerOf(sent, talk.netns.watched), null);
});

Deno.test("each way says what it is, and what it does not see", () => {
  const said = SUITES.map(({ options }) => {
    using watch = new OwnerWatch(options);
    return [watch.probe.way.split(" ")[0], watch.probe.needsScans, watch.probe.notices.length];
  });
  assertEquals(said, [["BTF", false, 0], ["socket", true, 1], ["socket", true, 1]]);
});

Deno.test("sockets that only scans find are named while monitor runs, and its last scan ends with it", async () => {
  await using talk = await Talk.create();
  using libbpf = openSystemLibbpf();
  const notices: string[] = [];
  const details = hostProcessDetails();
  const options = { assetsDir: ASSETS_DIR };
  const started = { options, details, notice: (text: string) => notices.push(text), ways: ["states"] as const };
  using watch = (await MonitorOwners.tryStart(libbpf, started))!;
  assertEquals(notices.map((notice) => notice.split(":")[0]), [
    "who sends, and who receives UDP, is named when a scan finds the socket",
  ]);
  const user = talk.user("watched");
  const [src, dst] = [parseAddress(ENDS.watched.ipv4)!, parseAddress(ENDS.peer.ipv4)!];
  // More than one scan after the start has to come.
  for (let round = 0; round < 2; round++) {
    const sport = await user.ask("udp", ENDS.watched.ipv4, 0);
    const flow = { direction: "egress" as const, src, dst, sport, dport: 9, proto: PROTO.udp };
    const deadlineMs = performance.now() + 20_000;
    while (watch.ownerOf(flow as FilterableFlow) === null && performance.now() < deadlineMs) await delay(100);
    assertEquals(watch.ownerOf(flow as FilterableFlow)?.pid, user.pid);
  }
  watch.detach();
  await watch.settle();
});
