/** A worker of its own that sets the lists of tests/bpf/double_buffer.bpf.c, over maps that another one has made. */
/// <reference lib="deno.worker" />
import { BpfMap, type MapSpec } from "../../lib/ffi/bpf_map.ts";
import { U32, U64 } from "../../lib/ffi/double_buffer_codec.ts";
import { ActivePointer } from "../../lib/ffi/double_buffer_pointer.ts";
import { GrowingSideMaps } from "../../lib/ffi/double_buffer_side_maps.ts";
import { RcuFence } from "../../lib/ffi/double_buffer_slot.ts";
import { DoubleBufferedArray } from "../../lib/ffi/double_buffered_array.ts";
import { DoubleBufferedHash, DoubleBufferedLpm } from "../../lib/ffi/double_buffered_table.ts";
import { openSystemLibbpf } from "./bpf.ts";
import { NETWORK, ROOM } from "./double_buffer_structures.ts";

interface Descriptor {
  /** All workers of a process share its descriptors. */
  fd: number;
  spec: MapSpec;
}

export interface WriterTask {
  memory: Descriptor;
  /** left, right, tables, tries */
  maps: Descriptor[];
  /** 1 or 2 */
  writer: number;
  sets: number;
}

export interface WriterAnswer {
  generations: number[];
  /** Reads in which the lists did not belong together. */
  mixed: number;
}

function write({ memory, maps, writer, sets }: WriterTask): WriterAnswer {
  using stack = new DisposableStack();
  const libbpf = stack.use(openSystemLibbpf());
  const map = ({ fd, spec }: Descriptor) => new BpfMap(libbpf, fd, spec, false);
  const { buffer } = stack.use(map(memory).map({ writable: true }));
  const pointer = new ActivePointer({ buffer, offset: 0 }, stack.use(new RcuFence(libbpf)));
  const [left, right, table, trie] = maps.map((it) => stack.use(GrowingSideMaps.open(libbpf, map(it), ROOM)));
  const lists = [left, right].map((sides, i) => new DoubleBufferedArray(pointer, i, { sides, codec: U32 }));
  const values = new DoubleBufferedHash(pointer, 2, { sides: table, key: U32, value: U64 });
  new DoubleBufferedLpm(pointer, 3, { sides: trie, key: NETWORK, value: U64 });
  const generations: number[] = [];
  let mixed = 0;
  for (let i = 1; i <= sets; i++) {
    const value = writer * 1_000 + i;
    const length = 1 + value % ROOM.entriesLimit;
    using change = lists[0].setAndDeferSwitchover(new Array<number>(length).fill(value));
    lists[1].setAndDeferSwitchover(new Array<number>(length).fill(value));
    values.setAndDeferSwitchover(Array.from({ length }, (_, key) => [key, BigInt(value)]));
    generations.push(change.flip());
    const seen = lists[0].entries();
    if (seen.some((one) => one !== seen[0]) || seen.length !== 1 + seen[0] % ROOM.entriesLimit) mixed++;
  }
  return { generations, mixed };
}

self.onmessage = ({ data }: MessageEvent<WriterTask>) => self.postMessage(write(data));
