/** Filters of the clsact qdisc: lists those of a hook in the order in which they see a packet, adds and removes one. */
import type { Direction } from "../wire/traffic.ts";
import { EINVAL, ENODEV, ENOENT, SystemError } from "../runtime/errors.ts";
import {
  attributeNumber,
  attributeText,
  decodeAttributes,
  encodeAttribute,
  joinBytes,
  NLM_F_CREATE,
  NLM_F_EXCL,
  type RouteSocket,
} from "./netlink.ts";

const RTM_NEWQDISC = 36, RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44, RTM_DELTFILTER = 45, RTM_GETTFILTER = 46;

const TCA_KIND = 1, TCA_OPTIONS = 2, TCA_CHAIN = 11;
const TCA_BPF_FD = 6, TCA_BPF_NAME = 7, TCA_BPF_FLAGS = 8, TCA_BPF_ID = 11;
/** TCA_BPF_FLAG_ACT_DIRECT: the program's return value decides on the packet. */
const TCA_BPF_FLAG_ACT_DIRECT = 1;

/** Parent of the clsact qdisc, and of the ingress qdisc: an interface has at most one of the two. */
const TC_H_CLSACT = 0xffff_fff1;
const CLSACT_HANDLE = 0xffff_0000;
/** The parent of a hook's filters. */
const HOOK_PARENT: Record<Direction, number> = { ingress: 0xffff_fff2, egress: 0xffff_fff3 };

const ETH_P_ALL = 3;
/** ETH_P_ALL in network byte order, as in the low half of tcm_info. */
export const PROTOCOL_ALL = ETH_P_ALL << 8;

/** A direction of an interface. */
export interface TcHook {
  ifindex: number;
  direction: Direction;
}

/** The place of a filter on a hook. A filter of a lower priority sees a packet earlier. */
export interface FilterPlace extends TcHook {
  priority: number;
  handle: number;
}

export interface TcFilter extends FilterPlace {
  /** "bpf", "flower", "matchall" and so on. */
  kind: string;
  /** EtherType in network byte order. */
  protocol: number;
  /** Packets start in chain 0; filters of other chains see only packets that an action sends there. */
  chain: number;
  /** For kind "bpf" the name that its owner gave it; else empty. */
  name: string;
  /** For kind "bpf" the id of its program; else 0. */
  programId: number;
}

/** A struct tcmsg: u8 family, 3 bytes of padding; int ifindex; u32 handle, parent, info */
function encodeTcMessage(fields: { ifindex: number; handle: number; parent: number; info: number }) {
  const message = new DataView(new ArrayBuffer(20));
  message.setInt32(4, fields.ifindex, true);
  message.setUint32(8, fields.handle, true);
  message.setUint32(12, fields.parent, true);
  message.setUint32(16, fields.info, true);
  return new Uint8Array(message.buffer);
}

function decodeTcMessage(body: Uint8Array<ArrayBuffer>) {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  return {
    ifindex: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    info: view.getUint32(16, true),
    attributes: decodeAttributes(body.subarray(20)),
  };
}

function filterMessage({ ifindex, direction, priority, handle }: FilterPlace): Uint8Array<ArrayBuffer> {
  const info = ((priority << 16) | PROTOCOL_ALL) >>> 0;
  const message = encodeTcMessage({ ifindex, handle, parent: HOOK_PARENT[direction], info });
  return joinBytes([message, encodeAttribute(TCA_KIND, "bpf")]);
}

/** Parses an answer of a dump; null for the entry that heads the filters of a priority. */
export function decodeFilter(body: Uint8Array<ArrayBuffer>, direction: Direction): TcFilter | null {
  const { ifindex, handle, info, attributes } = decodeTcMessage(body);
  const options = attributes.get(TCA_OPTIONS);
  if (options === undefined || handle === 0) return null;
  const kind = attributeText(attributes.get(TCA_KIND));
  const bpf = kind === "bpf" ? decodeAttributes(options) : new Map<number, Uint8Array<ArrayBuffer>>();
  return {
    ifindex,
    direction,
    priority: info >>> 16,
    protocol: info & 0xffff,
    handle,
    chain: attributeNumber(attributes.get(TCA_CHAIN)),
    kind,
    name: attributeText(bpf.get(TCA_BPF_NAME)),
    programId: attributeNumber(bpf.get(TCA_BPF_ID)),
  };
}

/**
 * Lists the filters of a hook in the order in which they see a packet; none where there is no qdisc.
 *
 * @throws {SystemError}
 */
export function listFilters(socket: RouteSocket, hook: TcHook): TcFilter[] {
  const body = encodeTcMessage({ ifindex: hook.ifindex, handle: 0, parent: HOOK_PARENT[hook.direction], info: 0 });
  return socket.dump({ type: RTM_GETTFILTER, body }, `filters of interface ${hook.ifindex}`)
    .map((answer) => decodeFilter(answer, hook.direction))
    .filter((filter) => filter !== null);
}

/**
 * Lists interfaces with a qdisc that has hooks.
 *
 * @returns ifindex to "clsact", or "ingress", which has one hook
 * @throws {SystemError}
 */
export function listHookQdiscs(socket: RouteSocket): Map<number, string> {
  const body = encodeTcMessage({ ifindex: 0, handle: 0, parent: 0, info: 0 });
  const qdiscs = socket.dump({ type: RTM_GETQDISC, body }, "qdiscs").map(decodeTcMessage);
  return new Map(
    qdiscs.filter(({ parent }) => parent === TC_H_CLSACT)
      .map(({ ifindex, attributes }) => [ifindex, attributeText(attributes.get(TCA_KIND))]),
  );
}

/** Adds the clsact qdisc. @returns 0, or the errno: EEXIST where the interface has one, or an ingress qdisc */
export function addClsact(socket: RouteSocket, ifindex: number): number {
  const message = encodeTcMessage({ ifindex, handle: CLSACT_HANDLE, parent: TC_H_CLSACT, info: 0 });
  const body = joinBytes([message, encodeAttribute(TCA_KIND, "clsact")]);
  return socket.change({ type: RTM_NEWQDISC, flags: NLM_F_CREATE | NLM_F_EXCL, body });
}

/** Adds a filter, and never replaces one. @returns 0, or the errno: EEXIST where the place is taken */
export function addFilter(socket: RouteSocket, place: FilterPlace, program: { fd: number; name: string }): number {
  const options = joinBytes([
    encodeAttribute(TCA_BPF_FD, program.fd),
    encodeAttribute(TCA_BPF_NAME, program.name),
    encodeAttribute(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT),
  ]);
  const body = joinBytes([filterMessage(place), encodeAttribute(TCA_OPTIONS, options)]);
  return socket.change({ type: RTM_NEWTFILTER, flags: NLM_F_CREATE | NLM_F_EXCL, body });
}

/** @returns 0, or the errno */
function deleteFilter(socket: RouteSocket, place: FilterPlace): number {
  return socket.change({ type: RTM_DELTFILTER, body: filterMessage(place) });
}

/**
 * The earliest priority at which another BPF filter for all protocols can be added. All filters of a priority are of
 * one kind and for one protocol; the newest of them comes first.
 */
export function earliestPriority(filters: readonly TcFilter[]): number {
  const closed = new Set(
    filters.filter(({ chain, kind, protocol }) => chain === 0 && (kind !== "bpf" || protocol !== PROTOCOL_ALL))
      .map(({ priority }) => priority),
  );
  let priority = 1;
  while (closed.has(priority)) priority++;
  return priority;
}

/** True for an errno that says that the interface, the qdisc or the filter no longer exists. */
function isMissing(errno: number): boolean {
  return [ENOENT, ENODEV, EINVAL].includes(errno);
}

/** @throws {SystemError} */
export function removeFilter(socket: RouteSocket, place: FilterPlace): void {
  const errno = deleteFilter(socket, place);
  if (errno !== 0 && !isMissing(errno)) {
    throw new SystemError(`remove a filter from interface ${place.ifindex}`, errno);
  }
}
