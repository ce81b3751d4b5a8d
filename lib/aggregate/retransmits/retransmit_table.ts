/**
 * Whose segments were sent again: from what one window's sockets retransmitted to the flows of the same window. What a
 * socket sends is a flow that goes out, from its local end to its remote one.
 */
import { readField } from "../../wire/layout.ts";
import { FLOW4_KEY, FLOW6_KEY, SOCKET_KEY } from "../../wire/layouts.gen.ts";
import type { MapBatch } from "../../wire/records.ts";
import { PROTO_TCP } from "../../net/iana.ts";
import { DIRECTIONS } from "../../wire/traffic.ts";
import { type RetransmitCounters, retransmitRecord, type WindowRetransmits } from "../windows/retransmit_counts.ts";
import { isMapped, isShared } from "../owners/socket_owners.ts";

/** One connection. */
interface Connection {
  isHome: boolean;
  /** The local one above the remote one. */
  ports: number;
  /** 4 or 16 bytes, as flows have them. */
  local: Uint8Array;
  remote: Uint8Array;
  segments: number;
  /** A flow of it was seen; on two interfaces there are two. */
  met: boolean;
}

const KEYS = { 4: FLOW4_KEY.fields, 6: FLOW6_KEY.fields } as const;
const VALUE_BYTES = 8;
const MAPPED_BYTES = 12;
const EGRESS = DIRECTIONS.indexOf("egress");

/** Reduces one window after another: `addBatch`, then `segmentsOf` for each flow, then `finish`. */
export class RetransmitTable {
  readonly #netns: number;
  /** By what `hash` makes of both ports and the remote address: seldom more than one. */
  readonly #connections = new Map<number, Connection[]>();

  /** @param netns inode of the network namespace whose interfaces the flows are seen at */
  constructor(netns: number) {
    this.#netns = netns;
  }

  /** Takes connections: a `struct socket_key` and a `__u64` of segments each. */
  addBatch({ count, keys, values }: MapBatch): void {
    const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
    const valueView = new DataView(values.buffer, values.byteOffset, values.byteLength);
    for (let i = 0; i < count; i++) {
      const at = i * SOCKET_KEY.size;
      const isHome = readField(keyView, SOCKET_KEY, "netns", at) === this.#netns;
      // Lent.
      const local = readField(keyView, SOCKET_KEY, "local", at).slice();
      const remote = readField(keyView, SOCKET_KEY, "remote", at).slice();
      // Another namespace's loopback or link-local address is somebody else's here.
      if (!isHome && isShared(local)) continue;
      const start = isMapped(local) ? MAPPED_BYTES : 0;
      const ports = readField(keyView, SOCKET_KEY, "local_port", at) << 16 |
        readField(keyView, SOCKET_KEY, "remote_port", at);
      const connection: Connection = {
        isHome,
        ports,
        local: local.subarray(start),
        remote: remote.subarray(start),
        segments: Number(valueView.getBigUint64(i * VALUE_BYTES, true)),
        met: false,
      };
      const key = hash(ports, connection.remote, connection.remote.length);
      const others = this.#connections.get(key);
      if (others === undefined) this.#connections.set(key, [connection]);
      // Of two namespaces with the same addresses the flow is of the one whose interfaces are watched.
      else if (isHome) others.unshift(connection);
      else others.push(connection);
    }
  }

  /**
   * Segments of the flow's connection that were sent again. The flow's packed key lies at `at` of `keys`.
   *
   * @returns null for a flow whose socket cannot be on this side: what comes in, and what is not TCP
   */
  segmentsOf(family: 4 | 6, keys: Uint8Array, at: number): number | null {
    const { src, dst, sport, dport, proto, direction } = KEYS[family];
    if (keys[at + proto.offset] !== PROTO_TCP || keys[at + direction.offset] !== EGRESS) return null;
    if (this.#connections.size === 0) return 0;
    const ports = half(keys, at + sport.offset) << 16 | half(keys, at + dport.offset);
    const found = this.#connections.get(hash(ports, keys, at + dst.offset + dst.size))?.find((it) =>
      it.ports === ports && it.local.length === src.size && startsWith(keys, at + src.offset, it.local) &&
      startsWith(keys, at + dst.offset, it.remote)
    );
    if (found === undefined) return 0;
    found.met = true;
    return found.segments;
  }

  /** The window's sums; the next call to `addBatch` starts the next one. */
  finish(counters: RetransmitCounters, missedRuns: number): WindowRetransmits {
    const met = { home: 0, other: 0 };
    for (const connection of [...this.#connections.values()].flat()) {
      if (connection.met) met[connection.isHome ? "home" : "other"] += connection.segments;
    }
    this.#connections.clear();
    return retransmitRecord((_, { from }) => from(counters, met, missedRuns));
  }
}

/** Two bytes, the first of them higher. */
function half(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}

/**
 * Ports alone would not do: in a flood of SYNs from one port, all answers that are sent again have the same.
 *
 * @param end where in `bytes` the remote address ends
 */
function hash(ports: number, bytes: Uint8Array, end: number): number {
  return ports ^ (half(bytes, end - 4) << 16 | half(bytes, end - 2));
}

function startsWith(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  return expected.every((byte, i) => bytes[at + i] === byte);
}
