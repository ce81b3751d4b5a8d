/**
 * A slot of a map of maps: the one way in which a map or a ring that programs use is replaced by another, and in which
 * userspace waits for the programs that run.
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
   * Puts a map into a slot; owned from here on.
   *
   * @throws {SystemError} the map is then still the caller's
   */
  static put(outer: BpfMap, key: InnerKey, map: BpfMap): InnerSlot {
    outer.putInner(key, map);
    return new InnerSlot(outer, key, map);
  }

  /** Opens the map that somebody else has put into a slot. @throws {Error} when it is empty */
  static open(outer: BpfMap, key: InnerKey): InnerSlot {
    return new InnerSlot(outer, key, openInner(outer, key));
  }

  get map(): BpfMap {
    return this.#map;
  }

  /**
   * Puts another map in its place, owned from here on. Returns when no running program can hold the old one, which
   * then is the caller's: quiet, complete and private.
   *
   * @throws {SystemError} nothing has changed
   */
  replace(fresh: BpfMap): BpfMap {
    this.#outer.putInner(this.#key, fresh);
    const old = this.#map;
    this.#map = fresh;
    return old;
  }

  /** Notices that another worker has replaced the map. @throws {SystemError} */
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
  // Between finding out the number and opening it, the map may be replaced once more; it is not each time.
  for (let tries = 0; tries < 100; tries++) {
    const map = outer.innerAt(key);
    if (map !== null) return map;
  }
  throw new Error(`Cannot open a map in "${outer.spec.name}": the slot is empty`);
}

/**
 * Waits for an RCU grace period, by the update of a map of maps that no program uses. Programs on hooks that may sleep
 * are not waited for.
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
