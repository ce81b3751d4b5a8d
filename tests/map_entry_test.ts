/** Entries of a real hash map, and a real ring, by their references. */
import { assertEquals, assertInstanceOf, assertLess, assertThrows } from "./assert.ts";
import { E2BIG, SystemError } from "../lib/runtime/errors.ts";
import { BpfMap, type MapSpec, MapType } from "../lib/ffi/bpf_map.ts";
import type { Libbpf } from "../lib/ffi/libbpf.ts";
import { MapEntries } from "../lib/ffi/map_entry.ts";
import { RingReference } from "./support/ring_reference.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import type { AdderRequest } from "./support/adder_worker.ts";
import { openSystemLibbpf, openTestObject } from "./support/bpf.ts";

const SPEC: MapSpec = { name: "entries", type: MapType.hash, keyBytes: 12, valueBytes: 8, entriesMax: 2 };
const KEY = Uint8Array.from({ length: 12 }, (_, i) => i + 1);
const OTHER_KEY = KEY.with(11, 0);
const ADDS = 10_000;

function objectElf(): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL("../build/bpf/map_entry.bpf.o", import.meta.url));
}

function open(stack: DisposableStack): { libbpf: Libbpf; map: BpfMap; entries: MapEntries } {
  const libbpf = stack.use(openSystemLibbpf());
  const map = stack.use(BpfMap.create(libbpf, SPEC));
  return { libbpf, map, entries: stack.use(new MapEntries(libbpf, objectElf(), map)) };
}

Deno.test("MapEntryReference reads, writes and adds to one entry, which it makes", () => {
  using stack = new DisposableStack();
  const { entries } = open(stack);
  const entry = entries.at(KEY);
  const other = entries.at(OTHER_KEY);
  assertEquals(entry.get(), undefined);
  entry.add(5n);
  entry.add(-2n);
  assertEquals([entry.get(), other.get()], [3n, undefined]);
  other.set(2n ** 64n - 1n);
  other.add(2n);
  assertEquals([entry.get(), other.get()], [3n, 1n]);
});

Deno.test("MapEntryReference.add() says when the map is full", () => {
  using stack = new DisposableStack();
  const { entries } = open(stack);
  entries.at(KEY).add(1n);
  entries.at(OTHER_KEY).add(1n);
  const error = assertThrows(() => entries.at(KEY.with(0, 99)).add(1n), SystemError, "add to an entry");
  assertInstanceOf(error, SystemError);
  assertEquals(error.errno, E2BIG);
});

Deno.test("MapEntries refuses maps and keys that do not fit", () => {
  using stack = new DisposableStack();
  const { libbpf, entries } = open(stack);
  assertThrows(() => entries.at(new Uint8Array(8)), RangeError, "a key of 8 bytes");
  for (const wrong of [{ valueBytes: 16 }, { keyBytes: 65 }, { type: MapType.percpuHash }]) {
    using map = BpfMap.create(libbpf, { ...SPEC, ...wrong });
    assertThrows(() => new MapEntries(libbpf, objectElf(), map), RangeError, "Cannot refer");
  }
});

/** Two workers add to the same entry. @returns its value in the end */
async function addFromTwo(map: BpfMap, entries: MapEntries, atomic: boolean): Promise<bigint> {
  const request: AdderRequest = { mapFd: map.fd, spec: SPEC, elf: objectElf(), key: KEY, adds: ADDS, atomic };
  const workers = [0, 1].map(() =>
    new Worker(new URL("./support/adder_worker.ts", import.meta.url), { type: "module" })
  );
  const answered = (worker: Worker, message: unknown) =>
    new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage(message);
    });
  try {
    // One after another: libbpf prints to whoever opened it last, on that one's thread, which has to be idle then.
    for (const worker of workers) await answered(worker, request);
    await Promise.all(workers.map((worker) => answered(worker, "start")));
  } finally {
    for (const worker of workers) worker.terminate();
  }
  return entries.at(KEY).get() ?? 0n;
}

Deno.test(`MapEntryReference.add() from two workers, ${ADDS} times each, is exact`, async () => {
  using stack = new DisposableStack();
  const { map, entries } = open(stack);
  assertEquals(await addFromTwo(map, entries, true), BigInt(2 * ADDS));
});

Deno.test("Reading an entry and writing it back loses what others add in between", async () => {
  using stack = new DisposableStack();
  const { map, entries } = open(stack);
  // On one CPU the two may well take turns without meeting.
  for (let round = 0; round < 20; round++) {
    entries.at(KEY).set(0n);
    const sum = await addFromTwo(map, entries, false);
    if (sum < 2 * ADDS) return;
  }
  assertLess(navigator.hardwareConcurrency, 2, "no addition was lost");
});

Deno.test("RingReference.next() returns each record once, a copy, and null when none comes", async () => {
  using stack = new DisposableStack();
  const libbpf = stack.use(openSystemLibbpf());
  const object = stack.use(openTestObject(libbpf, "ring"));
  object.load();
  const state = stack.use(object.map(".bss").map({ writable: true }));
  new BigUint64Array(state.buffer, 0, 4)[3] = 100n;
  const ring = stack.use(new RingReference(object.map("ring")));
  const produce = (runs: number) => testRun(libbpf, object.programFd("produce"), new Uint8Array(14), { repeat: runs });
  assertEquals(await ring.next(0), null);
  assertEquals(await ring.next(10), null);
  // Every fifth is discarded.
  produce(10);
  const records: Uint8Array<ArrayBuffer>[] = [];
  for (let record = await ring.next(10); record !== null; record = await ring.next(10)) records.push(record);
  assertEquals(records.map(({ buffer }) => Number(new DataView(buffer).getBigUint64(0, true))), [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
  ]);
  assertEquals(records[0].length, 24);
  const waiting = ring.next(20_000);
  produce(1);
  assertEquals((await waiting)?.[0], 8);
});
