/** The ring reader against a program that fills a real ring. */
import { assertEquals, assertGreater, assertThrows } from "./assert.ts";
import type { Mapping } from "../lib/ffi/libc.ts";
import type { Libbpf } from "../lib/ffi/libbpf.ts";
import { RingReader } from "../lib/ffi/ring_reader.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { testRunAsync } from "./support/test_run.ts";
import { openSystemLibbpf, openTestObject } from "./support/bpf.ts";

const FRAME = new Uint8Array(14);
const RECORD_BYTES = 24;
const DISCARD_EVERY = 5;

/** tests/bpf/ring.bpf.c, loaded. Its counters are mapped: submitted, discarded, refused, submits_max. */
class Producer implements Disposable {
  readonly reader: RingReader;
  readonly #libbpf: Libbpf;
  readonly #fd: number;
  readonly #state: BigUint64Array;
  readonly #owned: DisposableStack;

  constructor(submitsMax: number) {
    using stack = new DisposableStack();
    this.#libbpf = stack.use(openSystemLibbpf());
    const object = stack.use(openTestObject(this.#libbpf, "ring"));
    object.load();
    const state: Mapping = stack.use(object.map(".bss").map({ writable: true }));
    this.#state = new BigUint64Array(state.buffer, 0, 4);
    this.#state[3] = BigInt(submitsMax);
    this.#fd = object.programFd("produce");
    this.reader = stack.use(new RingReader(object.map("ring")));
    this.#owned = stack.move();
  }

  get submitted(): number {
    return Number(Atomics.load(this.#state, 0));
  }

  get discarded(): number {
    return Number(Atomics.load(this.#state, 1));
  }

  get refused(): number {
    return Number(Atomics.load(this.#state, 2));
  }

  run(): void {
    testRun(this.#libbpf, this.#fd, FRAME);
  }

  async runMany(repeat: number): Promise<void> {
    await testRunAsync(this.#libbpf, this.#fd, FRAME, { repeat });
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/** A callback that checks that samples are whole and come in order. */
function inOrder(): { take: (data: DataView, offset: number, lengthBytes: number) => void; wrong: string[] } {
  const wrong: string[] = [];
  let expected = 0;
  return {
    wrong,
    take: (data, offset, lengthBytes) => {
      const sequence = data.getUint32(offset, true);
      const inverse = ~data.getUint32(offset + 8, true) >>> 0;
      if (sequence !== expected || inverse !== expected || lengthBytes !== RECORD_BYTES) {
        if (wrong.length < 5) wrong.push(`${sequence}, ${inverse}, ${lengthBytes} bytes in the place of ${expected}`);
      }
      expected++;
    },
  };
}

Deno.test("RingReader.read() hands out what was submitted and skips what was discarded", () => {
  using producer = new Producer(100);
  const { take, wrong } = inOrder();
  for (let i = 0; i < 12; i++) producer.run();
  assertGreater(producer.reader.stats.fill, 0);
  assertEquals(producer.reader.read(take), 10);
  assertEquals(producer.reader.read(take), 0);
  assertEquals(wrong, []);
  assertEquals(producer.reader.stats, { consumed: 10, consumedBytes: 240, discarded: 2, fill: 0 });
});

Deno.test("RingReader.wait() ends when a record comes, and after its time when none does", async () => {
  using producer = new Producer(100);
  const { take } = inOrder();
  assertEquals(await producer.reader.wait(10), false);
  const waiting = producer.reader.wait(20_000);
  producer.run();
  assertEquals(await waiting, true);
  assertEquals(await producer.reader.wait(0), true);
  producer.reader.read(take);
  assertEquals(await producer.reader.wait(0), false);
});

Deno.test("RingReader lets a full ring fill again: submitted = consumed, refused is counted apart", async () => {
  using producer = new Producer(1_000_000);
  const { take, wrong } = inOrder();
  for (let round = 1; round <= 5; round++) {
    await producer.runMany(20_000);
    assertGreater(producer.reader.stats.fill, 0.99);
    producer.reader.read(take);
    const { submitted, discarded, refused } = producer;
    assertEquals(producer.reader.stats.consumed, submitted);
    assertEquals(producer.reader.stats.discarded, discarded);
    assertEquals(submitted + discarded + refused, 20_000 * round);
  }
  assertGreater(producer.refused, 0);
  assertEquals(wrong, []);
});

Deno.test("RingReader reads 1,000,000 records in order while a program submits them, and loses none", async () => {
  const records = 1_000_000;
  using producer = new Producer(records);
  const { take, wrong } = inOrder();
  let producing = true;
  const produced = (async () => {
    while (producer.submitted < records) await producer.runMany(50_000);
    producing = false;
  })();
  while (producing || producer.reader.stats.fill > 0) {
    producer.reader.read(take);
    await producer.reader.wait(5);
  }
  await produced;
  assertEquals(wrong, []);
  const { consumed, discarded, fill } = producer.reader.stats;
  assertEquals(producer.submitted, records);
  assertEquals(consumed, records);
  assertEquals(discarded, producer.discarded);
  assertEquals(discarded, Math.floor((records - 1) / (DISCARD_EVERY - 1)));
  assertEquals(fill, 0);
});

Deno.test("RingReader refuses to read once it is disposed of", () => {
  using producer = new Producer(1);
  producer.reader[Symbol.dispose]();
  assertThrows(() => producer.reader.read(() => {}), TypeError, "disposed");
});
