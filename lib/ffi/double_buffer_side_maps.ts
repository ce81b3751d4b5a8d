/** The two maps of a double-buffered structure, one a side: of fixed size, or inner maps that are replaced to grow. */
import { BpfMap, type MapSpec } from "./bpf_map.ts";
import type { Side } from "./side.ts";
import type { SideMap, SideMaps } from "./double_buffer.ts";
import { InnerSlot } from "./double_buffer_slot.ts";
import type { Libbpf } from "./libbpf.ts";

function noRoom(name: string, entries: number, roomEntries: number): RangeError {
  return new RangeError(`Cannot put ${entries} entries into "${name}": there is room for ${roomEntries}`);
}

/** Two maps of fixed size, as NAME_side0 and NAME_side1 in a BPF object. The caller closes them. */
export class FixedSideMaps implements SideMaps {
  readonly #maps: readonly [SideMap, SideMap];

  constructor(maps: readonly [SideMap, SideMap]) {
    this.#maps = maps;
  }

  map(side: Side): SideMap {
    return this.#maps[side];
  }

  withRoom(side: Side, entries: number): SideMap {
    const { name, entriesMax } = this.#maps[side].spec;
    if (entries > entriesMax) throw noRoom(name, entries, entriesMax);
    return this.#maps[side];
  }
}

/** The inner maps of a map of maps with two slots. */
export class GrowingSideMaps implements SideMaps, Disposable {
  readonly #libbpf: Libbpf;
  readonly #spec: Readonly<MapSpec>;
  readonly #entriesLimit: number;
  readonly #slots: readonly [InnerSlot, InnerSlot];
  /** The generation at which each slot was last looked at. */
  readonly #seen: [number, number] = [0, 0];

  private constructor(
    libbpf: Libbpf,
    spec: Readonly<MapSpec>,
    held: { entriesLimit: number; slots: readonly [InnerSlot, InnerSlot] },
  ) {
    this.#libbpf = libbpf;
    this.#spec = spec;
    this.#entriesLimit = held.entriesLimit;
    this.#slots = held.slots;
  }

  /**
   * Makes two maps and puts them into the slots.
   *
   * @param spec of each; `entriesMax` is what they start with
   * @param entriesLimit what they may grow to
   * @throws {SystemError}
   */
  static create(
    libbpf: Libbpf,
    outer: BpfMap,
    { entriesLimit, ...spec }: MapSpec & { entriesLimit: number },
  ): GrowingSideMaps {
    using stack = new DisposableStack();
    const slot = (side: Side) => {
      const map = stack.use(BpfMap.create(libbpf, { ...spec, name: `${spec.name}_${side}` }));
      return InnerSlot.put(outer, side, map);
    };
    const slots = [slot(0), slot(1)] as const;
    stack.move();
    return new GrowingSideMaps(libbpf, spec, { entriesLimit, slots });
  }

  /**
   * Takes over the maps that another worker has put into the slots of `outer`, which may be given by the number of its
   * descriptor: all workers of a process share them.
   *
   * @throws {SystemError}
   */
  static open(libbpf: Libbpf, outer: BpfMap, { entriesLimit }: { entriesLimit: number }): GrowingSideMaps {
    using stack = new DisposableStack();
    const first = stack.use(InnerSlot.open(outer, 0));
    const slots = [first, stack.use(InnerSlot.open(outer, 1))] as const;
    stack.move();
    return new GrowingSideMaps(libbpf, { ...first.map.spec }, { entriesLimit, slots });
  }

  map(side: Side, generation: number): BpfMap {
    if (this.#seen[side] !== generation) {
      this.#slots[side].refresh();
      this.#seen[side] = generation;
    }
    return this.#slots[side].map;
  }

  withRoom(side: Side, entries: number): BpfMap {
    const slot = this.#slots[side];
    // The caller holds the lock of the pointer, so no other writer can replace this map.
    slot.refresh();
    if (entries <= slot.map.spec.entriesMax) return slot.map;
    if (entries > this.#entriesLimit) throw noRoom(this.#spec.name, entries, this.#entriesLimit);
    let entriesMax = slot.map.spec.entriesMax;
    while (entriesMax < entries) entriesMax *= 2;
    entriesMax = Math.min(entriesMax, this.#entriesLimit);
    this.replace(side, BpfMap.create(this.#libbpf, { ...this.#spec, name: `${this.#spec.name}_${side}`, entriesMax }));
    return slot.map;
  }

  /**
   * Replaces the map of a passive side. This object owns `fresh` from now on, even when it throws.
   *
   * @throws {SystemError}
   */
  replace(side: Side, fresh: BpfMap): void {
    using stack = new DisposableStack();
    stack.use(fresh);
    const old = this.#slots[side].replace(fresh);
    stack.move();
    old[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const slot of this.#slots) slot[Symbol.dispose]();
  }
}
