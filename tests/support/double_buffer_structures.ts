/** The structures of tests/bpf/double_buffer.bpf.c, over the kernel's maps or over memory. */
import { BpfMap, MapFlag, MapType } from "../../lib/ffi/bpf_map.ts";
import type { BpfObject } from "../../lib/ffi/bpf_object.ts";
import type { BufferedArray, BufferedTable } from "../../lib/ffi/double_buffer.ts";
import { type Codec, U32, U64 } from "../../lib/ffi/double_buffer_codec.ts";
import { ActivePointer } from "../../lib/ffi/double_buffer_pointer.ts";
import { InnerSides } from "../../lib/ffi/double_buffer_sides.ts";
import { RcuFence } from "../../lib/ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../../lib/ffi/double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../../lib/ffi/double_buffered_table.ts";
import type { Libbpf } from "../../lib/ffi/libbpf.ts";
import {
  FakeDoubleBufferedArray,
  FakeDoubleBufferedHash,
  FakeDoubleBufferedLpm,
  FakePointer,
} from "../../lib/ffi/testing/fake_double_buffer.ts";
import { openSystemLibbpf, openTestObject } from "./bpf.ts";

/** Room at the start, and what the maps may grow to. */
export const ROOM = { entriesMax: 4, entriesLimit: 64 };

/** An IPv4 network. */
export interface Network {
  bits: number;
  address: number;
}

export const NETWORK: Codec<Network> = {
  sizeBytes: 8,
  encode({ bits, address }, view, offset) {
    U32.encode(bits, view, offset);
    view.setUint32(offset + 4, address);
  },
  decode: (view, offset) => ({ bits: view.getUint32(offset, true), address: view.getUint32(offset + 4) }),
};

export interface Structures extends Disposable {
  pointer: ActivePointer;
  left: BufferedArray<number>;
  right: BufferedArray<number>;
  table: BufferedTable<number, bigint>;
  trie: BufferedTable<Network, bigint>;
  /** Has the n-th call into the kernel from now on fail. */
  failAt(step: number): void;
  /** Has no call fail any more. */
  heal(): void;
}

/** Calls that a test lets fail, and what they then answer. */
const FALLIBLE = [
  "bpf_map_create",
  "bpf_map_update_elem",
  "bpf_map_update_batch",
  "bpf_map_lookup_batch",
  "bpf_map_lookup_and_delete_batch",
  "bpf_map_get_next_key",
  "bpf_map_delete_elem",
] as const;
const ENOMEM = 12;

/** A libbpf some of whose calls can be made to answer otherwise: `answer` is asked first, undefined for the true one. */
export function interceptedLibbpf(libbpf: Libbpf, answer: (name: string) => number | undefined): Libbpf {
  const symbols = new Proxy({} as Libbpf["symbols"], {
    get(_target, name: keyof Libbpf["symbols"]) {
      const real = libbpf.symbols[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => answer(name) ?? real(...args);
    },
  });
  return { symbols } as Libbpf;
}

export function kernelStructures(): Structures & { libbpf: Libbpf; object: BpfObject } {
  using stack = new DisposableStack();
  const libbpf = stack.use(openSystemLibbpf());
  const object = stack.use(openTestObject(libbpf, "double_buffer"));
  object.load();
  let steps = 0;
  const failing = new Set<number>();
  const faulty = interceptedLibbpf(libbpf, (name) => {
    if (!(FALLIBLE as readonly string[]).includes(name)) return undefined;
    return failing.delete(++steps) ? -ENOMEM : undefined;
  });
  const memory = stack.use(object.map(".bss").map({ writable: true }));
  const pointer = new ActivePointer({ buffer: memory.buffer, offset: 0 }, stack.use(new RcuFence(faulty)));
  const outer = (name: string) => {
    const { fd, spec } = object.map(name);
    return new BpfMap(faulty, fd, spec, false);
  };
  const list = (name: string) =>
    stack.use(InnerSides.create(faulty, outer(name), {
      ...ROOM,
      name,
      type: MapType.array,
      keyBytes: 4,
      valueBytes: 4,
      flags: MapFlag.innerMap,
    }));
  const tables = { ...ROOM, name: "table", type: MapType.hash, keyBytes: 4, valueBytes: 8 };
  const tries = { ...ROOM, name: "trie", type: MapType.lpmTrie, keyBytes: 8, valueBytes: 8, flags: MapFlag.noPrealloc };
  const table = stack.use(InnerSides.create(faulty, outer("tables"), tables));
  const trie = stack.use(InnerSides.create(faulty, outer("tries"), tries));
  const structures = {
    libbpf,
    object,
    pointer,
    left: new DoubleBufferedArray(pointer, 0, { sides: list("left"), codec: U32 }),
    right: new DoubleBufferedArray(pointer, 1, { sides: list("right"), codec: U32 }),
    table: new DoubleBufferedHash(pointer, 2, { sides: table, key: U32, value: U64 }),
    trie: new DoubleBufferedLpm(pointer, 3, { sides: trie, key: NETWORK, value: U64 }),
    failAt: (step: number) => void failing.add(steps + step),
    heal: () => {
      failing.clear();
    },
  };
  const owned = stack.move();
  return { ...structures, [Symbol.dispose]: () => owned[Symbol.dispose]() };
}

export function fakeStructures(): Structures & {
  pointer: FakePointer;
  left: FakeDoubleBufferedArray<number>;
  table: FakeDoubleBufferedHash<number, bigint>;
} {
  const pointer = new FakePointer();
  return {
    pointer,
    left: new FakeDoubleBufferedArray(pointer, 0, { ...ROOM, name: "left", codec: U32 }),
    right: new FakeDoubleBufferedArray(pointer, 1, { ...ROOM, name: "right", codec: U32 }),
    table: new FakeDoubleBufferedHash(pointer, 2, { ...ROOM, name: "table", key: U32, value: U64 }),
    trie: new FakeDoubleBufferedLpm(pointer, 3, { ...ROOM, name: "trie", key: NETWORK, value: U64 }),
    failAt: (step) => pointer.faults.failAt(step, new Error("Cannot do it: a test says so")),
    heal: () => pointer.faults.heal(),
    [Symbol.dispose]: () => {},
  };
}
