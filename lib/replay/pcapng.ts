/**
 * The pcapng format: sections of blocks. Each section has a byte order and interfaces of its own. Blocks that neither
 * hold a packet nor describe an interface are skipped.
 */
import type { ByteQueue } from "./byte_queue.ts";
import { type CaptureFrame, malformed, PACKET_BYTES_MAX, type RecordReader } from "./capture_frame.ts";

export const PCAPNG_MAGIC = 0x0a0d_0d0a;

const BLOCK = { section: PCAPNG_MAGIC, interface: 1, packet: 2, simplePacket: 3, enhancedPacket: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const BLOCK_HEADER_BYTES = 8;
/** Bytes of a block besides its body: type, length, and the length once more at the end. */
const BLOCK_BYTES_MIN = 12;
const SECTION_BYTES_MIN = 28;
const INTERFACE_BYTES_MIN = 20;
/** Bytes from the start of a block to its packet. */
const PACKET_AT = { [BLOCK.packet]: 28, [BLOCK.simplePacket]: 12, [BLOCK.enhancedPacket]: 28 } as const;
/** Upper bound of a block that is decoded: a packet block with its options. */
const KEPT_BLOCK_BYTES_MAX = 2 * PACKET_BYTES_MAX;

const OPTION = { end: 0, timeResolution: 9, timeOffset: 14 } as const;
const NS_PER_S = 1_000_000_000n;
const MICROSECONDS = 1_000_000n;
const TIME_NS_MAX = 2n ** 63n - 1n;

interface CaptureInterface {
  linkType: number;
  /** Snap length of the interface; 0 for no limit. */
  snapBytes: number;
  ticksPerSecond: bigint;
  offsetSeconds: bigint;
}

export class PcapngReader implements RecordReader {
  #littleEndian = true;
  #interfaces: CaptureInterface[] = [];
  #lastNs = 0n;

  next(queue: ByteQueue): CaptureFrame | null {
    while (!queue.owes && queue.available >= BLOCK_BYTES_MIN) {
      // A section's type reads the same in both byte orders, and says which one the rest is in.
      if (queue.u32(0, true) === BLOCK.section) this.#littleEndian = this.#byteOrder(queue);
      const type = queue.u32(0, this.#littleEndian);
      const blockBytes = queue.u32(4, this.#littleEndian);
      if (blockBytes < BLOCK_BYTES_MIN || blockBytes % 4 !== 0) {
        throw malformed(queue.offset, `a block of ${blockBytes} bytes`);
      }
      if (!Object.values<number>(BLOCK).includes(type)) {
        queue.skip(blockBytes);
        continue;
      }
      if (blockBytes > KEPT_BLOCK_BYTES_MAX) throw malformed(queue.offset, `a block of ${blockBytes} bytes`);
      if (queue.available < blockBytes) return null;
      if (queue.u32(blockBytes - 4, this.#littleEndian) !== blockBytes) {
        throw malformed(queue.offset, "a block whose two lengths differ");
      }
      const frame = this.#readBlock(queue, type, blockBytes);
      queue.skip(blockBytes);
      if (frame !== null) return frame;
    }
    return null;
  }

  #byteOrder(queue: ByteQueue): boolean {
    if (queue.u32(BLOCK_HEADER_BYTES, true) === BYTE_ORDER_MAGIC) return true;
    if (queue.u32(BLOCK_HEADER_BYTES, false) === BYTE_ORDER_MAGIC) return false;
    throw malformed(queue.offset, "a section without its byte order");
  }

  #readBlock(queue: ByteQueue, type: number, blockBytes: number): CaptureFrame | null {
    switch (type) {
      case BLOCK.section:
        if (blockBytes < SECTION_BYTES_MIN) throw malformed(queue.offset, `a section of ${blockBytes} bytes`);
        this.#interfaces = [];
        return null;
      case BLOCK.interface:
        this.#interfaces.push(this.#readInterface(queue, blockBytes));
        return null;
      case BLOCK.simplePacket:
        return this.#readSimplePacket(queue, blockBytes);
      default:
        return this.#readPacket(queue, type as typeof BLOCK.packet | typeof BLOCK.enhancedPacket, blockBytes);
    }
  }

  #readInterface(queue: ByteQueue, blockBytes: number): CaptureInterface {
    if (blockBytes < INTERFACE_BYTES_MIN) throw malformed(queue.offset, `an interface of ${blockBytes} bytes`);
    const read = {
      linkType: queue.u16(8, this.#littleEndian),
      snapBytes: queue.u32(12, this.#littleEndian),
      ticksPerSecond: MICROSECONDS,
      offsetSeconds: 0n,
    };
    const endAt = blockBytes - 4;
    for (let at = 16; at + 4 <= endAt;) {
      const code = queue.u16(at, this.#littleEndian);
      const lenBytes = queue.u16(at + 2, this.#littleEndian);
      if (code === OPTION.end) break;
      if (at + 4 + lenBytes > endAt) throw malformed(queue.offset + at, "an option that passes its block's end");
      if (code === OPTION.timeResolution && lenBytes === 1) read.ticksPerSecond = ticksPerSecond(queue.u8(at + 4));
      if (code === OPTION.timeOffset && lenBytes === 8) {
        read.offsetSeconds = BigInt.asIntN(
          64,
          this.#u64(queue, at + (this.#littleEndian ? 8 : 4), at + (this.#littleEndian ? 4 : 8)),
        );
      }
      at += 4 + lenBytes + (-lenBytes & 3);
    }
    return read;
  }

  #readPacket(
    queue: ByteQueue,
    type: typeof BLOCK.packet | typeof BLOCK.enhancedPacket,
    blockBytes: number,
  ): CaptureFrame {
    const at = PACKET_AT[type];
    if (blockBytes < at + 4) throw malformed(queue.offset, `a packet block of ${blockBytes} bytes`);
    // The old packet block has 16 bits for the interface, then a count of drops.
    const id = type === BLOCK.packet ? queue.u16(8, this.#littleEndian) : queue.u32(8, this.#littleEndian);
    const from = this.#interface(queue, id);
    const ticks = this.#u64(queue, 12, 16);
    const timeNs = ticks * NS_PER_S / from.ticksPerSecond + from.offsetSeconds * NS_PER_S;
    if (timeNs > TIME_NS_MAX) throw malformed(queue.offset, "a packet from after the year 2262");
    this.#lastNs = timeNs;
    return this.#frame(queue, from, { at, blockBytes, keptBytes: queue.u32(20, this.#littleEndian), lengthAt: 24 });
  }

  /** Decodes a simple packet block. It has no time, so the packet gets that of the packet before it. */
  #readSimplePacket(queue: ByteQueue, blockBytes: number): CaptureFrame {
    const at = PACKET_AT[BLOCK.simplePacket];
    if (blockBytes < at + 4) throw malformed(queue.offset, `a packet block of ${blockBytes} bytes`);
    const from = this.#interface(queue, 0);
    const wireBytes = queue.u32(8, this.#littleEndian);
    const keptBytes = Math.min(wireBytes, from.snapBytes || wireBytes);
    return this.#frame(queue, from, { at, blockBytes, keptBytes, lengthAt: 8 });
  }

  #frame(
    queue: ByteQueue,
    from: CaptureInterface,
    { at, blockBytes, keptBytes, lengthAt }: { at: number; blockBytes: number; keptBytes: number; lengthAt: number },
  ): CaptureFrame {
    if (keptBytes > PACKET_BYTES_MAX || at + keptBytes + 4 > blockBytes) {
      throw malformed(queue.offset, `a packet of ${keptBytes} bytes in a block of ${blockBytes}`);
    }
    return {
      timeNs: this.#lastNs,
      bytes: queue.bytes(at, keptBytes),
      wireBytes: Math.max(queue.u32(lengthAt, this.#littleEndian), keptBytes),
      linkType: from.linkType,
    };
  }

  #interface(queue: ByteQueue, id: number): CaptureInterface {
    const found = this.#interfaces[id];
    if (found === undefined) throw malformed(queue.offset, `a packet of interface ${id}, which is not described`);
    return found;
  }

  #u64(queue: ByteQueue, highAt: number, lowAt: number): bigint {
    return BigInt(queue.u32(highAt, this.#littleEndian)) << 32n | BigInt(queue.u32(lowAt, this.#littleEndian));
  }
}

/** Decodes if_tsresol: the upper bit says whether the other bits are a power of two or of ten. */
function ticksPerSecond(resolution: number): bigint {
  return resolution & 0x80 ? 2n ** BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
}
