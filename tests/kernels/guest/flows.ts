/** One monitor of a veth's end: flows both ways, their owners on each side, and windows that change under load. */
import { assert, assertEquals, assertGreater } from "../../assert.ts";
import { Cli, type JsonObject } from "../../support/cli.ts";
import { ENDS, type NetSide } from "../../support/namespaces.ts";
import { SocketUser } from "../../support/sockets.ts";
import { testNet } from "./programs_run.ts";
import { type Guest, subject } from "./subject.ts";

const ETHERNET_HEADER_BYTES = 14;
const PINGS = 20;
const LOAD_PINGS = 2_000;
const TCP_BYTES = { toServer: 300_000, toClient: 200_000 };
const DATAGRAMS = 20;
const COMM = "syscall_actor";
/** type * 256 + code: what stands in the place of a port. */
const ECHO = { ipv4: [8 << 8, 0], ipv6: [128 << 8, 129 << 8] };
const FAMILIES = ["ipv4", "ipv6"] as const;
const OTHER = { watched: "peer", peer: "watched" } as const;

/** A conversation over TCP and one over UDP, the server at `side`. */
async function talk(
  guest: Guest,
  net: Awaited<ReturnType<typeof testNet>>,
  side: NetSide,
  family: typeof FAMILIES[number],
) {
  const actor = { path: `${guest.data}/syscall_actor`, comm: COMM };
  const user = (at: NetSide) => guest.owned.use(new SocketUser(net, at, actor));
  const [server, client] = [user(side), user(OTHER[side])];
  const address = ENDS[side][family];
  const tcpPort = await server.ask("listen", address, 0);
  const tcpClientPort = await client.ask("connect", address, tcpPort);
  await server.ask("accept");
  const { toServer, toClient } = TCP_BYTES;
  await Promise.all([client.ask("send", null, toServer), server.ask("receive", null, toServer)]);
  await Promise.all([server.ask("send", null, toClient), client.ask("receive", null, toClient)]);
  const [udpServer, udpClient] = [user(side), user(OTHER[side])];
  const udpPort = await udpServer.ask("udp", address, 0);
  const udpClientPort = await udpClient.ask("udp", ENDS[OTHER[side]][family], 0);
  for (let i = 0; i < DATAGRAMS; i++) {
    await udpClient.ask(`sendto-${udpPort}`, address, 100);
    await udpServer.ask("receive", null, 100);
    await udpServer.ask(`sendto-${udpClientPort}`, ENDS[OTHER[side]][family], 50);
    await udpClient.ask("receive", null, 50);
  }
  // What the watched end's process is.
  const watched = (atServer: SocketUser, atClient: SocketUser) => side === "watched" ? atServer.pid : atClient.pid;
  return [
    { proto: "tcp", ports: [tcpPort, tcpClientPort], pid: watched(server, client) },
    { proto: "udp", ports: [udpPort, udpClientPort], pid: watched(udpServer, udpClient) },
  ];
}

function sum(objects: JsonObject[], field: string): number {
  return objects.reduce((total, object) => total + object[field], 0);
}

async function gather(guest: Guest) {
  const net = await testNet(guest);
  const before = await net.counters("watched");
  const flags = ["--json", "--window", "250", "--top", "1000", "--listen", "off"];
  const cli = new Cli(net, ["monitor", ENDS.watched.iface, ...flags]);
  const ready = await cli.ready();
  for (const family of FAMILIES) {
    await net.run("peer", "ping", ["-q", "-c", `${PINGS}`, "-i", "0.01", ENDS.watched[family]]);
  }
  const talks = [];
  for (const side of ["watched", "peer"] as const) {
    for (const family of FAMILIES) talks.push(...await talk(guest, net, side, family));
  }
  await net.run("peer", "ping", ["-q", "-f", "-c", `${LOAD_PINGS}`, ENDS.watched.ipv4]);
  await net.settle();
  const after = await net.counters("watched");
  // The last packets are in the window that the signal ends.
  cli.kill("SIGINT");
  const { code, stderr, objects } = await cli.result();
  const windows = objects.filter(({ type }) => type === "window");
  const rows: JsonObject[] = windows.flatMap(({ top }) => top);
  return { ready, code, stderr, objects, windows, rows, talks, before, after };
}

type Evidence = Awaited<ReturnType<typeof gather>>;

/** Rows of the flows between two ports, whichever is the source. */
function between({ rows }: Evidence, proto: string, ports: number[]): JsonObject[] {
  const sorted = [...ports].sort().join();
  return rows.filter((row) => row.proto === proto && [row.sport, row.dport].sort().join() === sorted);
}

/** Packets and bytes that the monitor says went one way. */
function seen({ windows }: Evidence, direction: string): { packets: number; bytes: number } {
  const rows: JsonObject[] = windows.flatMap(({ interfaces }) => interfaces).filter((row) =>
    row.direction === direction
  );
  return { packets: sum(rows, "seen_packets"), bytes: sum(rows, "seen_bytes") };
}

function owners(evidence: Evidence, wanted: string): void {
  for (const { proto, ports, pid } of evidence.talks) {
    if (proto !== wanted) continue;
    const rows = between(evidence, proto, ports);
    assertGreater(rows.length, 0);
    assertEquals([...new Set(rows.map((row) => `${row.pid} ${row.comm}`))], [`${pid} ${COMM}`]);
    assertEquals(new Set(rows.map(({ direction }) => direction)), new Set(["ingress", "egress"]));
  }
}

export const flows = subject({
  name: "flows",
  limitSeconds: 200,
  gather,
  checks: {
    "both directions are watched, and nothing is amiss": ({ ready, code, stderr, objects }) => {
      const [{ mode, egress }] = ready.interfaces;
      assert(mode !== null && egress !== null, JSON.stringify(ready));
      assertEquals([code, stderr], [0, []]);
      assertEquals(objects.filter(({ type }) => type === "alert").map(({ message }) => message), []);
    },
    "both directions agree with the device": (evidence) => {
      const { before, after, ready } = evidence;
      const of = (field: "rxPackets" | "txPackets" | "rxBytes" | "txBytes") => after[field] - before[field];
      // With a native XDP program on it, veth leaves the Ethernet header out of the bytes it says it received.
      const header = ready.interfaces[0].mode === "native" ? ETHERNET_HEADER_BYTES : 0;
      const received = { packets: of("rxPackets"), bytes: of("rxBytes") + header * of("rxPackets") };
      assertEquals(seen(evidence, "ingress"), received);
      assertEquals(seen(evidence, "egress"), { packets: of("txPackets"), bytes: of("txBytes") });
    },
    "echo requests and replies are counted, IPv4 and IPv6": ({ rows }) => {
      const packets = (ports: number[]) =>
        ports.map((port) => sum(rows.filter(({ proto, dport }) => /^icmp/.test(proto) && dport === port), "packets"));
      assertEquals(packets(ECHO.ipv4), [PINGS + LOAD_PINGS, PINGS + LOAD_PINGS]);
      assertEquals(packets(ECHO.ipv6), [PINGS, PINGS]);
    },
    "UDP flows have each datagram": (evidence) => {
      for (const { ports } of evidence.talks.filter(({ proto }) => proto === "udp")) {
        assertEquals(sum(between(evidence, "udp", ports), "packets"), 2 * DATAGRAMS);
      }
    },
    "TCP flows carry at least what was sent": (evidence) => {
      for (const { ports } of evidence.talks.filter(({ proto }) => proto === "tcp")) {
        const rows = between(evidence, "tcp", ports);
        assertGreater(sum(rows, "bytes"), TCP_BYTES.toServer + TCP_BYTES.toClient);
      }
    },
    "TCP flows have their owners, servers and clients": (evidence) => owners(evidence, "tcp"),
    "UDP flows have their owners, servers and clients": (evidence) => owners(evidence, "udp"),
    "windows follow each other without a gap and balance": ({ windows, objects }) => {
      assertGreater(windows.length, 4);
      windows.forEach((window, i) => {
        assertEquals(window.sequence, i);
        if (i > 0) assertEquals(window.start_ns, windows[i - 1].end_ns);
        for (const unit of ["packets", "bytes"]) {
          const parts = window[unit] + window[`overflow_${unit}`] + window[`other_${unit}`];
          assertEquals(window[`seen_${unit}`], parts);
        }
      });
      const summary = objects.at(-1)!;
      assertEquals([summary.type, summary.balanced], ["summary", true]);
      assertEquals(summary.seen_packets, sum(windows, "seen_packets"));
    },
  },
});
