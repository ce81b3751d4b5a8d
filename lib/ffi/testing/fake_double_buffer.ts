/**
 * Double-buffered structures without a kernel, for tests of code that uses them: the real classes over maps in memory.
 * Tests can expect sets, inject errors and look at both sides.
 */
import { MapType, type MapTypeNumber } from "../bpf_map.ts";
import { type Fence, readAll } from "../double_buffer.ts";
import type { Side } from "../side.ts";
import type { Codec } from "../double_buffer_codec.ts";
import { ActivePointer } from "../double_buffer_pointer.ts";
import type { Switchover } from "../double_buffer_switchover.ts";
import { DoubleBufferedArray } from "../double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../double_buffered_table.ts";
import { DOUBLE_BUFFER } from "../../wire/layouts.gen.ts";
import type { ExpectedSets } from "./expected_sets.ts";
import { FakeSideMaps, Faults } from "./fake_map.ts";

/** A fence that does not wait, and counts the calls. */
class FakeFence implements Fence {
  readonly #faults: Faults;
  waits = 0;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  wait(): void {
    this.#faults.step();
    this.waits++;
  }

  async waitAsync(): Promise<void> {
    await Promise.resolve();
    this.wait();
  }
}

/** A pointer in memory, whose structures share their faults. */
export class FakePointer extends ActivePointer {
  readonly faults: Faults;
  readonly #fence: FakeFence;

  constructor() {
    const faults = new Faults();
    const fence = new FakeFence(faults);
    super({ buffer: new ArrayBuffer(DOUBLE_BUFFER.size), offset: 0 }, fence);
    this.faults = faults;
    this.#fence = fence;
  }

  /** How often code waited for running programs. */
  get waits(): number {
    return this.#fence.waits;
  }

  /** Called by the fakes. An error of `check` abandons the open change, as any failure does. */
  abandonUnless(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (this.isChanging) this.change().abandon();
      throw error;
    }
  }
}

/** Options of a fake. */
export interface FakeOptions {
  /** Name of the structure, for expectations and messages. */
  name: string;
  /** Entries of the maps; default 1,024. */
  entriesMax?: number;
  /** Entries up to which the maps may grow; by default they do not. */
  entriesLimit?: number;
  /** The expected sets; without them every set is accepted. */
  expected?: ExpectedSets;
}

function fakeSides(
  { name, entriesMax = 1_024, entriesLimit }: FakeOptions,
  shape: { type: MapTypeNumber; keyBytes: number; valueBytes: number },
  faults: Faults,
): FakeSideMaps {
  return new FakeSideMaps({ name, ...shape, entriesMax, entriesLimit }, faults);
}

/** A list in memory. */
export class FakeDoubleBufferedArray<T> extends DoubleBufferedArray<T> {
  readonly #options: FakeOptions & { codec: Codec<T> };
  readonly #sides: FakeSideMaps;
  readonly #pointer: FakePointer;

  constructor(pointer: FakePointer, structure: number, options: FakeOptions & { codec: Codec<T> }) {
    const { codec } = options;
    const shape = { type: MapType.array, keyBytes: 4, valueBytes: codec.sizeBytes };
    const sides = fakeSides(options, shape, pointer.faults);
    super(pointer, structure, { sides, codec });
    this.#pointer = pointer;
    this.#options = options;
    this.#sides = sides;
  }

  override setAndDeferSwitchover(values: Iterable<T>): Switchover {
    const list = [...values];
    this.#pointer.abandonUnless(() => this.#options.expected?.take(this.#options.name, list));
    return super.setAndDeferSwitchover(list);
  }

  /** Every element of a side's map, also those beyond its length. */
  elements(side: Side): T[] {
    const map = this.#sides.map(side);
    const { count, values } = readAll(map, map.spec.entriesMax);
    const view = new DataView(values.buffer);
    const { codec } = this.#options;
    return Array.from({ length: count }, (_, i) => codec.decode(view, i * codec.sizeBytes));
  }
}

interface FakeTableOptions<K, V> extends FakeOptions {
  key: Codec<K>;
  value: Codec<V>;
}

/** A fake table adds expectations and a look at its sides to the real one. */
class FakeTable<K, V> {
  readonly sides: FakeSideMaps;
  readonly #options: FakeTableOptions<K, V>;
  readonly #pointer: FakePointer;

  constructor(pointer: FakePointer, options: FakeTableOptions<K, V>, type: MapTypeNumber) {
    this.#pointer = pointer;
    this.#options = options;
    const shape = { type, keyBytes: options.key.sizeBytes, valueBytes: options.value.sizeBytes };
    this.sides = fakeSides(options, shape, pointer.faults);
  }

  take(entries: readonly (readonly [K, V])[]): void {
    this.#pointer.abandonUnless(() => this.#options.expected?.take(this.#options.name, entries));
  }

  entriesOf(side: Side): [K, V][] {
    const map = this.sides.map(side);
    const { count, keys, values } = readAll(map, map.spec.entriesMax);
    const [keyView, valueView] = [new DataView(keys.buffer), new DataView(values.buffer)];
    const { key, value } = this.#options;
    return Array.from({ length: count }, (_, i): [K, V] => [
      key.decode(keyView, i * key.sizeBytes),
      value.decode(valueView, i * value.sizeBytes),
    ]);
  }
}

/** A table in memory. */
export class FakeDoubleBufferedHash<K, V> extends DoubleBufferedHash<K, V> {
  readonly #fake: FakeTable<K, V>;

  constructor(pointer: FakePointer, structure: number, options: FakeTableOptions<K, V>) {
    const fake = new FakeTable(pointer, options, MapType.hash);
    super(pointer, structure, { ...options, sides: fake.sides });
    this.#fake = fake;
  }

  override setAndDeferSwitchover(entries: Iterable<readonly [K, V]>): Switchover {
    const list = [...entries];
    this.#fake.take(list);
    return super.setAndDeferSwitchover(list);
  }

  /** All entries of a side's map. */
  entriesOf(side: Side): [K, V][] {
    return this.#fake.entriesOf(side);
  }
}

/** A table of prefixes in memory. */
export class FakeDoubleBufferedLpm<K, V> extends DoubleBufferedLpm<K, V> {
  readonly #fake: FakeTable<K, V>;

  constructor(pointer: FakePointer, structure: number, options: FakeTableOptions<K, V>) {
    const fake = new FakeTable(pointer, options, MapType.lpmTrie);
    super(pointer, structure, { ...options, sides: fake.sides });
    this.#fake = fake;
  }

  override setAndDeferSwitchover(entries: Iterable<readonly [K, V]>): Switchover {
    const list = [...entries];
    this.#fake.take(list);
    return super.setAndDeferSwitchover(list);
  }

  /** All entries of a side's map. */
  entriesOf(side: Side): [K, V][] {
    return this.#fake.entriesOf(side);
  }
}
