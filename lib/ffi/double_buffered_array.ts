/** A list of values that programs read by index, of which all change in one instant. */
import { type BufferedArray, readAll, type SideMap, type SideMaps } from "./double_buffer.ts";
import type { Side } from "./side.ts";
import type { Codec } from "./double_buffer_codec.ts";
import type { ActivePointer } from "./double_buffer_pointer.ts";
import type { Switchover } from "./double_buffer_switchover.ts";

/** Over two maps of BPF_MAP_TYPE_ARRAY. */
export class DoubleBufferedArray<T> implements BufferedArray<T> {
  readonly #pointer: ActivePointer;
  readonly #structure: number;
  readonly #sides: SideMaps;
  readonly #codec: Codec<T>;

  /**
   * @param structure its number on the pointer, as programs know it
   * @param options the maps, and what is in them
   */
  constructor(pointer: ActivePointer, structure: number, { sides, codec }: { sides: SideMaps; codec: Codec<T> }) {
    this.#pointer = pointer;
    this.#structure = structure;
    this.#sides = sides;
    this.#codec = codec;
    pointer.register(structure, {
      copySide: (from, to) => this.#copySide(from, to),
      clear: (side) => this.#write(side, { count: 0, values: new Uint8Array() }),
    });
  }

  get length(): number {
    return this.#pointer.lengthOf(this.#structure, this.#pointer.active);
  }

  get(index: number): T | undefined {
    if (!Number.isInteger(index) || index < 0) return undefined;
    return this.#pointer.read((side, generation) => {
      if (index >= this.#pointer.lengthOf(this.#structure, side)) return undefined;
      const value = new Uint8Array(this.#codec.sizeBytes);
      const found = this.#sides.map(side, generation).lookup(new Uint8Array(Uint32Array.of(index).buffer), value);
      return found ? this.#codec.decode(new DataView(value.buffer), 0) : undefined;
    });
  }

  entries(): T[] {
    const { count, values } = this.#pointer.read((side, generation) => this.#read(side, generation));
    const view = new DataView(values.buffer);
    return Array.from({ length: count }, (_, i) => this.#codec.decode(view, i * this.#codec.sizeBytes));
  }

  set(values: Iterable<T>): void {
    if (this.#pointer.isChanging) throw new Error("Cannot set values: a change is open, which has to be joined");
    this.setAndDeferSwitchover(values).flip();
  }

  setAndDeferSwitchover(values: Iterable<T>): Switchover {
    const change = this.#pointer.change();
    change.fill(this.#structure, (side) => this.#write(side, this.#encode(values)));
    return change;
  }

  #encode(values: Iterable<T>): { count: number; values: Uint8Array<ArrayBuffer> } {
    const list = Array.isArray(values) ? values as T[] : [...values];
    const encoded = new DataView(new ArrayBuffer(list.length * this.#codec.sizeBytes));
    for (let i = 0; i < list.length; i++) this.#codec.encode(list[i], encoded, i * this.#codec.sizeBytes);
    return { count: list.length, values: new Uint8Array(encoded.buffer) };
  }

  #read(side: Side, generation: number): { count: number; values: Uint8Array<ArrayBuffer> } {
    const length = this.#pointer.lengthOf(this.#structure, side);
    return readAll(this.#sides.map(side, generation), length);
  }

  #copySide(from: Side, to: Side): void {
    this.#write(to, this.#read(from, this.#pointer.generation));
  }

  /** Elements beyond the new length become zero, so that nothing old is left to whoever does not ask for the length. */
  #write(side: Side, { count, values }: { count: number; values: Uint8Array<ArrayBuffer> }): void {
    const map: SideMap = this.#sides.withRoom(side, count);
    const written = Math.max(count, Math.min(this.#pointer.lengthOf(this.#structure, side), map.spec.entriesMax));
    // Should it fail midway, so much has to be cleared.
    this.#pointer.setLength(this.#structure, side, written);
    const keys = new Uint32Array(written);
    for (let i = 0; i < written; i++) keys[i] = i;
    let all = values;
    if (written > count) {
      all = new Uint8Array(written * this.#codec.sizeBytes);
      all.set(values.subarray(0, count * this.#codec.sizeBytes));
    }
    map.updateBatch({ count: written, keys: new Uint8Array(keys.buffer), values: all });
    this.#pointer.setLength(this.#structure, side, count);
  }
}
