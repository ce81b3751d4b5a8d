/**
 * A slot of a map of maps, through which a map or a ring is replaced while programs use it, and the fence that waits
 * for running programs.
 */
import { BpfMap, type InnerKey, MapType } from "./bpf_map.ts";
import type { Fence } from "./double_buffer.ts";
import type { Libbpf } from "./libbpf.ts";

/** One slot and the map in it, which the slot owns. */
export class InnerSlot implements Disposable {
  readonly #outer: BpfMap;
  readonly #key: InnerKey;
  #map: BpfMap;

  private constructor(outer: BpfMap, key: InnerKey, map: BpfMap) {
    this.#outer = outer;
    this.#key = key;
    this.#map = map;
  }

  /**
   * Puts a map into a slot, which owns the map from then on.
   *
   * @throws {SystemError} the map stays the caller's
   */
  static put(outer: BpfMap, key: InnerKey, map: BpfMap): InnerSlot {
    outer.putInner(key, map);
    return new InnerSlot(outer, key, map);
  }

  /** Opens the map that another worker has put into a slot. @throws {Error} when the slot is empty */
  static open(outer: BpfMap, key: InnerKey): InnerSlot {
    return new InnerSlot(outer, key, openInner(outer, key));
  }

  get map(): BpfMap {
    return this.#map;
  }

  /**
   * Replaces the map by `fresh`, which the slot owns from then on. Returns when no running program can still use the
   * old map.
   *
   * @returns the old map, which is the caller's to read and dispose of
   * @throws {SystemError} the slot is unchanged
   */
  replace(fresh: BpfMap): BpfMap {
    this.#outer.putInner(this.#key, fresh);
    const old = this.#map;
    this.#map = fresh;
    return old;
  }

  /** Opens the map that is in the slot now, if another worker has replaced it. @throws {SystemError} */
  refresh(): void {
    if (this.#outer.innerIdAt(this.#key) === this.#map.id) return;
    const current = openInner(this.#outer, this.#key);
    this.#map[Symbol.dispose]();
    this.#map = current;
  }

  [Symbol.dispose](): void {
    this.#map[Symbol.dispose]();
  }
}

function openInner(outer: BpfMap, key: InnerKey): BpfMap {
  // The map may be replaced between the look-up of its id and the opening, but hardly a hundred times in a row.
  for (let tries = 0; tries < 100; tries++) {
    const map = outer.innerAt(key);
    if (map !== null) return map;
  }
  throw new Error(`Cannot open a map in "${outer.spec.name}": the slot is empty`);
}

/**
 * Waits for an RCU grace period, by updating a map of maps that no program uses. It does not wait for sleepable
 * programs.
 */
export class RcuFence implements Fence, Disposable {
  readonly #inner: BpfMap;
  readonly #outer: BpfMap;

  /** @throws {SystemError} */
  constructor(libbpf: Libbpf) {
    using stack = new DisposableStack();
    const inner = { name: "fence_inner", type: MapType.array, keyBytes: 4, valueBytes: 4, entriesMax: 1 };
    this.#inner = stack.use(BpfMap.create(libbpf, inner));
    this.#outer = BpfMap.create(libbpf, { ...inner, name: "fence", type: MapType.arrayOfMaps, inner: this.#inner });
    stack.move();
  }

  wait(): void {
    this.#outer.putInner(0, this.#inner);
  }

  async waitAsync(): Promise<void> {
    await this.#outer.putInnerAsync(0, this.#inner);
  }

  [Symbol.dispose](): void {
    this.#outer[Symbol.dispose]();
    this.#inner[Symbol.dispose]();
  }
}
