import { assertEquals } from "../../../tests/assert.ts";
import { writeField } from "../../wire/layout.ts";
import { SOCKET_KEY, SOCKET_OWNER } from "../../wire/layouts.gen.ts";
import { parseAddress } from "../../net/address.ts";
import { type OwnedFlow, SocketOwners } from "./socket_owners.ts";

const NETNS = 4_026_531_840;
const SECOND = 1_000_000_000n;

interface Socket {
  pid: number;
  proto?: number;
  local: string;
  localPort: number;
  remote?: string;
  remotePort?: number;
  netns?: number;
  notedNs?: bigint;
}

/** 16 bytes; IPv4 mapped. */
function bytesOf(text: string): Uint8Array {
  return parseAddress(text.includes(":") ? text : `::ffff:${text}`)!;
}

/** A table as the kernel fills it. */
function tableOf(
  sockets: Socket[],
  addresses: Record<string, number> = {},
): { owners: SocketOwners; lookups: () => number } {
  const text = (key: DataView) => new Uint8Array(key.buffer, key.byteOffset, SOCKET_KEY.size).join();
  const entries = new Map(sockets.map((socket) => {
    const key = new DataView(new ArrayBuffer(SOCKET_KEY.size));
    writeField(key, SOCKET_KEY, "local", bytesOf(socket.local));
    writeField(key, SOCKET_KEY, "remote", bytesOf(socket.remote ?? "::"));
    writeField(key, SOCKET_KEY, "netns", socket.netns ?? 0);
    writeField(key, SOCKET_KEY, "local_port", socket.localPort);
    writeField(key, SOCKET_KEY, "remote_port", socket.remotePort ?? 0);
    writeField(key, SOCKET_KEY, "proto", socket.proto ?? 6);
    const value = new DataView(new ArrayBuffer(SOCKET_OWNER.size));
    writeField(value, SOCKET_OWNER, "identity.pid", socket.pid);
    writeField(value, SOCKET_OWNER, "identity.started_ns", 5n);
    writeField(value, SOCKET_OWNER, "identity.uid", 1000);
    writeField(value, SOCKET_OWNER, "identity.gid", 100);
    writeField(value, SOCKET_OWNER, "identity.cgroup_id", 7n);
    writeField(value, SOCKET_OWNER, "identity.comm", "server");
    writeField(value, SOCKET_OWNER, "noted_ns", socket.notedNs ?? SECOND);
    writeField(value, SOCKET_OWNER, "netns", socket.netns ?? NETNS);
    return [text(key), value];
  }));
  let lookups = 0;
  const lookup = (key: Uint8Array<ArrayBuffer>) => {
    lookups++;
    return entries.get(text(new DataView(key.buffer, key.byteOffset))) ?? null;
  };
  const netnsOf = (address: Uint8Array<ArrayBuffer>) => {
    const [, netns] = Object.entries(addresses).find(([text]) => bytesOf(text).join() === address.join()) ?? [];
    return netns ?? null;
  };
  return { owners: new SocketOwners({ lookup, netnsOf }, NETNS), lookups: () => lookups };
}

const IN: OwnedFlow = {
  direction: "ingress",
  src: "198.51.100.2",
  dst: "192.0.2.1",
  sport: 40_000,
  dport: 443,
  proto: 6,
  firstSeenNs: 2n * SECOND,
};
const OUT: OwnedFlow = { ...IN, direction: "egress", src: IN.dst, dst: IN.src, sport: IN.dport, dport: IN.sport };
const CONNECTION = { local: "192.0.2.1", localPort: 443, remote: "198.51.100.2", remotePort: 40_000 };

Deno.test("ownerOf() finds the local end of both directions and reads all of the owner", () => {
  const { owners } = tableOf([{ pid: 12, ...CONNECTION }]);
  assertEquals(owners.ownerOf(IN), {
    pid: 12,
    startedNs: 5n,
    comm: "server",
    uid: 1000,
    gid: 100,
    cgroupId: 7n,
    notedNs: SECOND,
    netns: NETNS,
  });
  assertEquals(owners.ownerOf(OUT)?.pid, 12);
});

Deno.test("ownerOf() prefers the connection, then the bound address, then any address of the family", () => {
  const sockets: Socket[] = [
    { pid: 1, ...CONNECTION },
    { pid: 2, local: "192.0.2.1", localPort: 443 },
    { pid: 3, local: "0.0.0.0", localPort: 443, netns: NETNS },
    { pid: 4, local: "::", localPort: 443, netns: NETNS },
  ];
  for (let known = 0; known < sockets.length; known++) {
    const { owners } = tableOf(sockets.slice(known));
    assertEquals([owners.ownerOf(IN)?.pid, owners.ownerOf(OUT)?.pid], [known + 1, known + 1]);
  }
});

Deno.test("ownerOf() does not take another protocol, port or namespace", () => {
  const { owners } = tableOf([
    { pid: 1, ...CONNECTION, proto: 17 },
    { pid: 2, local: "192.0.2.1", localPort: 444 },
    { pid: 3, local: "0.0.0.0", localPort: 443, netns: NETNS + 1 },
  ]);
  assertEquals(owners.ownerOf(IN), null);
  assertEquals(owners.ownerOf({ ...IN, proto: 17 })?.pid, 1);
  assertEquals(owners.ownerOf(IN, NETNS + 1)?.pid, 3);
});

Deno.test("ownerOf() looks for any address first in the namespace that has the flow's", () => {
  const pod = NETNS + 1;
  const ofHost = { pid: 1, proto: 17, local: "0.0.0.0", localPort: 53, netns: NETNS };
  const ofPod = { pid: 2, proto: 17, local: "::", localPort: 53, netns: pod };
  const flow = { ...IN, proto: 17, dport: 53 };
  const pid = (sockets: Socket[], addresses: Record<string, number>) =>
    tableOf(sockets, addresses).owners.ownerOf(flow)?.pid;
  assertEquals(pid([ofHost, ofPod], { [IN.dst]: pod }), 2);
  assertEquals(pid([ofHost, ofPod], { [IN.dst]: NETNS }), 1);
  assertEquals(pid([ofHost, ofPod], {}), 1);
  assertEquals(pid([ofHost], { [IN.dst]: pod }), 1);
  assertEquals(pid([ofPod], { [IN.src]: pod }), undefined);
});

Deno.test("ownerOf() keeps loopback and link-local addresses of two namespaces apart", () => {
  for (const local of ["127.0.0.1", "127.1.2.3", "::1", "fe80::1"]) {
    const remote = local;
    const { owners } = tableOf([
      { pid: 1, local, localPort: 443, remote, remotePort: 40_000, netns: NETNS },
      { pid: 2, local, localPort: 443, remote, remotePort: 40_000, netns: NETNS + 1 },
    ]);
    const flow = { ...IN, src: remote, dst: local };
    assertEquals([owners.ownerOf(flow)?.pid, owners.ownerOf(flow, NETNS + 1)?.pid], [1, 2]);
  }
});

Deno.test("ownerOf() names who tries to connect, for as long as that takes", () => {
  const connecting = { pid: 8, local: "192.0.2.1", localPort: 0, remote: "198.51.100.2", remotePort: 443 };
  const { owners } = tableOf([{ ...connecting, notedNs: SECOND }]);
  const flow = { ...OUT, sport: 51_000, dport: 443 };
  assertEquals(owners.ownerOf(flow)?.pid, 8);
  assertEquals(owners.ownerOf({ ...flow, firstSeenNs: 300n * SECOND }), null);
  assertEquals(owners.ownerOf({ ...flow, proto: 17 }), null);
});

Deno.test("ownerOf() takes the other end of what is forwarded, but never by its port alone", () => {
  const forwarded: OwnedFlow = { ...IN, src: "192.0.2.1", dst: "198.51.100.2", sport: 443, dport: 40_000 };
  assertEquals(tableOf([{ pid: 1, ...CONNECTION }]).owners.ownerOf(forwarded)?.pid, 1);
  const byPort = tableOf([
    { pid: 2, local: "192.0.2.1", localPort: 443 },
    { pid: 3, local: "0.0.0.0", localPort: 443, netns: NETNS },
  ]);
  assertEquals(byPort.owners.ownerOf(forwarded), null);
});

Deno.test("ownerOf() does not look for what has no ports", () => {
  const { owners, lookups } = tableOf([]);
  assertEquals(owners.ownerOf({ ...IN, proto: 1 }), null);
  assertEquals(owners.ownerOf({ ...IN, proto: 58 }), null);
  assertEquals(lookups(), 0);
});

Deno.test("ownerOfPacked() takes addresses as the map has them, and the time only when it matters", () => {
  const { owners } = tableOf([{ pid: 1, ...CONNECTION }]);
  const packed = { ...IN, src: parseAddress(IN.src)!, dst: parseAddress(IN.dst)! };
  const never = (): bigint => {
    throw new Error("asked for the time");
  };
  assertEquals(owners.ownerOfPacked(packed, never)?.pid, 1);
  assertEquals(owners.ownerOfPacked({ ...packed, proto: 1 }, never), null);
});
