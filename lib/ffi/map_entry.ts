/**
 * References to single values of a BPF map, with an atomic addition. Userspace cannot add atomically by itself, so a
 * small program in the kernel does it (bpf/map_entry.bpf.c).
 */
import { SystemError } from "../runtime/errors.ts";
import { type BpfMap, MapType } from "./bpf_map.ts";
import { BpfObject } from "./bpf_object.ts";
import { MAP_ENTRY_REQUEST } from "../wire/layouts.gen.ts";
import type { Libbpf } from "./libbpf.ts";
import { testRun } from "./test_run.ts";

const OBJECT = "map_entry";
const KEY_FIELD = MAP_ENTRY_REQUEST.fields.key;
const VALUE_BYTES = 8;

/**
 * The values of one map, by key.
 *
 * @example
 * ```ts ignore
 * using entries = new MapEntries(libbpf, Deno.readFileSync("build/bpf/map_entry.bpf.o"), map);
 * const total = entries.at(key);
 * total.add(1n);
 * ```
 */
export class MapEntries implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #map: BpfMap;
  readonly #object: BpfObject;
  readonly #programFd: number;

  /**
   * @param elf of map_entry.bpf.o
   * @param map a hash map of 64-bit values with keys of at most 64 bytes; it must outlive this
   * @throws {RangeError} for any other map
   * @throws {PrivilegeError | UnsupportedError} when the program cannot be loaded
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, map: BpfMap) {
    const { name, type, keyBytes, valueBytes } = map.spec;
    const fits = keyBytes <= KEY_FIELD.size && valueBytes === VALUE_BYTES;
    if (!fits || (type !== MapType.hash && type !== MapType.lruHash)) {
      throw new RangeError(
        `Cannot refer to entries of map "${name}": its type is ${type}, keys have ${keyBytes} bytes, values ${valueBytes}`,
      );
    }
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#map = map;
    this.#object = stack.use(BpfObject.open(libbpf, OBJECT, elf));
    this.#object.reuseMap("target", map);
    this.#object.load();
    this.#programFd = this.#object.programFd("map_entry_add");
    stack.move();
  }

  /** A reference to the value at `key`. @throws {RangeError} when `key` is not as long as the map's keys */
  at(key: Uint8Array<ArrayBuffer>): MapEntryReference {
    const { name, keyBytes } = this.#map.spec;
    if (key.length !== keyBytes) {
      throw new RangeError(`Cannot refer to a key of ${key.length} bytes in map "${name}": it has ${keyBytes}`);
    }
    return new MapEntryReference(this.#map, key.slice(), (request) => this.#add(request));
  }

  #add(request: Uint8Array<ArrayBuffer>): void {
    const { result } = testRun(this.#libbpf, this.#programFd, request);
    if (result !== 0) throw new SystemError(`add to an entry of map "${this.#map.spec.name}"`, -result);
  }

  [Symbol.dispose](): void {
    this.#object[Symbol.dispose]();
  }
}

/** A reference to an unsigned 64-bit value of a map. It is valid as long as its MapEntries. */
export class MapEntryReference {
  readonly #map: BpfMap;
  readonly #key: Uint8Array<ArrayBuffer>;
  readonly #value = new BigUint64Array(1);
  readonly #valueBytes = new Uint8Array(this.#value.buffer);
  /** struct map_entry_request */
  readonly #request = new Uint8Array(MAP_ENTRY_REQUEST.size);
  readonly #delta = new DataView(this.#request.buffer, MAP_ENTRY_REQUEST.fields.delta.offset, VALUE_BYTES);
  readonly #add: (request: Uint8Array<ArrayBuffer>) => void;

  /** Use `MapEntries.at`. */
  constructor(map: BpfMap, key: Uint8Array<ArrayBuffer>, add: (request: Uint8Array<ArrayBuffer>) => void) {
    this.#map = map;
    this.#key = key;
    this.#request.set(key, KEY_FIELD.offset);
    this.#add = add;
  }

  /** Reads the value. @returns undefined where the map has no such entry */
  get(): bigint | undefined {
    return this.#map.lookup(this.#key, this.#valueBytes) ? this.#value[0] : undefined;
  }

  /** Writes the value. @throws {SystemError} E2BIG when the map is full */
  set(value: bigint): void {
    this.#value[0] = value;
    this.#map.update(this.#key, this.#valueBytes);
  }

  /**
   * Adds atomically. A missing entry is made.
   *
   * @param delta may be negative; values wrap at 2^64
   * @throws {SystemError} E2BIG when the map is full
   */
  add(delta: bigint): void {
    this.#delta.setBigUint64(0, BigInt.asUintN(64, delta), true);
    this.#add(this.#request);
  }
}
