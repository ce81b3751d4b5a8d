/**
 * Bench 12: double-buffered maps. What a lookup in the kernel costs beyond one in a plain map, and how long it takes to
 * replace all entries (fill, flip, wait for running programs) against writing them one by one into a map in use.
 */
import { BpfMap, MapFlag, MapType } from "../lib/ffi/bpf_map.ts";
import { BpfObject } from "../lib/ffi/bpf_object.ts";
import { U32, U64 } from "../lib/ffi/double_buffer_codec.ts";
import { ActivePointer } from "../lib/ffi/double_buffer_pointer.ts";
import { FixedSideMaps, GrowingSideMaps } from "../lib/ffi/double_buffer_side_maps.ts";
import { RcuFence } from "../lib/ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../lib/ffi/double_buffered_array.ts";
import { DoubleBufferedHash } from "../lib/ffi/double_buffered_table.ts";
import { DOUBLE_BUFFER } from "../lib/wire/layouts.gen.ts";
import { type Libbpf, openLibbpf } from "../lib/ffi/libbpf.ts";
import { testRun } from "../lib/ffi/test_run.ts";
import { BUILD_DIR, median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const OBJECT = `${BUILD_DIR}/bpf/double_buffer.bpf.o`;
const LOOKUPS_A_RUN = 1_000;
/** Each entry holds its index. */
const SUM_OF_LOOKUPS = BigInt(LOOKUPS_A_RUN * (LOOKUPS_A_RUN - 1) / 2);
const ENTRIES = 1_024;
/** Behind the two structs double_buffer of bench/bpf/double_buffer.bpf.c: what the lookups of the last run add up to. */
const SUM_AT = 2 * DOUBLE_BUFFER.size;

function elapsedMs(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

const LIMIT = { entriesLimit: 131_072 };
const ARRAY = { ...LIMIT, name: "array", type: MapType.array, keyBytes: 4, valueBytes: 8, flags: MapFlag.innerMap };
const HASH = { ...LIMIT, name: "hash", type: MapType.hash, keyBytes: 4, valueBytes: 8 };

const key = new Uint8Array(4);
const value = new Uint8Array(8);
const keyView = new DataView(key.buffer);
const valueView = new DataView(value.buffer);

/** Makes an entry of a plain map hold its index. */
function write(map: BpfMap, index: number): void {
  keyView.setUint32(0, index, true);
  valueView.setBigUint64(0, BigInt(index), true);
  map.update(key, value);
}

/** The value of an entry of a plain map; -1 where there is none. */
function read(map: BpfMap, index: number): bigint {
  keyView.setUint32(0, index, true);
  return map.lookup(key, value) ? valueView.getBigUint64(0, true) : -1n;
}

function sumOf(values: bigint[]): bigint {
  return values.reduce((sum, value) => sum + value, 0n);
}

/** The structures that the programs of this bench read, and plain maps beside them. */
function openStructures(stack: DisposableStack, libbpf: Libbpf, { object, memory, fence }: {
  object: BpfObject;
  memory: Uint8Array<ArrayBuffer>;
  fence: RcuFence;
}) {
  // Each structure of a pointer is copied along when another one changes, so the hash has a pointer of its own.
  const arrayPointer = new ActivePointer({ buffer: memory.buffer, offset: 0 }, fence);
  const hashPointer = new ActivePointer({ buffer: memory.buffer, offset: DOUBLE_BUFFER.size }, fence);
  const arrays = object.map("arrays"), hashes = object.map("hashes");
  const arraySides = stack.use(GrowingSideMaps.create(libbpf, arrays, { ...ARRAY, entriesMax: ENTRIES }));
  const hashSides = stack.use(GrowingSideMaps.create(libbpf, hashes, { ...HASH, entriesMax: LIMIT.entriesLimit }));
  const fixedSides = new FixedSideMaps([object.map("fixed_side0"), object.map("fixed_side1")]);
  return {
    arrayPointer,
    hashPointer,
    list: new DoubleBufferedArray(arrayPointer, 0, { sides: arraySides, codec: U64 }),
    fixed: new DoubleBufferedArray(arrayPointer, 1, { sides: fixedSides, codec: U64 }),
    table: new DoubleBufferedHash(hashPointer, 0, { sides: hashSides, key: U32, value: U64 }),
    plainHash: object.map("plain_hash"),
  };
}

type Structures = ReturnType<typeof openStructures>;

/** Puts ENTRIES entries, each its index, into every structure and every plain map. */
function fillAll({ list, fixed, table, plainHash }: Structures, plainArray: BpfMap): void {
  const values = Array.from({ length: ENTRIES }, (_, i) => BigInt(i));
  using change = list.setAndDeferSwitchover(values);
  fixed.setAndDeferSwitchover(values);
  change.flip();
  table.set(values.map((value, i): [number, bigint] => [i, value]));
  for (let i = 0; i < ENTRIES; i++) {
    write(plainArray, i);
    write(plainHash, i);
  }
}

/** What a lookup costs in a plain map and in each structure. */
function benchLookups(run: BenchRun, libbpf: Libbpf, object: BpfObject, memoryView: DataView): void {
  const rounds = run.pick(15, 2);
  const runsARound = run.pick(2_000, 10);
  const names = ["nothing", "plain_array", "fixed_array", "inner_array", "plain_hash", "inner_hash"] as const;
  const durations = names.map((name) => ({ name, fd: object.programFd(`read_${name}`), ns: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { name, fd, ns } of durations) {
      memoryView.setBigUint64(SUM_AT, 0n, true);
      ns.push(testRun(libbpf, fd, new Uint8Array(64), { repeat: runsARound }).durationNs / LOOKUPS_A_RUN);
      const expected = name === "nothing" ? 0n : SUM_OF_LOOKUPS;
      run.equal(`the sum that read_${name} found`, memoryView.getBigUint64(SUM_AT, true), expected);
    }
  }
  const [nothing, ...costs] = durations.map(({ ns }) => median(ns));
  const [array, fixed, inner, hash, innerHash] = costs.map((ns) => ns - nothing);
  const over = (ns: number, plain: number) => `${ns.toFixed(1)} (${(ns - plain).toFixed(1)} more)`;
  const arrays = `array ${array.toFixed(1)}, two fixed ${over(fixed, array)}, inner ${over(inner, array)}`;
  run.report(`   a lookup, ns: ${arrays}; hash ${hash.toFixed(1)}, inner ${over(innerHash, hash)}`);
}

/** Replaces all entries of a structure, and writes the same entries into a plain map. @returns a line of results */
function benchUpdate(run: BenchRun, elements: readonly bigint[], { name, pointer, set, plain, held }: {
  name: string;
  pointer: ActivePointer;
  set: () => void;
  plain: BpfMap;
  /** The values that the structure holds. */
  held: () => bigint[];
}): string {
  const [ours, flips, theirs] = [[] as number[], [] as number[], [] as number[]];
  // The first one may have to make larger maps.
  set();
  for (let round = 0; round < run.pick(5, 2); round++) {
    pointer.quiesce();
    const fill = elapsedMs(set);
    flips.push(fill);
    ours.push(fill + elapsedMs(() => pointer.quiesce()));
    theirs.push(elapsedMs(() => elements.forEach((_, i) => write(plain, i))));
  }
  const sum = sumOf([...elements]);
  run.equal(`the number of entries of the ${name}`, held().length, elements.length);
  run.equal(`the sum of the ${name}`, sumOf(held()), sum);
  run.equal(`the sum of the plain ${name}`, sumOf(elements.map((_, i) => read(plain, i))), sum);
  const [total, flip, one] = [median(ours), median(flips), median(theirs)];
  return `${name} ${total.toFixed(1)} (in force after ${flip.toFixed(1)}), one by one ${one.toFixed(1)}: ratio ` +
    (total / one).toFixed(2);
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\n12. Double-buffered maps");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  using object = BpfObject.open(libbpf, "bench", await Deno.readFile(OBJECT));
  object.load();
  using memory = object.map(".bss").map({ writable: true });
  using fence = new RcuFence(libbpf);
  using stack = new DisposableStack();
  const bytes = new Uint8Array(memory.buffer);
  const structures = openStructures(stack, libbpf, { object, memory: bytes, fence });
  fillAll(structures, object.map("plain_array"));
  benchLookups(run, libbpf, object, new DataView(memory.buffer));

  const waits = Array.from({ length: run.pick(15, 2) }, () => elapsedMs(() => fence.wait()));
  run.report(`   waiting for running programs: ${median(waits).toFixed(1)} ms`);
  using wideArray = BpfMap.create(libbpf, { ...ARRAY, name: "wide", entriesMax: LIMIT.entriesLimit });
  const { list, table, arrayPointer, hashPointer, plainHash } = structures;
  for (const size of run.pick([1_000, 10_000, 100_000], [1_000, 2_000])) {
    const elements = Array.from({ length: size }, (_, i) => BigInt(i));
    const entries = elements.map((element, i): [number, bigint] => [i, element]);
    const array = benchUpdate(run, elements, {
      name: "array",
      pointer: arrayPointer,
      set: () => list.set(elements),
      plain: wideArray,
      held: () => list.entries(),
    });
    const hash = benchUpdate(run, elements, {
      name: "hash",
      pointer: hashPointer,
      set: () => table.set(entries),
      plain: plainHash,
      held: () => table.entries().map(([key, value]) => BigInt(key) === value ? value : -1n),
    });
    run.report(`   ${String(size).padStart(6)} entries, ms: ${array}; ${hash}`);
    list.set([]);
    table.set([]);
  }
}
