import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { RingCursor } from "./ring_cursor.ts";

const DATA_OFFSET = 64;
const SIZE_BYTES = 64;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;

/** A ring of 64 bytes in ordinary memory; what is written in one copy of the data area appears in the other. */
class FakeRing {
  readonly consumer = new ArrayBuffer(8);
  readonly producer = new ArrayBuffer(DATA_OFFSET + 2 * SIZE_BYTES);
  readonly cursor: RingCursor;

  constructor(startPos = 0n) {
    new DataView(this.consumer).setBigUint64(0, startPos, true);
    new DataView(this.producer).setBigUint64(0, startPos, true);
    const { consumer, producer } = this;
    this.cursor = new RingCursor({ consumer, producer, dataOffset: DATA_OFFSET, sizeBytes: SIZE_BYTES });
  }

  get consumerPos(): bigint {
    return new DataView(this.consumer).getBigUint64(0, true);
  }

  /** Appends bytes as they are, header included, and moves the producer's position past them. */
  append(...bytes: number[]): void {
    const view = new DataView(this.producer);
    const pos = view.getBigUint64(0, true);
    bytes.forEach((byte, i) => {
      const at = Number(BigInt.asUintN(64, pos + BigInt(i)) % BigInt(SIZE_BYTES));
      view.setUint8(DATA_OFFSET + at, byte);
      view.setUint8(DATA_OFFSET + SIZE_BYTES + at, byte);
    });
    view.setBigUint64(0, BigInt.asUintN(64, pos + BigInt(bytes.length)), true);
  }

  read(samplesMax?: number): number[][] {
    const samples: number[][] = [];
    this.cursor.read((data, offset, lengthBytes) => {
      samples.push([...new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes)]);
    }, samplesMax);
    return samples;
  }
}

/** A record as the kernel lays it out. */
function record(flags: number, ...sample: number[]): number[] {
  const header = new DataView(new ArrayBuffer(8));
  header.setUint32(0, (flags | sample.length) >>> 0, true);
  const padding = new Array((8 - sample.length % 8) % 8).fill(0xee);
  return [...new Uint8Array(header.buffer), ...sample, ...padding];
}

Deno.test("RingCursor.read() takes the golden bytes of two records apart", () => {
  const ring = new FakeRing();
  // deno-fmt-ignore
  ring.append(
    0x03, 0x00, 0x00, 0x00, // len 3
    0x02, 0x00, 0x00, 0x00, // pg_off
    0x0a, 0x0b, 0x0c,       // sample
    0x00, 0x00, 0x00, 0x00, 0x00, // padding to 8
    0x08, 0x00, 0x00, 0x00, // len 8
    0x02, 0x00, 0x00, 0x00, // pg_off
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // sample
  );
  assertEquals(ring.read(), [[10, 11, 12], [1, 2, 3, 4, 5, 6, 7, 8]]);
  assertEquals(ring.consumerPos, 32n);
  assertEquals(ring.cursor.stats, { consumed: 2, consumedBytes: 11, discarded: 0, fill: 0 });
});

Deno.test("RingCursor.read() leaves what is more than it was asked for, and skips what is discarded on the way", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(DISCARD, 2), ...record(0, 3), ...record(0, 4));
  assertEquals(ring.read(2), [[1], [3]]);
  assertEquals(ring.read(2), [[4]]);
  assertEquals(ring.read(2), []);
});

Deno.test("RingCursor.read() finds nothing in an empty ring", () => {
  const ring = new FakeRing();
  assertEquals(ring.read(), []);
  assertEquals(ring.consumerPos, 0n);
});

Deno.test("RingCursor.read() skips discarded records and counts them", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(DISCARD, 2, 2), ...record(0, 3));
  assertEquals(ring.read(), [[1], [3]]);
  assertEquals(ring.consumerPos, 48n);
  assertEquals(ring.cursor.stats, { consumed: 2, consumedBytes: 2, discarded: 1, fill: 0 });
});

Deno.test("RingCursor.read() stops at a record that is still written, and goes on once it is submitted", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(BUSY, 2), ...record(0, 3));
  assertEquals(ring.read(), [[1]]);
  assertEquals(ring.consumerPos, 16n);
  assertEquals(ring.cursor.stats.fill, 0.5);
  assertEquals(ring.read(), []);

  new DataView(ring.producer).setUint32(DATA_OFFSET + 16, 1, true);
  assertEquals(ring.read(), [[2], [3]]);
  assertEquals(ring.cursor.stats.fill, 0);
});

Deno.test("RingCursor.read() leaves a busy record alone that will be discarded", () => {
  const ring = new FakeRing();
  ring.append(...record(BUSY | DISCARD, 1));
  assertEquals(ring.read(), []);
  assertEquals(ring.cursor.stats.discarded, 0);
});

Deno.test("RingCursor.read() lends a sample that wraps around as one piece", () => {
  const ring = new FakeRing(48n);
  const sample = Array.from({ length: 24 }, (_, i) => i);
  ring.append(...record(0, ...sample), ...record(0, 99));
  assertEquals(ring.read(), [sample, [99]]);
  assertEquals(ring.consumerPos, 96n);
});

Deno.test("RingCursor.read() reads a full ring", () => {
  const ring = new FakeRing(8n);
  ring.append(...record(0, 1), ...record(0, 2), ...record(0, 3), ...record(0, 4));
  assertEquals(ring.cursor.stats.fill, 1);
  assertEquals(ring.read(), [[1], [2], [3], [4]]);
});

Deno.test("RingCursor.read() takes an empty sample", () => {
  const ring = new FakeRing();
  ring.append(...record(0), ...record(0, 5));
  assertEquals(ring.read(), [[], [5]]);
});

for (const start of [2n ** 32n - 16n, 2n ** 53n - 16n, 2n ** 64n - 16n]) {
  Deno.test(`RingCursor.read() crosses position ${start + 16n} exactly`, () => {
    const ring = new FakeRing(start);
    for (let i = 0; i < 5; i++) {
      ring.append(...record(0, i), ...record(DISCARD, 9), ...record(0, i + 100));
      assertEquals(ring.read(), [[i], [i + 100]]);
      assertEquals(ring.consumerPos, BigInt.asUintN(64, start + 48n * BigInt(i + 1)));
    }
  });
}

Deno.test("RingCursor.read() counts a sample as consumed whose callback throws, and goes on behind it", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(0, 2));
  assertThrows(() => {
    ring.cursor.read(() => {
      throw new Error("no");
    });
  });
  assertEquals(ring.consumerPos, 16n);
  assertEquals(ring.read(), [[2]]);
});

Deno.test("RingCursor.read() leaves a sample that is refused, and all behind it, for the next call", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(0, 2), ...record(0, 3));
  const taken: number[] = [];
  const samples = ring.cursor.read((data, offset) => {
    if (data.getUint8(offset) === 2) return false;
    taken.push(data.getUint8(offset));
  });
  assertEquals([samples, taken, ring.cursor.stats.consumed, ring.cursor.stats.consumedBytes], [1, [1], 1, 1]);
  assertEquals(ring.consumerPos, 16n);
  assertEquals(ring.read(), [[2], [3]]);
});

Deno.test("RingCursor.read() gives room back before it has read the whole ring", () => {
  const ring = new FakeRing();
  ring.append(...record(0, 1), ...record(0, 2), ...record(0, 3), ...record(0, 4));
  const seen: bigint[] = [];
  ring.cursor.read(() => seen.push(ring.consumerPos));
  assertEquals(seen, [0n, 16n, 32n, 48n]);
});

Deno.test("RingCursor refuses a ring whose size is no power of two", () => {
  const memory = { consumer: new ArrayBuffer(8), producer: new ArrayBuffer(512), dataOffset: 64, sizeBytes: 96 };
  assertThrows(() => new RingCursor(memory), RangeError, "power of two");
});
