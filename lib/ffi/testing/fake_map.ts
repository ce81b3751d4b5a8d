/** Maps in memory with the semantics of the kernel's maps, and errors that a test injects. */
import { SystemError } from "../../runtime/errors.ts";
import type { MapBatch } from "../../wire/records.ts";
import { type MapSpec, MapType, type TakeBatch } from "../bpf_map.ts";
import type { Side } from "../side.ts";
import type { SideMap, SideMaps } from "../double_buffer.ts";

const E2BIG = 7;

/** Errors to inject. Each call that could fail in the kernel is a step, and an error comes at a certain step. */
export class Faults {
  #steps = 0;
  readonly #errors = new Map<number, Error>();

  /** Makes a step fail. @param ahead 1 for the next step, 2 for the one after it */
  failAt(ahead: number, error: Error): void {
    this.#errors.set(this.#steps + ahead, error);
  }

  /** Takes a step. @throws {Error} the error that was injected for it */
  step(): void {
    const error = this.#errors.get(++this.#steps);
    if (error === undefined) return;
    this.#errors.delete(this.#steps);
    throw error;
  }

  /** Removes all injected errors. */
  heal(): void {
    this.#errors.clear();
  }
}

/** A hash, an array or a trie. */
export class FakeMap implements SideMap {
  readonly spec: Readonly<MapSpec>;
  readonly #faults: Faults;
  readonly #entries = new Map<string, { key: Uint8Array<ArrayBuffer>; value: Uint8Array<ArrayBuffer> }>();

  constructor(spec: MapSpec, faults: Faults) {
    this.spec = spec;
    this.#faults = faults;
  }

  lookup(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>): boolean {
    this.#faults.step();
    const found = this.spec.type === MapType.lpmTrie ? this.#longest(key) : this.#exact(key);
    if (found === null) return false;
    value.set(found);
    return true;
  }

  updateBatch({ count, keys, values }: MapBatch): void {
    const { keyBytes, valueBytes, entriesMax } = this.spec;
    for (let i = 0; i < count; i++) {
      // One at a time, as in the kernel: what comes before an error is in the map.
      this.#faults.step();
      const key = keys.slice(i * keyBytes, (i + 1) * keyBytes);
      const name = this.#name(key);
      const isFull = this.spec.type === MapType.array
        ? new DataView(key.buffer).getUint32(0, true) >= entriesMax
        : !this.#entries.has(name) && this.#entries.size >= entriesMax;
      if (isFull) throw new SystemError(`update map "${this.spec.name}"`, E2BIG);
      this.#entries.set(name, { key, value: values.slice(i * valueBytes, (i + 1) * valueBytes) });
    }
  }

  read(take: TakeBatch, batchMax: number): void {
    this.#faults.step();
    const entries = this.spec.type === MapType.array ? this.#elements() : [...this.#entries.values()];
    for (let start = 0; start < entries.length; start += batchMax) {
      const batch = entries.slice(start, start + batchMax);
      const isWanted = take({
        count: batch.length,
        keys: joined(batch.map(({ key }) => key), this.spec.keyBytes),
        values: joined(batch.map(({ value }) => value), this.spec.valueBytes),
      });
      if (isWanted === false) return;
    }
  }

  drain(take: (batch: MapBatch) => void, batchMax: number): number {
    this.read(take, batchMax);
    const { size } = this.#entries;
    this.#entries.clear();
    return size;
  }

  /** The elements of an array, all of which exist from the start. */
  #elements(): { key: Uint8Array<ArrayBuffer>; value: Uint8Array<ArrayBuffer> }[] {
    return Array.from({ length: this.spec.entriesMax }, (_, i) => {
      const key = new Uint8Array(Uint32Array.of(i).buffer);
      return { key, value: this.#entries.get(this.#name(key))?.value ?? new Uint8Array(this.spec.valueBytes) };
    });
  }

  #exact(key: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const entry = this.#entries.get(this.#name(key));
    if (entry !== undefined) return entry.value;
    const isElement = this.spec.type === MapType.array &&
      new DataView(key.buffer, key.byteOffset).getUint32(0, true) < this.spec.entriesMax;
    return isElement ? new Uint8Array(this.spec.valueBytes) : null;
  }

  #longest(key: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    let longestBits = -1;
    let found: Uint8Array<ArrayBuffer> | null = null;
    for (const entry of this.#entries.values()) {
      const bits = prefixBits(entry.key);
      if (bits > longestBits && bits <= prefixBits(key) && prefixName(key, bits) === prefixName(entry.key, bits)) {
        [longestBits, found] = [bits, entry.value];
      }
    }
    return found;
  }

  #name(key: Uint8Array<ArrayBuffer>): string {
    return this.spec.type === MapType.lpmTrie ? prefixName(key, prefixBits(key)) : String(key);
  }
}

function prefixBits(key: Uint8Array<ArrayBuffer>): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(0, true);
}

/** The prefix of a key as text, without the bits behind it. */
function prefixName(key: Uint8Array<ArrayBuffer>, bits: number): string {
  const prefix = key.slice(4, 4 + Math.ceil(bits / 8));
  if (bits % 8 !== 0) prefix[prefix.length - 1] &= 0xff00 >> bits % 8;
  return `${bits} ${prefix}`;
}

function joined(parts: Uint8Array<ArrayBuffer>[], partBytes: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.length * partBytes);
  parts.forEach((part, i) => all.set(part, i * partBytes));
  return all;
}

/** Two maps in memory that grow to a limit, as inner maps do. */
export class FakeSideMaps implements SideMaps {
  readonly #spec: MapSpec;
  readonly #entriesLimit: number;
  readonly #faults: Faults;
  readonly #maps: [FakeMap, FakeMap];

  /** @param spec `entriesLimit`: entries up to which the maps may grow; without it they have a fixed size */
  constructor({ entriesLimit, ...spec }: MapSpec & { entriesLimit?: number }, faults: Faults) {
    this.#spec = spec;
    this.#entriesLimit = entriesLimit ?? spec.entriesMax;
    this.#faults = faults;
    this.#maps = [new FakeMap(spec, faults), new FakeMap(spec, faults)];
  }

  map(side: Side): FakeMap {
    return this.#maps[side];
  }

  withRoom(side: Side, entries: number): FakeMap {
    const { name, entriesMax } = this.#maps[side].spec;
    if (entries <= entriesMax) return this.#maps[side];
    if (entries > this.#entriesLimit) {
      throw new RangeError(`Cannot put ${entries} entries into "${name}": there is room for ${this.#entriesLimit}`);
    }
    this.#faults.step();
    this.#maps[side] = new FakeMap({ ...this.#spec, entriesMax: entries }, this.#faults);
    return this.#maps[side];
  }
}
