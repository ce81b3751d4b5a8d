/** Connections and flows as the maps of the kernel have them, for tests of retransmits. */
import { parseAddress } from "../../lib/net/address.ts";
import { mapped } from "../../lib/aggregate/owners/socket_owners.ts";
import { writeField } from "../../lib/wire/layout.ts";
import { FLOW4_KEY, FLOW6_KEY, SOCKET_KEY } from "../../lib/wire/layouts.gen.ts";
import type { MapBatch } from "../../lib/wire/records.ts";

/** Inode of our own network namespace. */
export const HERE = 4_026_531_840;
const TCP = 6;

export interface Ends {
  src: string;
  sport: number;
  dst: string;
  dport: number;
}

/** Connections as the kernel's map has them. */
export function connections(...entries: (Ends & { segments: bigint; netns?: number })[]): MapBatch {
  const keys = new DataView(new ArrayBuffer(entries.length * SOCKET_KEY.size));
  const values = new BigUint64Array(entries.map(({ segments }) => segments));
  entries.forEach(({ src, sport, dst, dport, netns = HERE }, i) => {
    const at = i * SOCKET_KEY.size;
    writeField(keys, SOCKET_KEY, "local", mapped(parseAddress(src)!), at);
    writeField(keys, SOCKET_KEY, "remote", mapped(parseAddress(dst)!), at);
    writeField(keys, SOCKET_KEY, "netns", netns, at);
    writeField(keys, SOCKET_KEY, "local_port", sport, at);
    writeField(keys, SOCKET_KEY, "remote_port", dport, at);
    writeField(keys, SOCKET_KEY, "proto", TCP, at);
  });
  return { count: entries.length, keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

/** A flow's packed key; it goes out unless told otherwise. */
export function flowKey({ src, sport, dst, dport }: Ends, { proto = TCP, ingress = false, slot = 0 } = {}) {
  const [from, to] = [parseAddress(src)!, parseAddress(dst)!];
  const layout = from.length === 4 ? FLOW4_KEY : FLOW6_KEY;
  const view = new DataView(new ArrayBuffer(layout.size));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(from, layout.fields.src.offset);
  bytes.set(to, layout.fields.dst.offset);
  view.setUint16(layout.fields.sport.offset, sport);
  view.setUint16(layout.fields.dport.offset, dport);
  view.setUint8(layout.fields.proto.offset, proto);
  view.setUint8(layout.fields.direction.offset, ingress ? 0 : 1);
  view.setUint16(layout.fields.iface_slot.offset, slot, true);
  return { family: from.length === 4 ? 4 as const : 6 as const, bytes };
}

export function reversed({ src, sport, dst, dport }: Ends): Ends {
  return { src: dst, sport: dport, dst: src, dport: sport };
}
