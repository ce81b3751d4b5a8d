/**
 * Ethernet frames by parts. Each function makes one header in front of its payload; lengths are filled in unless the
 * caller lies about them. Checksums stay zero: our programs do not look, and the kernel drops what arrives silently
 * instead of answering.
 */

export type Bytes = Uint8Array<ArrayBuffer>;

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, qinq: 0x88a8, lldp: 0x88cc } as const;
export const PROTO = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  none: 59,
  destination: 60,
  sctp: 132,
} as const;
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

export function concat(...parts: ArrayLike<number>[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Bytes that are different from place to place. */
export function filler(lengthBytes: number): Bytes {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => 0xa0 + i);
}

function be16(value: number): number[] {
  return [value >> 8 & 0xff, value & 0xff];
}

function be32(value: number): number[] {
  return [...be16(value >>> 16), ...be16(value & 0xffff)];
}

/** `192.0.2.1` */
export function ip4(text: string): number[] {
  return text.split(".").map(Number);
}

/** Eight groups, with at most one `::`. */
export function ip6(text: string): number[] {
  const [head, tail] = text.split("::").map((half) => half === "" ? [] : half.split(":"));
  const groups = tail === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail];
  return groups.flatMap((group) => be16(parseInt(group, 16)));
}

const DEFAULT_MACS = { dst: [2, 0, 0, 0, 0, 0xb], src: [2, 0, 0, 0, 0, 0xa] };

/** @param options.tags EtherTypes of the VLAN tags, outermost first */
export function ethernet(
  type: number,
  payload: ArrayLike<number>,
  options: { tags?: number[]; dst?: number[]; src?: number[] } = {},
): Bytes {
  const { tags = [], dst, src } = { ...DEFAULT_MACS, ...options };
  const tagged = tags.flatMap((tag, i) => [...be16(tag), ...be16(100 + i)]);
  return concat(dst, src, tagged, be16(type), payload);
}

export interface Ipv4Options {
  src?: string;
  dst?: string;
  /** Bytes of options; a multiple of 4. */
  options?: ArrayLike<number>;
  /** In 8-byte units. */
  fragmentOffset?: number;
  moreFragments?: boolean;
  dontFragment?: boolean;
  /** What the header claims in place of the truth. */
  version?: number;
  headerWords?: number;
  totalBytes?: number;
}

export function ipv4(proto: number, payload: ArrayLike<number>, options: Ipv4Options = {}): Bytes {
  const extra = options.options ?? [];
  const headerWords = options.headerWords ?? 5 + extra.length / 4;
  const fragment = (options.fragmentOffset ?? 0) | (options.moreFragments ? 0x2000 : 0) |
    (options.dontFragment ? 0x4000 : 0);
  return concat(
    [(options.version ?? 4) << 4 | headerWords, 0],
    be16(options.totalBytes ?? 20 + extra.length + payload.length),
    [0x12, 0x34],
    be16(fragment),
    [64, proto, 0, 0],
    ip4(options.src ?? "192.0.2.1"),
    ip4(options.dst ?? "198.51.100.2"),
    extra,
    payload,
  );
}

export interface Ipv6Options {
  src?: string;
  dst?: string;
  version?: number;
  payloadBytes?: number;
}

export function ipv6(next: number, payload: ArrayLike<number>, options: Ipv6Options = {}): Bytes {
  return concat(
    [(options.version ?? 6) << 4, 0, 0, 0],
    be16(options.payloadBytes ?? payload.length),
    [next, 64],
    ip6(options.src ?? "2001:db8::1"),
    ip6(options.dst ?? "2001:db8:1::2"),
    payload,
  );
}

/** Hop-by-hop, destination and routing headers: `units` of 8 bytes beyond the first 8. */
export function extension(next: number, payload: ArrayLike<number>, units = 0): Bytes {
  return concat([next, units, 1, 4], new Uint8Array(4 + units * 8), payload);
}

/** @param offset in 8-byte units */
export function fragment6(next: number, payload: ArrayLike<number>, offset = 0, more = false): Bytes {
  return concat([next, 0], be16(offset << 3 | (more ? 1 : 0)), [0, 0, 0x56, 0x78], payload);
}

/** Authentication header with a check value of `words` 32-bit words. */
export function authentication(next: number, payload: ArrayLike<number>, words = 3): Bytes {
  return concat([next, words + 1, 0, 0], be32(0x100), be32(1), new Uint8Array(words * 4), payload);
}

export interface TcpOptions {
  sport?: number;
  dport?: number;
  flags?: number;
  /** Bytes of options; a multiple of 4. */
  options?: ArrayLike<number>;
  headerWords?: number;
}

export function tcp(payload: ArrayLike<number> = [], options: TcpOptions = {}): Bytes {
  const extra = options.options ?? [];
  return concat(
    be16(options.sport ?? 40_000),
    be16(options.dport ?? 443),
    be32(1),
    be32(2),
    [(options.headerWords ?? 5 + extra.length / 4) << 4, options.flags ?? TCP_FLAG.ack],
    [0xff, 0xff, 0, 0, 0, 0],
    extra,
    payload,
  );
}

export function udp(payload: ArrayLike<number> = [], sport = 5353, dport = 53): Bytes {
  return concat(be16(sport), be16(dport), be16(8 + payload.length), [0, 0], payload);
}

export function sctp(payload: ArrayLike<number> = [], sport = 2905, dport = 3868): Bytes {
  return concat(be16(sport), be16(dport), be32(7), be32(0), payload);
}

/** ICMP and ICMPv6. */
export function icmp(type: number, code = 0, payload: ArrayLike<number> = [0, 1, 0, 1]): Bytes {
  return concat([type, code, 0, 0], payload);
}

export function gre(payload: ArrayLike<number> = filler(8)): Bytes {
  return concat([0, 0], be16(ETHERTYPE.ipv4), payload);
}

export function arp(): Bytes {
  const request = concat([0, 1, 8, 0, 6, 4, 0, 1], [2, 0, 0, 0, 0, 0xa], ip4("192.0.2.1"));
  return concat(request, new Uint8Array(6), ip4("192.0.2.2"), new Uint8Array(18));
}

const { vlan, qinq } = ETHERTYPE;

/** One frame of everything that bpf/parse.h tells apart, by name. */
export function sampleFrames(): Map<string, Bytes> {
  const v4 = (proto: number, payload: ArrayLike<number>, options?: Ipv4Options) =>
    ethernet(ETHERTYPE.ipv4, ipv4(proto, payload, options));
  const v6 = (next: number, payload: ArrayLike<number>, options?: Ipv6Options) =>
    ethernet(ETHERTYPE.ipv6, ipv6(next, payload, options));
  const udp4 = ipv4(PROTO.udp, udp(filler(10)));
  const udp6 = ipv6(PROTO.udp, udp(filler(10)));
  const { hopByHop, destination, routing, fragment, ah } = PROTO;
  const chain = (headers: number) => {
    let payload: Bytes = udp(filler(4));
    let next: number = PROTO.udp;
    for (let i = 0; i < headers; i++) [payload, next] = [extension(next, payload), destination];
    return v6(next, payload);
  };
  return new Map<string, Bytes>([
    ["TCP over IPv4", v4(PROTO.tcp, tcp(filler(20)))],
    ["TCP over IPv4 with every flag", v4(PROTO.tcp, tcp([], { flags: 0xff }))],
    ["TCP over IPv4 without a flag", v4(PROTO.tcp, tcp([], { flags: 0 }))],
    ["TCP over IPv4 with TCP options", v4(PROTO.tcp, tcp(filler(7), { options: filler(40), flags: TCP_FLAG.syn }))],
    ["TCP whose header claims 16 bytes", v4(PROTO.tcp, tcp(filler(20), { headerWords: 4 }))],
    ["TCP whose header claims more than the packet has", v4(PROTO.tcp, tcp(filler(20), { headerWords: 15 }))],
    ["UDP over IPv4", v4(PROTO.udp, udp(filler(30)))],
    ["UDP over IPv4, padded to 60 bytes", concat(v4(PROTO.udp, udp()), new Uint8Array(18))],
    ["UDP of 7 bytes, padded", concat(v4(PROTO.udp, udp().slice(0, 7)), new Uint8Array(18))],
    ["SCTP over IPv4", v4(PROTO.sctp, sctp(filler(16)))],
    ["SCTP of 11 bytes, padded", concat(v4(PROTO.sctp, sctp().slice(0, 11)), new Uint8Array(18))],
    ["ICMP echo request", v4(PROTO.icmp, icmp(8))],
    ["ICMP port unreachable", v4(PROTO.icmp, icmp(3, 3, filler(28)))],
    ["ICMP of 3 bytes, padded", concat(v4(PROTO.icmp, [8, 0, 0]), new Uint8Array(18))],
    ["GRE over IPv4", v4(PROTO.gre, gre())],
    ["ESP over IPv4", v4(PROTO.esp, filler(32))],
    ["IPv4 without a payload", v4(253, [])],
    ["IPv4 with a time stamp option", v4(PROTO.udp, udp(), { options: [68, 8, 5, 0, 0, 0, 0, 0] })],
    ["IPv4 with 40 bytes of options", v4(PROTO.tcp, tcp(), { options: filler(40) })],
    ["IPv4 that must not be fragmented", v4(PROTO.udp, udp(), { dontFragment: true })],
    ["first fragment of IPv4", v4(PROTO.udp, udp(filler(16)), { moreFragments: true })],
    ["later fragment of IPv4", v4(PROTO.udp, filler(24), { fragmentOffset: 3, moreFragments: true })],
    ["last fragment of IPv4", v4(PROTO.udp, filler(5), { fragmentOffset: 8191 })],
    ["IPv4 EtherType with version 5", v4(PROTO.udp, udp(), { version: 5 })],
    ["IPv4 with a header of 4 words", v4(PROTO.udp, udp(), { headerWords: 4 })],
    ["IPv4 whose total is less than its header", v4(PROTO.udp, udp(), { totalBytes: 19 })],
    ["IPv4 whose total is zero", v4(PROTO.udp, udp(), { totalBytes: 0 })],
    ["IPv4 whose total is one more than there is", v4(PROTO.udp, udp(), { totalBytes: 29 })],
    ["IPv4 whose options pass its total", v4(PROTO.udp, udp(filler(60)), { headerWords: 15, totalBytes: 56 })],

    ["TCP over IPv6", v6(PROTO.tcp, tcp(filler(20), { flags: TCP_FLAG.syn | TCP_FLAG.ece }))],
    ["UDP over IPv6", v6(PROTO.udp, udp(filler(1)))],
    ["SCTP over IPv6", v6(PROTO.sctp, sctp(filler(4)))],
    ["ICMPv6 neighbour solicitation", v6(PROTO.icmpv6, icmp(135, 0, filler(20)))],
    ["GRE over IPv6", v6(PROTO.gre, gre())],
    ["IPv6 with no next header", v6(PROTO.none, [])],
    ["IPv6 with a payload length of zero", v6(PROTO.udp, udp(), { payloadBytes: 0 })],
    ["IPv6 EtherType with version 4", v6(PROTO.udp, udp(), { version: 4 })],
    ["IPv6 whose payload is one more than there is", v6(PROTO.udp, udp(), { payloadBytes: 9 })],
    ["IPv6 whose UDP header does not fit", concat(v6(PROTO.udp, udp(), { payloadBytes: 7 }), new Uint8Array(4))],
    ["IPv6, padded", concat(v6(PROTO.udp, udp()), filler(6))],
    ["IPv6 hop-by-hop", v6(hopByHop, extension(PROTO.icmpv6, icmp(143, 0, filler(24))))],
    ["IPv6 jumbogram", v6(hopByHop, extension(PROTO.udp, udp(filler(200))), { payloadBytes: 0 })],
    ["IPv6 routing", v6(routing, extension(PROTO.tcp, tcp(), 2))],
    ["IPv6 destination options of 2040 bytes", v6(destination, extension(PROTO.udp, udp(), 254))],
    ["IPv6 destination options of 2048 bytes", v6(destination, extension(PROTO.udp, udp(), 255))],
    ["a fragment behind options of 2040 bytes", v6(destination, extension(fragment, fragment6(17, filler(8), 3), 254))],
    ["IPv6 authentication", v6(ah, authentication(PROTO.tcp, tcp()))],
    ["IPv6 authentication, then destination options", v6(ah, authentication(destination, extension(17, udp()), 4))],
    ["IPv6 ESP", v6(PROTO.esp, filler(40))],
    ["IPv6 atomic fragment", v6(fragment, fragment6(PROTO.udp, udp()))],
    ["first fragment of IPv6", v6(fragment, fragment6(PROTO.tcp, tcp(filler(12)), 0, true))],
    ["later fragment of IPv6", v6(fragment, fragment6(PROTO.tcp, filler(16), 4, true))],
    ["last fragment of IPv6", v6(fragment, fragment6(PROTO.udp, filler(3), 8191))],
    ["hop-by-hop, then a later fragment", v6(hopByHop, extension(fragment, fragment6(17, filler(8), 1)))],
    ["IPv6 with 8 extension headers", chain(8)],
    ["IPv6 with 9 extension headers", chain(9)],
    ["IPv6 extension past the payload", v6(destination, extension(PROTO.udp, udp()).fill(3, 1, 2))],
    ["IPv6 extension that passes into padding", concat(v6(destination, [17, 0, 1, 4]), new Uint8Array(20))],
    ["a fragment header in the padding", concat(v6(fragment, []), fragment6(PROTO.udp, filler(8), 5))],

    ["one VLAN tag", ethernet(ETHERTYPE.ipv4, udp4, { tags: [vlan] })],
    ["one 802.1ad tag", ethernet(ETHERTYPE.ipv6, udp6, { tags: [qinq] })],
    ["two VLAN tags", ethernet(ETHERTYPE.ipv6, udp6, { tags: [qinq, vlan] })],
    ["two VLAN tags over IPv4", ethernet(ETHERTYPE.ipv4, udp4, { tags: [vlan, vlan] })],
    ["three VLAN tags", ethernet(ETHERTYPE.ipv4, udp4, { tags: [qinq, vlan, vlan] })],
    ["a VLAN tag before ARP", ethernet(ETHERTYPE.arp, arp(), { tags: [vlan] })],
    ["ARP", ethernet(ETHERTYPE.arp, arp())],
    ["LLDP", ethernet(ETHERTYPE.lldp, filler(46))],
    ["an IEEE 802.3 length for an EtherType", ethernet(46, filler(46))],
    ["nothing after Ethernet", ethernet(ETHERTYPE.ipv4, [])],
    ["EtherType zero alone", ethernet(0, [])],
  ]);
}
