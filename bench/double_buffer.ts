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

const OBJECT = `${BUILD_DIR}/bpf/double_buffer.bpf.o`;
const LOOKUPS_A_RUN = 1_000;
const READ_ROUNDS = 15;
const RUNS_A_ROUND = 2_000;
const ENTRIES = 1_024;
const SIZES = [1_000, 10_000, 100_000];
const UPDATE_ROUNDS = 5;

function elapsedMs(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

export async function benchDoubleBuffer(): Promise<void> {
  console.log("\n12. Double-buffered maps");
  using libbpf = openLibbpf({ embeddedDir: "build/app/lib" });
  using object = BpfObject.open(libbpf, "bench", await Deno.readFile(OBJECT));
  object.load();
  using memory = object.map(".bss").map({ writable: true });
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
  for (let i = 0; i < ENTRIES; i++) {
    write(plainArray, i);
    write(plainHash, i);
  }

  const names = ["nothing", "plain_array", "fixed_array", "inner_array", "plain_hash", "inner_hash"] as const;
  const durations = names.map((name) => ({ fd: object.programFd(`read_${name}`), ns: [] as number[] }));
  for (let round = 0; round < READ_ROUNDS; round++) {
    for (const { fd, ns } of durations) {
      ns.push(testRun(libbpf, fd, new Uint8Array(64), { repeat: RUNS_A_ROUND }).durationNs / LOOKUPS_A_RUN);
    }
  }
  const [nothing, ...costs] = durations.map(({ ns }) => median(ns));
  const [array0, fixedCost, inner, hash0, innerHash] = costs.map((ns) => ns - nothing);
  const over = (ns: number, plain: number) => `${ns.toFixed(1)} (${(ns - plain).toFixed(1)} more)`;
  console.log(
    `   a lookup, ns: array ${array0.toFixed(1)}, two fixed ${over(fixedCost, array0)}, inner ${
      over(inner, array0)
    }; ` +
      `hash ${hash0.toFixed(1)}, inner ${over(innerHash, hash0)}`,
  );

  const waits = Array.from({ length: READ_ROUNDS }, () => elapsedMs(() => fence.wait()));
  console.log(`   waiting for running programs: ${median(waits).toFixed(1)} ms`);
  using wideArray = BpfMap.create(libbpf, { ...array, name: "wide", entriesMax: limit.entriesLimit });
  for (const size of SIZES) {
    const elements = Array.from({ length: size }, (_, i) => BigInt(i));
    const entries = elements.map((element, i): [number, bigint] => [i, element]);
    const lines = [
      { name: "array", pointer: arrayPointer, set: () => list.set(elements), plain: wideArray },
      { name: "hash", pointer: hashPointer, set: () => table.set(entries), plain: plainHash },
    ].map(({ name, pointer, set, plain }) => {
      const [ours, flips, theirs] = [[] as number[], [] as number[], [] as number[]];
      // The first one may have to make larger maps.
      set();
      for (let round = 0; round < UPDATE_ROUNDS; round++) {
        pointer.quiesce();
        const fill = elapsedMs(set);
        flips.push(fill);
        ours.push(fill + elapsedMs(() => pointer.quiesce()));
        theirs.push(elapsedMs(() => {
          for (let i = 0; i < size; i++) write(plain, i);
        }));
      }
      const [total, flip, one] = [median(ours), median(flips), median(theirs)];
      return `${name} ${total.toFixed(1)} (in force after ${flip.toFixed(1)}), one by one ${one.toFixed(1)}: ratio ` +
        (total / one).toFixed(2);
    });
    console.log(`   ${String(size).padStart(6)} entries, ms: ${lines.join("; ")}`);
    list.set([]);
    table.set([]);
  }
}

if (import.meta.main) await benchDoubleBuffer();
