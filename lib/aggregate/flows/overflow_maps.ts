/** What bpf/overflow.h keeps of flows that found no room: its maps, of two sides as the flow maps are. */
import type { MapBatch, OverflowMemory } from "../../wire/records.ts";
import type { BpfObject } from "../../ffi/bpf_object.ts";
import { type Side, SIDES } from "../../ffi/side.ts";
import { writeField } from "../../wire/layout.ts";
import {
  CANDIDATE,
  CANDIDATE_SHAPE,
  COUNT_MIN_CELL,
  COUNT_MIN_SHAPE,
  FLOW_BSS,
  FLOW_RODATA,
  FULL_MAP,
} from "../../wire/layouts.gen.ts";
import type { Mapping } from "../../ffi/libc.ts";

/** Source networks that a side counts by, unless told otherwise. */
const PREFIXES_MAX = 16_384;

/** Entries a drain moves a system call. */
const DRAIN_BATCH_MAX = 16_384;

const SKETCH_BYTES = COUNT_MIN_SHAPE.COUNT_MIN_ROWS * COUNT_MIN_SHAPE.COUNT_MIN_COLUMNS * COUNT_MIN_CELL.size;
const CANDIDATES_BYTES = CANDIDATE_SHAPE.CANDIDATES * CANDIDATE.size;

function prefixesName(side: Side): string {
  return `overflow_prefixes_side${side}`;
}

/** Where the word lies that says that a map of a side was full. */
export function fullFlagOffset(side: Side, map: keyof typeof FULL_MAP): number {
  return FLOW_BSS.fields.map_full.offset + (side * FULL_MAP.FULL_MAPS + FULL_MAP[map]) * 4;
}

export class OverflowMaps implements Disposable {
  readonly #object: BpfObject;
  readonly #globals: DataView<ArrayBuffer>;
  readonly #cpus: number;
  readonly #sketches: Mapping;
  readonly #candidates: Mapping;

  /** @param globals the loaded object's .bss */
  constructor(object: BpfObject, globals: DataView<ArrayBuffer>, cpus: number) {
    using stack = new DisposableStack();
    this.#object = object;
    this.#globals = globals;
    this.#cpus = cpus;
    this.#sketches = stack.use(object.map("overflow_sketches").map({ writable: true }));
    this.#candidates = object.map("overflow_candidates").map({ writable: true });
    stack.move();
  }

  /** Sets sizes and constants of an object that is not loaded yet. */
  static configure(
    object: BpfObject,
    rodata: DataView,
    { cpus, prefixesMax, byBytes }: { cpus: number; prefixesMax?: number; byBytes: boolean },
  ): void {
    writeField(rodata, FLOW_RODATA, "hash_seed", crypto.getRandomValues(new BigUint64Array(1))[0]);
    writeField(rodata, FLOW_RODATA, "candidates_by_bytes", byBytes);
    object.setMaxEntries("overflow_candidates", SIDES.length * cpus);
    for (const side of SIDES) object.setMaxEntries(prefixesName(side), prefixesMax ?? PREFIXES_MAX);
  }

  /** Empties a quiet side: networks in batches, then the sketch and the candidates, all of it lent. */
  take(
    side: Side,
    { prefixes, memory }: { prefixes: (batch: MapBatch) => void; memory: (overflow: OverflowMemory) => void },
  ): void {
    const map = this.#object.map(prefixesName(side));
    map.drain(prefixes, Math.min(DRAIN_BATCH_MAX, map.spec.entriesMax));
    this.#globals.setUint32(fullFlagOffset(side, "FULL_PREFIXES"), 0, true);
    const sketch = { bytes: this.#sketches.buffer, byteOffset: side * SKETCH_BYTES };
    const candidates = {
      bytes: this.#candidates.buffer,
      byteOffset: side * this.#cpus * CANDIDATES_BYTES,
      cpus: this.#cpus,
      strideBytes: CANDIDATES_BYTES,
    };
    memory({ sketch, candidates });
    new Uint8Array(sketch.bytes, sketch.byteOffset, SKETCH_BYTES).fill(0);
    new Uint8Array(candidates.bytes, candidates.byteOffset, this.#cpus * CANDIDATES_BYTES).fill(0);
  }

  [Symbol.dispose](): void {
    this.#sketches[Symbol.dispose]();
    this.#candidates[Symbol.dispose]();
  }
}
