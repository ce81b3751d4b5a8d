/**
 * Converts frames of a capture to Ethernet frames, which the BPF programs read. A packet of another link type gets an
 * Ethernet header with the EtherType of its payload and without addresses. These 14 bytes replace the capture's own
 * header, also in the length that is counted, which is that of the packet on an Ethernet wire.
 */

import { REPLAY_SHAPE } from "../wire/layouts.gen.ts";
import type { CaptureFrame } from "./capture_frame.ts";

const ETHERNET_HEADER_BYTES = 14;
const ETHERTYPE_AT = 12;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;

/** Upper bound of the bytes that the programs read. */
const FRAME_BYTES_MAX = REPLAY_SHAPE.REPLAY_BYTES_MAX;

/** LINKTYPE_ numbers, as in the registry of tcpdump.org. */
const ETHERNET = 1;
const RAW_NUMBERS = [12, 14, 101];
const LINUX_SLL = 113;
const IPV4_ONLY = 228;
const IPV6_ONLY = 229;
const LINUX_SLL2 = 276;

/** A link-layer header that is not Ethernet's. */
interface CookedHeader {
  headerBytes: number;
  /** Offset of the EtherType; null when the packet's IP version tells it. */
  etherTypeAt: number | null;
}

const COOKED: ReadonlyMap<number, CookedHeader> = new Map([
  [LINUX_SLL, { headerBytes: 16, etherTypeAt: 14 }],
  [LINUX_SLL2, { headerBytes: 20, etherTypeAt: 0 }],
  ...[...RAW_NUMBERS, IPV4_ONLY, IPV6_ONLY].map((type): [number, CookedHeader] => [
    type,
    { headerBytes: 0, etherTypeAt: null },
  ]),
]);

function versionEtherType(firstByte: number | undefined): number {
  // A packet of which nothing was kept counts as a cut IPv4 packet, not as one of another protocol.
  if (firstByte === undefined || firstByte >> 4 === 4) return IPV4;
  return firstByte >> 4 === 6 ? IPV6 : 0;
}

/**
 * Writes the part of a frame that the programs read, and at least the 14 bytes that a test run takes.
 *
 * @param frame the frame as captured
 * @param target at least FRAME_BYTES_MAX long
 * @returns bytes written, and the frame's length on the wire
 * @throws {Error} for a link type that is not supported
 */
export function writeEthernet(frame: CaptureFrame, target: Uint8Array): { lenBytes: number; wireBytes: number } {
  const { bytes, linkType, wireBytes } = frame;
  if (linkType === ETHERNET) {
    const kept = bytes.subarray(0, FRAME_BYTES_MAX);
    target.set(kept);
    if (kept.length >= ETHERNET_HEADER_BYTES) return { lenBytes: kept.length, wireBytes };
    // Cut within its first header: an IP packet of which nothing is left is truncated too.
    target.fill(0, kept.length, ETHERNET_HEADER_BYTES);
    setEtherType(target, IPV4);
    return { lenBytes: ETHERNET_HEADER_BYTES, wireBytes };
  }
  const cooked = COOKED.get(linkType);
  if (cooked === undefined) throw new Error(`Cannot replay the capture: its link type ${linkType} is not supported`);
  const { headerBytes, etherTypeAt } = cooked;
  const packet = bytes.subarray(headerBytes, headerBytes + FRAME_BYTES_MAX - ETHERNET_HEADER_BYTES);
  target.fill(0, 0, ETHERNET_HEADER_BYTES);
  const isCut = etherTypeAt !== null && bytes.length < headerBytes;
  setEtherType(
    target,
    etherTypeAt === null
      ? versionEtherType(packet[0])
      : isCut
      ? IPV4
      : bytes[etherTypeAt] << 8 | bytes[etherTypeAt + 1],
  );
  target.set(packet, ETHERNET_HEADER_BYTES);
  return {
    lenBytes: ETHERNET_HEADER_BYTES + packet.length,
    wireBytes: Math.max(0, wireBytes - headerBytes) + ETHERNET_HEADER_BYTES,
  };
}

function setEtherType(target: Uint8Array, etherType: number): void {
  target[ETHERTYPE_AT] = etherType >> 8;
  target[ETHERTYPE_AT + 1] = etherType & 0xff;
}
