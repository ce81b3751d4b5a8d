/**
 * What a frame is, told independently of the BPF programs: from RFC 791, 8200, 2675, 4302, 9293 and the rules that
 * bpf/flow.h states for what has no flow. A header or a stated length that reaches past the frame makes it truncated;
 * one that contradicts itself or the header around it, malformed. What comes first in the frame decides.
 */
import type { OtherClass } from "../../lib/wire/traffic.ts";

export interface FlowVerdict {
  family: 4 | 6;
  /** Hexadecimal, as many digits as the family has. */
  src: string;
  dst: string;
  sport: number;
  dport: number;
  proto: number;
  tcpFlags: number;
}

export type Verdict = FlowVerdict | { class: OtherClass };

const VLAN_TYPES = [0x8100, 0x88a8];
const EXTENSION_HEADERS = [0, 43, 44, 51, 60];
const EXTENSION_HEADERS_MAX = 8;
const EXTENSION_BYTES_MAX = 2047;
const PORT_HEADER_BYTES = new Map([[6, 20], [17, 8], [132, 12]]);
const ICMP_PROTOCOLS = [1, 58];

/** Ends the walk through a frame. */
class Other extends Error {
  constructor(readonly otherClass: OtherClass) {
    super(otherClass);
  }
}

/** A stretch of the frame that one header says is its payload. */
class Region {
  /** @param end may pass the frame's end; reading there is what tells */
  constructor(readonly frame: Uint8Array, public at: number, public end: number) {}

  /** The next `bytes` as a header; the region moves behind it. */
  header(bytes: number, peek = false): DataView {
    const { frame, at } = this;
    if (at + bytes > frame.length) throw new Other("truncated");
    if (at + bytes > this.end) throw new Other("malformed");
    if (!peek) this.at += bytes;
    return new DataView(frame.buffer, frame.byteOffset + at, bytes);
  }

  /** Narrows the region to what a header states. */
  limit(bytes: number): void {
    if (this.at + bytes > this.end) throw new Other("truncated");
    this.end = this.at + bytes;
  }

  get left(): number {
    return this.end - this.at;
  }
}

function hex(view: DataView, at: number, bytes: number): string {
  return Array.from({ length: bytes }, (_, i) => view.getUint8(at + i).toString(16).padStart(2, "0")).join("");
}

function transport(region: Region, proto: number): Pick<FlowVerdict, "sport" | "dport" | "tcpFlags"> {
  const portHeaderBytes = PORT_HEADER_BYTES.get(proto);
  if (portHeaderBytes !== undefined) {
    if (region.left < portHeaderBytes) throw new Other("malformed");
    const header = region.header(portHeaderBytes, true);
    const ports = { sport: header.getUint16(0), dport: header.getUint16(2), tcpFlags: 0 };
    if (proto !== 6) return ports;
    const tcpBytes = (header.getUint8(12) >> 4) * 4;
    if (tcpBytes < 20 || tcpBytes > region.left) throw new Other("malformed");
    return { ...ports, tcpFlags: header.getUint8(13) };
  }
  if (!ICMP_PROTOCOLS.includes(proto)) return { sport: 0, dport: 0, tcpFlags: 0 };
  if (region.left < 4) throw new Other("malformed");
  return { sport: 0, dport: region.header(4).getUint16(0), tcpFlags: 0 };
}

function ipv4(region: Region): FlowVerdict {
  const header = region.header(20, true);
  const headerBytes = (header.getUint8(0) & 15) * 4;
  const totalBytes = header.getUint16(2);
  if (header.getUint8(0) >> 4 !== 4 || headerBytes < 20 || totalBytes < headerBytes) throw new Other("malformed");
  region.limit(totalBytes);
  region.header(headerBytes);
  const fragmentOffset = header.getUint16(6) % 8192;
  if (fragmentOffset > 0) throw new Other("fragment");
  const proto = header.getUint8(9);
  return { family: 4, src: hex(header, 12, 4), dst: hex(header, 16, 4), proto, ...transport(region, proto) };
}

function ipv6(region: Region): FlowVerdict {
  const header = region.header(40);
  if (header.getUint8(0) >> 4 !== 6) throw new Other("malformed");
  let proto = header.getUint8(6);
  const payloadBytes = header.getUint16(4);
  const jumbo = payloadBytes === 0 && proto === 0;
  if (!jumbo) region.limit(payloadBytes);

  const chainStart = region.at;
  for (let headers = 0; EXTENSION_HEADERS.includes(proto); headers++) {
    if (headers === EXTENSION_HEADERS_MAX) throw new Other("malformed");
    const extension = region.header(8, true);
    const length = extension.getUint8(1);
    const extensionBytes = proto === 44 ? 8 : proto === 51 ? (length + 2) * 4 : (length + 1) * 8;
    const chainBytes = region.at - chainStart + extensionBytes;
    if (extensionBytes > region.left || chainBytes > EXTENSION_BYTES_MAX) throw new Other("malformed");
    if (proto === 44 && extension.getUint16(2) >> 3 > 0) throw new Other("fragment");
    region.at += extensionBytes;
    proto = extension.getUint8(0);
  }
  return { family: 6, src: hex(header, 8, 16), dst: hex(header, 24, 16), proto, ...transport(region, proto) };
}

/** @param frame from the Ethernet header on, without the frame check sequence */
export function classify(frame: Uint8Array): Verdict {
  try {
    const region = new Region(frame, 0, frame.length);
    let type = region.header(14).getUint16(12);
    for (let tags = 0; tags < 2 && VLAN_TYPES.includes(type); tags++) type = region.header(4).getUint16(2);
    if (type === 0x0800) return ipv4(region);
    if (type === 0x86dd) return ipv6(region);
    return { class: "non_ip" };
  } catch (error) {
    if (error instanceof Other) return { class: error.otherClass };
    throw error;
  }
}

/** Packets, bytes and TCP flags of one flow, or of one class of packets without a flow. */
export interface Tally {
  packets: number;
  bytes: number;
  tcpFlags: number;
}

/** What a flow or a class is called in a ledger. */
export function ledgerKey(verdict: Omit<FlowVerdict, "tcpFlags"> | { class: OtherClass }): string {
  if ("class" in verdict) return verdict.class;
  return `${verdict.src}:${verdict.sport} > ${verdict.dst}:${verdict.dport} proto ${verdict.proto}`;
}

/** Counts of frames by flow and by class. */
export type Ledger = Map<string, Tally>;

export function addTo(ledger: Ledger, key: string, tally: Tally): void {
  if (tally.packets === 0 && tally.bytes === 0) return;
  const sum = ledger.get(key) ?? { packets: 0, bytes: 0, tcpFlags: 0 };
  sum.packets += tally.packets;
  sum.bytes += tally.bytes;
  sum.tcpFlags |= tally.tcpFlags;
  ledger.set(key, sum);
}

/** Enters a frame as the oracle sees it, `packets` times. */
export function enterFrame(ledger: Ledger, frame: Uint8Array, packets = 1): void {
  const verdict = classify(frame);
  const tcpFlags = "class" in verdict ? 0 : verdict.tcpFlags;
  addTo(ledger, ledgerKey(verdict), { packets, bytes: frame.length * packets, tcpFlags });
}

/** Lines that differ between two ledgers, `expected` first; empty when they agree. */
export function differences(actual: Ledger, expected: Ledger): string[] {
  const text = (tally: Tally | undefined) =>
    tally === undefined ? "nothing" : `${tally.packets} packets, ${tally.bytes} bytes, flags ${tally.tcpFlags}`;
  return [...new Set([...expected.keys(), ...actual.keys()])]
    .filter((key) => text(actual.get(key)) !== text(expected.get(key)))
    .map((key) => `${key}: expected ${text(expected.get(key))}, got ${text(actual.get(key))}`);
}
