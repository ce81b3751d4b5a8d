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
import { openLibbpf } from "../lib/ffi/libbpf.ts";
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

export async function bench(run: BenchRun): Promise<void> {
  const readRounds = run.pick(15, 2);
  const runsARound = run.pick(2_000, 10);
  const updateRounds = run.pick(5, 2);
  run.report("\n12. Double-buffered maps");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  using object = BpfObject.open(libbpf, "bench", await Deno.readFile(OBJECT));
  object.load();
  using memory = object.map(".bss").map({ writable: true });
  const memoryView = new DataView(memory.buffer);
  using fence = new RcuFence(libbpf);
  // Of their own: what shares a pointer is copied along when others change.
  const arrayPointer = new ActivePointer({ buffer: memory.buffer, offset: 0 }, fence);
  const hashPointer = new ActivePointer({ buffer: memory.buffer, offset: DOUBLE_BUFFER.size }, fence);
  const limit = { entriesLimit: 131_072 };
  const array = { ...limit, name: "array", type: MapType.array, keyBytes: 4, valueBytes: 8, flags: MapFlag.innerMap };
  const hash = { ...limit, name: "hash", type: MapType.hash, keyBytes: 4, valueBytes: 8 };
  using arraySides = GrowingSideMaps.create(libbpf, object.map("arrays"), { ...array, entriesMax: ENTRIES });
  using hashSides = GrowingSideMaps.create(libbpf, object.map("hashes"), { ...hash, entriesMax: 131_072 });
  const fixedSides = new FixedSideMaps([object.map("fixed_side0"), object.map("fixed_side1")]);
  const list = new DoubleBufferedArray(arrayPointer, 0, { sides: arraySides, codec: U64 });
  const fixed = new DoubleBufferedArray(arrayPointer, 1, { sides: fixedSides, codec: U64 });
  const table = new DoubleBufferedHash(hashPointer, 0, { sides: hashSides, key: U32, value: U64 });
  const [plainArray, plainHash] = [object.map("plain_array"), object.map("plain_hash")];

  const values = Array.from({ length: ENTRIES }, (_, i) => BigInt(i));
  using change = list.setAndDeferSwitchover(values);
  fixed.setAndDeferSwitchover(values);
  change.flip();
  table.set(values.map((value, i): [number, bigint] => [i, value]));
  const [key, value] = [new Uint8Array(4), new Uint8Array(8)];
  const [keyView, valueView] = [new DataView(key.buffer), new DataView(value.buffer)];
  const write = (map: BpfMap, index: number) => {
    keyView.setUint32(0, index, true);
    valueView.setBigUint64(0, BigInt(index), true);
    map.update(key, value);
  };
  const read = (map: BpfMap, index: number) => {
    keyView.setUint32(0, index, true);
    return map.lookup(key, value) ? valueView.getBigUint64(0, true) : -1n;
  };
  for (let i = 0; i < ENTRIES; i++) {
    write(plainArray, i);
    write(plainHash, i);
  }

  const names = ["nothing", "plain_array", "fixed_array", "inner_array", "plain_hash", "inner_hash"] as const;
  const durations = names.map((name) => ({ name, fd: object.programFd(`read_${name}`), ns: [] as number[] }));
  for (let round = 0; round < readRounds; round++) {
    for (const { name, fd, ns } of durations) {
      memoryView.setBigUint64(SUM_AT, 0n, true);
      ns.push(testRun(libbpf, fd, new Uint8Array(64), { repeat: runsARound }).durationNs / LOOKUPS_A_RUN);
      const expected = name === "nothing" ? 0n : SUM_OF_LOOKUPS;
      run.equal(`the sum that read_${name} found`, memoryView.getBigUint64(SUM_AT, true), expected);
    }
  }
  const [nothing, ...costs] = durations.map(({ ns }) => median(ns));
  const [array0, fixedCost, inner, hash0, innerHash] = costs.map((ns) => ns - nothing);
  const over = (ns: number, plain: number) => `${ns.toFixed(1)} (${(ns - plain).toFixed(1)} more)`;
  run.report(
    `   a lookup, ns: array ${array0.toFixed(1)}, two fixed ${over(fixedCost, array0)}, inner ${
      over(inner, array0)
    }; ` +
      `hash ${hash0.toFixed(1)}, inner ${over(innerHash, hash0)}`,
  );

  const waits = Array.from({ length: readRounds }, () => elapsedMs(() => fence.wait()));
  run.report(`   waiting for running programs: ${median(waits).toFixed(1)} ms`);
  using wideArray = BpfMap.create(libbpf, { ...array, name: "wide", entriesMax: limit.entriesLimit });
  for (const size of run.pick([1_000, 10_000, 100_000], [1_000, 2_000])) {
    const elements = Array.from({ length: size }, (_, i) => BigInt(i));
    const entries = elements.map((element, i): [number, bigint] => [i, element]);
    const lines = [
      {
        name: "array",
        pointer: arrayPointer,
        set: () => list.set(elements),
        plain: wideArray,
        held: () => list.entries(),
      },
      {
        name: "hash",
        pointer: hashPointer,
        set: () => table.set(entries),
        plain: plainHash,
        held: () => table.entries().map(([key, value]) => BigInt(key) === value ? value : -1n),
      },
    ].map(({ name, pointer, set, plain, held }) => {
      const [ours, flips, theirs] = [[] as number[], [] as number[], [] as number[]];
      // The first one may have to make larger maps.
      set();
      for (let round = 0; round < updateRounds; round++) {
        pointer.quiesce();
        const fill = elapsedMs(set);
        flips.push(fill);
        ours.push(fill + elapsedMs(() => pointer.quiesce()));
        theirs.push(elapsedMs(() => {
          for (let i = 0; i < size; i++) write(plain, i);
        }));
      }
      const sumOf = (values: bigint[]) => values.reduce((sum, value) => sum + value, 0n);
      run.equal(`the number of entries of the ${name}`, held().length, size);
      run.equal(`the sum of the ${name}`, sumOf(held()), sumOf(elements));
      run.equal(`the sum of the plain ${name}`, sumOf(elements.map((_, i) => read(plain, i))), sumOf(elements));
      const [total, flip, one] = [median(ours), median(flips), median(theirs)];
      return `${name} ${total.toFixed(1)} (in force after ${flip.toFixed(1)}), one by one ${one.toFixed(1)}: ratio ` +
        (total / one).toFixed(2);
    });
    run.report(`   ${String(size).padStart(6)} entries, ms: ${lines.join("; ")}`);
    list.set([]);
    table.set([]);
  }
}
