/**
 * Whose flow it is: from a row's five-tuple and direction to the process that uses its end on this host.
 */
import { readField, writeField } from "../../wire/layout.ts";
import { SOCKET_KEY, SOCKET_OWNER } from "../../wire/layouts.gen.ts";
import type { FilterableFlow } from "../../filter/flows.ts";
import { parseAddress } from "../../net/address.ts";
import type { SocketOwner } from "../../processes/process_identity.ts";
import type { FlowRow } from "../windows/flow_window.ts";

/** Where owners are noted: packed C structs of bpf/socket_owner.h. */
export interface OwnerTable {
  lookup(key: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> | null;
  /** Inode of the network namespace that has an address; null where that is not known. */
  netnsOf(address: Uint8Array<ArrayBuffer>): number | null;
}

/** What a flow is looked up by. */
export type OwnedFlow = Pick<FlowRow, "direction" | "src" | "dst" | "sport" | "dport" | "proto" | "firstSeenNs">;

/** The same as the map has it: 4 or 16 bytes of address. */
type PackedFlow = Pick<FilterableFlow, "direction" | "src" | "dst" | "sport" | "dport" | "proto">;

const PROTO = { tcp: 6, udp: 17, sctp: 132 } as const;
const WITH_PORTS: readonly number[] = Object.values(PROTO);

const ANY_IPV4 = mapped(new Uint8Array(4));
const ANY_IPV6 = new Uint8Array(16);
const LOOPBACK_IPV6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** A connection is tried for about two minutes. */
const CONNECTING_MAX_NS = 130_000_000_000n;

interface End {
  address: Uint8Array<ArrayBuffer>;
  port: number;
}

const NO_END: End = { address: ANY_IPV6, port: 0 };

/** The form of addresses in keys: 16 bytes, IPv4 as ::ffff:192.0.2.1. */
export function mapped(address: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  if (address.length === 16) {
    bytes.set(address);
    return bytes;
  }
  bytes.fill(0xff, 10, 12);
  bytes.set(address, 12);
  return bytes;
}

export function isMapped(address: Uint8Array): boolean {
  return equal(address.subarray(0, 12), ANY_IPV4.subarray(0, 12));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

/** Whether an address means the same in every namespace: is_shared() of bpf/socket_owner.bpf.c. */
export function isShared(address: Uint8Array): boolean {
  if (isMapped(address)) return address[12] === 127 || equal(address, ANY_IPV4);
  if (address[0] === 0xfe && (address[1] & 0xc0) === 0x80) return true;
  return equal(address, ANY_IPV6) || equal(address, LOOPBACK_IPV6);
}

function readOwner(view: DataView): SocketOwner {
  return {
    pid: readField(view, SOCKET_OWNER, "identity.pid"),
    startedNs: readField(view, SOCKET_OWNER, "identity.started_ns"),
    comm: readField(view, SOCKET_OWNER, "identity.comm"),
    uid: readField(view, SOCKET_OWNER, "identity.uid"),
    gid: readField(view, SOCKET_OWNER, "identity.gid"),
    cgroupId: readField(view, SOCKET_OWNER, "identity.cgroup_id"),
    notedNs: readField(view, SOCKET_OWNER, "noted_ns"),
    netns: readField(view, SOCKET_OWNER, "netns"),
  };
}

export class SocketOwners {
  readonly #table: OwnerTable;
  readonly #netns: number;
  readonly #key = new DataView(new ArrayBuffer(SOCKET_KEY.size));

  /** @param netns inode of the network namespace whose interfaces the flows were seen at */
  constructor(table: OwnerTable, netns: number) {
    this.#table = table;
    this.#netns = netns;
  }

  /**
   * The process that uses the flow's end on this host: the destination of what comes in, the source of what goes out.
   * First the connection itself; then, as for UDP that is not connected and for a connection that its server has not
   * touched yet, the socket with that local address and port; then the one with that port on any address. What is only
   * forwarded here, as to a container behind a bridge, is looked for at its other end, by the whole five-tuple alone.
   *
   * @param netns of the interface that the flow was seen at, where it is another than the constructor's
   * @returns null when no process is known: an ICMP message, a forwarded packet, one that the kernel answers by itself
   */
  ownerOf(flow: OwnedFlow, netns: number = this.#netns): SocketOwner | null {
    const src = parseAddress(flow.src);
    const dst = parseAddress(flow.dst);
    if (src === null || dst === null) return null;
    return this.ownerOfPacked({ ...flow, src, dst }, () => flow.firstSeenNs, netns);
  }

  /** The same by the bytes of the addresses, which are lent. @param seenNs when the flow was seen, CLOCK_MONOTONIC */
  ownerOfPacked(flow: PackedFlow, seenNs: () => bigint, netns: number = this.#netns): SocketOwner | null {
    if (!WITH_PORTS.includes(flow.proto)) return null;
    const from: End = { address: mapped(flow.src), port: flow.sport };
    const to: End = { address: mapped(flow.dst), port: flow.dport };
    const [local, remote] = flow.direction === "ingress" ? [to, from] : [from, to];
    const find = (local: End, remote: End) => this.#find(flow.proto, netns, local, remote);
    return find(local, remote) ??
      (flow.proto === PROTO.tcp ? this.#connecting(seenNs, netns, local, remote) : null) ??
      find(local, NO_END) ??
      this.#anyAddress(flow.proto, netns, local) ??
      find(remote, local);
  }

  /** A socket with the port and no address: in the namespace that has the flow's, else in the interface's. */
  #anyAddress(proto: number, netns: number, local: End): SocketOwner | null {
    const addressNetns = this.#table.netnsOf(local.address);
    for (const candidate of addressNetns === null || addressNetns === netns ? [netns] : [addressNetns, netns]) {
      const find = (address: Uint8Array<ArrayBuffer>) =>
        this.#find(proto, candidate, { address, port: local.port }, NO_END);
      const owner = (isMapped(local.address) ? find(ANY_IPV4) : null) ?? find(ANY_IPV6);
      if (owner !== null) return owner;
    }
    return null;
  }

  /** Who tries to connect from a port that was not chosen yet when that was noted. */
  #connecting(seenNs: () => bigint, netns: number, local: End, remote: End): SocketOwner | null {
    const owner = this.#find(PROTO.tcp, netns, { address: local.address, port: 0 }, remote);
    return owner !== null && seenNs() - owner.notedNs < CONNECTING_MAX_NS ? owner : null;
  }

  #find(proto: number, netns: number, local: End, remote: End): SocketOwner | null {
    const key = this.#key;
    writeField(key, SOCKET_KEY, "local", local.address);
    writeField(key, SOCKET_KEY, "remote", remote.address);
    writeField(key, SOCKET_KEY, "netns", isShared(local.address) ? netns : 0);
    writeField(key, SOCKET_KEY, "local_port", local.port);
    writeField(key, SOCKET_KEY, "remote_port", remote.port);
    writeField(key, SOCKET_KEY, "proto", proto);
    const found = this.#table.lookup(new Uint8Array(key.buffer));
    return found === null ? null : readOwner(found);
  }
}
