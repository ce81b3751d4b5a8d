/** Double-buffered maps while programs read them without a pause. */
import { assert, assertEquals, assertGreater, assertThrows } from "./assert.ts";
import { BpfMap, MapFlag, MapType } from "../lib/ffi/bpf_map.ts";
import { U32 } from "../lib/ffi/double_buffer_codec.ts";
import type { Fence } from "../lib/ffi/double_buffer.ts";
import { ActivePointer } from "../lib/ffi/double_buffer_pointer.ts";
import { FixedSideMaps, GrowingSideMaps } from "../lib/ffi/double_buffer_side_maps.ts";
import { InnerSlot, RcuFence } from "../lib/ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../lib/ffi/double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../lib/ffi/double_buffered_table.ts";
import type { Libbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { testRunAsync } from "./support/test_run.ts";
import { openSystemLibbpf, openTestObject } from "./support/bpf.ts";
import { interceptedLibbpf, kernelStructures, ROOM } from "./support/double_buffer_structures.ts";
import type { WriterAnswer, WriterTask } from "./support/double_buffer_writer.ts";

const FLIPS = 100_000;
/** Of values that are set, with a wait for each. */
const SETS = 50;
const SETS_A_TURN = 10;
/** Runs of the program in one system call. */
const RUNS = 2_000_000;
/** The same of a slow one. */
const SLOW_RUNS = 100;
/** So long a test may take at most, however busy the machine is; it takes a second or two. */
const LIMIT_MS = 30_000;
const LENGTH_MAX = 8;
const ENOTSUPP = 524;
const XDP_DROP = 1, XDP_PASS = 2;
const FRAME = new Uint8Array(64);

/** struct findings of tests/bpf/double_buffer.bpf.c. */
class Findings {
  readonly #words: BigUint64Array<ArrayBuffer>;

  constructor(buffer: ArrayBuffer) {
    this.#words = new BigUint64Array(buffer, 0, 5);
  }

  get runs(): bigint {
    return Atomics.load(this.#words, 0);
  }

  /** As of one instant once nothing runs. */
  get all(): { mixed: number; torn: number; changes: number; last: number } {
    const [, mixed, torn, changes, last] = Array.from(this.#words, Number);
    return { mixed, torn, changes, last };
  }
}

/** Set k of the program's two lists. */
function setOf(k: number): number[] {
  return new Array<number>(1 + k % LENGTH_MAX).fill(k);
}

/**
 * Runs the program without a pause on another thread, and changes something between its runs.
 *
 * @param change a run starts and ends between two calls; false ends it
 */
async function whileReading(
  libbpf: Libbpf,
  programFd: number,
  { findings, change }: { findings: Findings; change: () => boolean },
): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  let going = true;
  while (going) {
    let reading = true;
    const read = testRunAsync(libbpf, programFd, FRAME, { repeat: RUNS });
    const until = findings.runs + BigInt(RUNS);
    while (going && reading) {
      const runs = findings.runs;
      going = change();
      // The first may have started before.
      while (reading && findings.runs < runs + 2n) {
        if (performance.now() > deadlineMs) throw new Error("Cannot go on: the program does not run");
        // The last one before the system call ends.
        reading = findings.runs < until;
      }
    }
    await read;
  }
}

Deno.test("a program never sees two sets at once, through 100,000 flips, nor a length of another set", async () => {
  using structures = kernelStructures();
  const { libbpf, object, pointer, left, right } = structures;
  using memory = object.map("results").map({ writable: false });
  const findings = new Findings(memory.buffer);
  for (const k of [5, 6]) {
    left.setAndDeferSwitchover(setOf(k));
    right.setAndDeferSwitchover(setOf(k)).flip();
  }
  let flips = 0;
  const change = () => {
    pointer.flip();
    return ++flips < FLIPS;
  };
  await whileReading(libbpf, object.programFd("read_lists"), { findings, change });
  const { mixed, torn, changes } = findings.all;
  assertEquals({ mixed, torn }, { mixed: 0, torn: 0 });
  // It did look at them while they changed.
  assertGreater(changes, FLIPS / 2);
});

/**
 * Sets values while slow runs read them.
 *
 * @param makeFence what waits for programs between two sets
 * @param isEnough asked after every SETS_A_TURN
 */
async function setWhileReading(
  makeFence: (libbpf: Libbpf) => Fence & Partial<Disposable>,
  isEnough: (sets: number, mixed: number) => boolean,
) {
  using structures = kernelStructures();
  const { libbpf, object } = structures;
  using stack = new DisposableStack();
  const { buffer } = stack.use(object.map(".bss").map({ writable: true }));
  const fence = makeFence(libbpf);
  stack.defer(() => fence[Symbol.dispose]?.());
  const pointer = new ActivePointer({ buffer, offset: 0 }, fence);
  const list = (structure: number, name: string) => {
    const sides = stack.use(GrowingSideMaps.open(libbpf, object.map(name), ROOM));
    return new DoubleBufferedArray(pointer, structure, { sides, codec: U32 });
  };
  const [left, right] = [list(0, "left"), list(1, "right")];
  for (const structure of [2, 3]) pointer.register(structure, { copySide: () => {}, clear: () => {} });
  const findings = new Findings(stack.use(object.map("results").map({ writable: false })).buffer);
  const set = (k: number) => {
    left.setAndDeferSwitchover(setOf(k));
    right.setAndDeferSwitchover(setOf(k)).flip();
  };
  set(0);
  const programFd = object.programFd("read_slowly");
  let k = 0;
  while (!isEnough(k, findings.all.mixed)) {
    let reading = true;
    const read = testRunAsync(libbpf, programFd, FRAME, { repeat: SLOW_RUNS }).finally(() => reading = false);
    while (reading && !isEnough(k, findings.all.mixed)) {
      // From the second one on they fill at once what runs may still read.
      for (let i = 0; i < SETS_A_TURN; i++) set(++k);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await read;
  }
  testRun(libbpf, programFd, FRAME);
  return findings.all;
}

Deno.test("a side is not filled again while a program reads it", async () => {
  const { mixed, torn, last } = await setWhileReading((libbpf) => new RcuFence(libbpf), (sets) => sets >= SETS);
  assertEquals({ mixed, torn, last }, { mixed: 0, torn: 0, last: SETS });
});

Deno.test("without the wait for programs a side is seen while it is filled again", async () => {
  const noFence = { wait: () => {}, waitAsync: () => Promise.resolve() };
  const deadlineMs = performance.now() + LIMIT_MS;
  const isEnough = (_sets: number, mixed: number) => mixed > 0 || performance.now() > deadlineMs;
  const { mixed } = await setWhileReading(() => noFence, isEnough);
  assertGreater(mixed, 0);
});

Deno.test("the same lists changed in place are seen mixed", async () => {
  using libbpf = openSystemLibbpf();
  using object = openTestObject(libbpf, "double_buffer");
  object.load();
  using stack = new DisposableStack();
  const words = (name: string) => new Uint32Array(stack.use(object.map(name).map({ writable: true })).buffer);
  // Values of an array lie 8 bytes apart.
  const [left, right, length] = [words("naive_left"), words("naive_right"), words("naive_length")];
  const findings = new Findings(stack.use(object.map("results").map({ writable: false })).buffer);
  length[0] = 1;
  let k = 0;
  const change = () => {
    const set = setOf(++k);
    set.forEach((value, i) => {
      Atomics.store(left, 2 * i, value);
      Atomics.store(right, 2 * i, value);
    });
    Atomics.store(length, 0, set.length);
    return k < FLIPS;
  };
  await whileReading(libbpf, object.programFd("read_naive"), { findings, change });
  const { mixed, torn } = findings.all;
  assertGreater(mixed, 0);
  assertGreater(torn, 0);
});

Deno.test("programs find what is in tables and tries, and nothing of the set before", () => {
  using structures = kernelStructures();
  const { libbpf, object, table, trie } = structures;
  using memory = object.map("results").map({ writable: false });
  const findings = new Findings(memory.buffer);
  const lookUp = (isTrie: boolean, first: number, second: number) => {
    const frame = new DataView(new ArrayBuffer(64));
    frame.setUint32(0, isTrie ? 1 : 0, true);
    frame.setUint32(4, first, true);
    frame.setUint32(8, second);
    const { result } = testRun(libbpf, object.programFd("look_up"), new Uint8Array(frame.buffer));
    return result === XDP_PASS ? findings.all.last : null;
  };
  table.set([[7, 70n], [8, 80n]]);
  trie.set([[{ bits: 8, address: 0x0a000000 }, 8n], [{ bits: 16, address: 0x0a010000 }, 16n]]);
  assertEquals([lookUp(false, 7, 0), lookUp(false, 8, 0), lookUp(false, 9, 0)], [70, 80, null]);
  assertEquals([lookUp(true, 32, 0x0a010203), lookUp(true, 32, 0x0a020304), lookUp(true, 32, 0x0b000000)], [
    16,
    8,
    null,
  ]);
  table.set([[9, 90n]]);
  assertEquals([lookUp(false, 7, 0), lookUp(false, 9, 0), lookUp(true, 32, 0x0a010203)], [null, 90, 16]);
});

Deno.test("writers in two workers never interleave, and see each other's maps grow", async () => {
  using structures = kernelStructures();
  const { object, left, right, table, trie, pointer } = structures;
  const sets = 8;
  const descriptors = (name: string) => {
    const { fd, spec } = object.map(name);
    return { fd, spec };
  };
  const writers = await Promise.all([1, 2].map(async (writer) => {
    const worker = new Worker(new URL("./support/double_buffer_writer.ts", import.meta.url), { type: "module" });
    const task: WriterTask = {
      memory: descriptors(".bss"),
      maps: ["left", "right", "tables", "tries"].map(descriptors),
      writer,
      sets,
    };
    const answer = new Promise<WriterAnswer>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
    worker.postMessage(task);
    return await answer.finally(() => worker.terminate());
  }));
  assertEquals(writers.map(({ mixed }) => mixed), [0, 0]);
  assertEquals(pointer.generation, 2 * sets);
  const generations = writers.flatMap((writer) => writer.generations).toSorted((a, b) => a - b);
  assertEquals(generations, Array.from({ length: 2 * sets }, (_, i) => i + 1));
  // The maps that this worker made are long gone.
  const last = left.get(0)!;
  assertEquals([left.entries(), right.entries()], [left.entries().map(() => last), left.entries()]);
  assertEquals(table.entries().map(([, value]) => value), left.entries().map(() => BigInt(last)));
  assertEquals(trie.length, 0);
});

Deno.test("a writer gives up on one that never finishes", () => {
  using structures = kernelStructures();
  const { object, left } = structures;
  using memory = object.map(".bss").map({ writable: true });
  const fence = { wait: () => {}, waitAsync: () => Promise.resolve() };
  const other = new ActivePointer({ buffer: memory.buffer, offset: 0 }, fence, { lockTimeoutMs: 20 });
  for (const structure of [0, 1, 2, 3]) other.register(structure, { copySide: () => {}, clear: () => {} });
  using change = left.setAndDeferSwitchover([1]);
  assertThrows(() => other.change(), Error, "another writer has not finished in 20 ms");
  change.abandon();
  other.change().abandon();
});

Deno.test("a worker that lacks structures of a pointer may not change the others", () => {
  using structures = kernelStructures();
  using memory = structures.object.map(".bss").map({ writable: true });
  const fence = { wait: () => {}, waitAsync: () => Promise.resolve() };
  const other = new ActivePointer({ buffer: memory.buffer, offset: 0 }, fence);
  other.register(0, { copySide: () => {}, clear: () => {} });
  assertThrows(() => other.change(), Error, "this worker has 1 of the pointer's 4 structures");
  assertThrows(() => other.register(0, { copySide: () => {}, clear: () => {} }), RangeError, "it exists already");
  assertThrows(() => other.register(8, { copySide: () => {}, clear: () => {} }), RangeError, "a pointer has 8");
});

Deno.test("maps without batch operations are read and written one entry at a time", () => {
  using libbpf = openSystemLibbpf();
  let refused = 0;
  const old = interceptedLibbpf(libbpf, (name) => name.endsWith("_batch") ? (refused++, -ENOTSUPP) : undefined);
  for (const type of [MapType.hash, MapType.lpmTrie, MapType.array]) {
    const flags = type === MapType.lpmTrie ? MapFlag.noPrealloc : 0;
    const keyBytes = type === MapType.lpmTrie ? 8 : 4;
    using map = BpfMap.create(old, { name: "old", type, keyBytes, valueBytes: 4, entriesMax: 8, flags });
    const keys = new Uint32Array(keyBytes / 4 * 8);
    for (let i = 0; i < 8; i++) keys.set(keyBytes === 8 ? [32, i] : [i], i * keyBytes / 4);
    const values = Uint32Array.of(0, 10, 20, 30, 40, 50, 60, 70);
    map.updateBatch({ count: 8, keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) });
    const seen: number[] = [];
    map.read((batch) => {
      assertEquals(batch.count, 1);
      seen.push(new DataView(batch.values.buffer).getUint32(0, true));
    }, 4);
    assertEquals(seen.toSorted((a, b) => a - b), [...values]);
    let walked = 0;
    map.read(() => ++walked < 3, 4);
    assertEquals(walked, 3);
    if (type === MapType.array) continue;
    assertEquals(map.drain(() => {}, 4), 8);
    assertEquals(map.drain(() => {}, 4), 0);
  }
  assertGreater(refused, 6);
});

Deno.test("a slot hands back the old map when no program holds it", () => {
  using libbpf = openSystemLibbpf();
  using object = openTestObject(libbpf, "double_buffer");
  object.load();
  const make = (entriesMax: number) =>
    BpfMap.create(libbpf, {
      name: "inner",
      type: MapType.hash,
      keyBytes: 4,
      valueBytes: 8,
      entriesMax,
    });
  using first = make(1);
  using slot = InnerSlot.put(object.map("tables"), 0, first);
  using other = InnerSlot.open(object.map("tables"), 0);
  assertEquals([other.map.id, other.map.spec.entriesMax], [first.id, 1]);
  using old = slot.replace(make(2));
  assertEquals(old.id, first.id);
  other.refresh();
  assertEquals([other.map.id, other.map.spec.entriesMax, other.map.spec.name], [slot.map.id, 2, "tables"]);
  using wrong = BpfMap.create(libbpf, { name: "wrong", type: MapType.hash, keyBytes: 8, valueBytes: 8, entriesMax: 1 });
  assertThrows(() => slot.replace(wrong), Error, "EINVAL");
  assertEquals(slot.map.spec.entriesMax, 2);
  assertThrows(() => InnerSlot.open(object.map("tables"), 1), Error, "the slot is empty");
});

Deno.test("a structure refuses maps of another type", () => {
  using structures = kernelStructures();
  const { libbpf } = structures;
  using map = BpfMap.create(libbpf, { name: "array", type: MapType.array, keyBytes: 4, valueBytes: 4, entriesMax: 1 });
  const sides = new FixedSideMaps([map, map]);
  const options = { sides, key: U32, value: U32 };
  assertThrows(() => new DoubleBufferedHash(structures.pointer, 4, options), TypeError, 'map "array" as a hash');
  assertThrows(() => new DoubleBufferedLpm(structures.pointer, 4, options), TypeError, 'map "array" as a trie');
});

Deno.test("the example program judges frames by the lists in force, and fixed maps do not grow", () => {
  using libbpf = openSystemLibbpf();
  using object = openTestObject(libbpf, "double_buffer_example");
  object.load();
  using memory = object.map(".bss").map({ writable: true });
  using fence = new RcuFence(libbpf);
  const allowed = new ActivePointer({ buffer: memory.buffer, offset: 0 }, fence);
  const room = { entriesMax: 16, entriesLimit: 1_024 };
  using networkSides = GrowingSideMaps.create(libbpf, object.map("networks"), {
    ...room,
    name: "networks",
    type: MapType.lpmTrie,
    keyBytes: 8,
    valueBytes: 4,
    flags: MapFlag.noPrealloc,
  });
  using protocolSides = GrowingSideMaps.create(libbpf, object.map("protocols"), {
    ...room,
    name: "protocols",
    type: MapType.hash,
    keyBytes: 4,
    valueBytes: 4,
  });
  const address = {
    sizeBytes: 8,
    encode: ([bits, bytes]: [number, number[]], view: DataView<ArrayBuffer>, offset: number) => {
      view.setUint32(offset, bits, true);
      bytes.forEach((byte, i) => view.setUint8(offset + 4 + i, byte));
    },
    decode: (view: DataView<ArrayBuffer>, offset: number): [number, number[]] => [
      view.getUint32(offset, true),
      [0, 1, 2, 3].map((i) => view.getUint8(offset + 4 + i)),
    ],
  };
  const networks = new DoubleBufferedLpm(allowed, 0, { sides: networkSides, key: address, value: U32 });
  const protocols = new DoubleBufferedHash(allowed, 1, { sides: protocolSides, key: U32, value: U32 });
  const limits = new DoubleBufferedArray(allowed, 2, {
    sides: new FixedSideMaps([object.map("limits_side0"), object.map("limits_side1")]),
    codec: U32,
  });
  const judge = (protocol: number, source: number[], lengthBytes: number) => {
    const frame = new Uint8Array(lengthBytes);
    frame.set([0x08, 0x00], 12);
    frame[23] = protocol;
    frame.set(source, 26);
    return testRun(libbpf, object.programFd("filter"), frame).result;
  };
  assertEquals(judge(17, [10, 1, 2, 3], 64), XDP_DROP);

  using change = networks.setAndDeferSwitchover([[[8, [10, 0, 0, 0]], 0], [[24, [10, 1, 2, 0]], 1]]);
  protocols.setAndDeferSwitchover([[17, 1]]);
  limits.setAndDeferSwitchover([64, 128]);
  assertEquals(judge(17, [10, 1, 2, 3], 64), XDP_DROP);
  change.flip();
  assertEquals([judge(17, [10, 1, 2, 3], 128), judge(17, [10, 9, 2, 3], 64)], [XDP_PASS, XDP_PASS]);
  assertEquals([judge(17, [10, 9, 2, 3], 128), judge(6, [10, 1, 2, 3], 64)], [XDP_DROP, XDP_DROP]);
  assertEquals(judge(17, [11, 1, 2, 3], 64), XDP_DROP);

  // An index beyond the list's length, though the map has room for it.
  limits.set([64]);
  assertEquals([judge(17, [10, 1, 2, 3], 64), judge(17, [10, 9, 2, 3], 64)], [XDP_DROP, XDP_PASS]);
  assertThrows(
    () => limits.set(new Array<number>(17).fill(1)),
    RangeError,
    "there is room for 16",
  );
  assert(limits.entries().length === 1);
});
