/**
 * Tables that programs look keys up in, of which all entries change in one instant: by exact key, or longest prefix.
 */
import type { MapBatch } from "../wire/records.ts";
import { MapType, type MapTypeNumber } from "./bpf_map.ts";
import { BATCH_ENTRIES_MAX, type BufferedTable, readAll, type SideMaps } from "./double_buffer.ts";
import type { Side } from "./side.ts";
import type { Codec } from "./double_buffer_codec.ts";
import { KeyIndex } from "./double_buffer_keys.ts";
import type { ActivePointer } from "./double_buffer_pointer.ts";
import type { Switchover } from "./double_buffer_switchover.ts";

export interface TableOptions<K, V> {
  sides: SideMaps;
  key: Codec<K>;
  value: Codec<V>;
}

abstract class DoubleBufferedTable<K, V> implements BufferedTable<K, V> {
  readonly #pointer: ActivePointer;
  readonly #structure: number;
  readonly #sides: SideMaps;
  readonly #key: Codec<K>;
  readonly #value: Codec<V>;

  constructor(pointer: ActivePointer, structure: number, { sides, key, value }: TableOptions<K, V>) {
    this.#pointer = pointer;
    this.#structure = structure;
    this.#sides = sides;
    this.#key = key;
    this.#value = value;
    pointer.register(structure, {
      copySide: (from, to) => this.#copySide(from, to),
      clear: (side) => this.#write(side, { count: 0, keys: new Uint8Array(), values: new Uint8Array() }),
    });
  }

  get length(): number {
    return this.#pointer.lengthOf(this.#structure, this.#pointer.active);
  }

  get(key: K): V | undefined {
    const encoded = new DataView(new ArrayBuffer(this.#key.sizeBytes));
    this.#key.encode(key, encoded, 0);
    return this.#pointer.read((side, generation) => {
      const value = new Uint8Array(this.#value.sizeBytes);
      const found = this.#sides.map(side, generation).lookup(new Uint8Array(encoded.buffer), value);
      return found ? this.#value.decode(new DataView(value.buffer), 0) : undefined;
    });
  }

  entries(): [K, V][] {
    const { count, keys, values } = this.#pointer.read((side, generation) => this.#read(side, generation));
    const [keyView, valueView] = [new DataView(keys.buffer), new DataView(values.buffer)];
    return Array.from({ length: count }, (_, i): [K, V] => [
      this.#key.decode(keyView, i * this.#key.sizeBytes),
      this.#value.decode(valueView, i * this.#value.sizeBytes),
    ]);
  }

  set(entries: Iterable<readonly [K, V]>): void {
    if (this.#pointer.isChanging) throw new Error("Cannot set entries: a change is open, which has to be joined");
    this.setAndDeferSwitchover(entries).flip();
  }

  setAndDeferSwitchover(entries: Iterable<readonly [K, V]>): Switchover {
    const change = this.#pointer.change();
    change.fill(this.#structure, (side) => this.#write(side, this.#encode(entries)));
    return change;
  }

  /** One entry a key, the last of those that have it. */
  #encode(entries: Iterable<readonly [K, V]>): MapBatch {
    const list = Array.isArray(entries) ? entries as (readonly [K, V])[] : [...entries];
    const [keyBytes, valueBytes] = [this.#key.sizeBytes, this.#value.sizeBytes];
    const keys = new DataView(new ArrayBuffer(list.length * keyBytes));
    const values = new DataView(new ArrayBuffer(list.length * valueBytes));
    const bytes = new Uint8Array(keys.buffer);
    const index = new KeyIndex(bytes, { keyBytes, keysMax: list.length });
    let count = 0;
    for (const [key, value] of list) {
      this.#key.encode(key, keys, count * keyBytes);
      const position = index.add(count);
      this.#value.encode(value, values, position * valueBytes);
      if (position === count) count++;
    }
    return { count, keys: bytes, values: new Uint8Array(values.buffer) };
  }

  #read(side: Side, generation: number): MapBatch {
    return readAll(this.#sides.map(side, generation), this.#pointer.lengthOf(this.#structure, side));
  }

  #copySide(from: Side, to: Side): void {
    this.#write(to, this.#read(from, this.#pointer.generation));
  }

  #write(side: Side, batch: MapBatch): void {
    const map = this.#sides.withRoom(side, batch.count);
    // Also what a write that failed has left behind.
    map.drain(() => {}, Math.min(BATCH_ENTRIES_MAX, map.spec.entriesMax));
    this.#pointer.setLength(this.#structure, side, 0);
    map.updateBatch(batch);
    this.#pointer.setLength(this.#structure, side, batch.count);
  }
}

function checkType(sides: SideMaps, type: MapTypeNumber, what: string): void {
  const { name, type: actual } = sides.map(0, 0).spec;
  if (actual !== type) throw new TypeError(`Cannot use map "${name}" as a ${what}: its type is ${actual}`);
}

/** Over two maps of BPF_MAP_TYPE_HASH. */
export class DoubleBufferedHash<K, V> extends DoubleBufferedTable<K, V> {
  constructor(pointer: ActivePointer, structure: number, options: TableOptions<K, V>) {
    checkType(options.sides, MapType.hash, "hash");
    super(pointer, structure, options);
  }
}

/**
 * Over two maps of BPF_MAP_TYPE_LPM_TRIE. The key is the C struct: a `__u32` of prefix bits, then as many bytes as the
 * longest prefix has. `get` finds the longest prefix of its key.
 */
export class DoubleBufferedLpm<K, V> extends DoubleBufferedTable<K, V> {
  constructor(pointer: ActivePointer, structure: number, options: TableOptions<K, V>) {
    checkType(options.sides, MapType.lpmTrie, "trie");
    super(pointer, structure, options);
  }
}
