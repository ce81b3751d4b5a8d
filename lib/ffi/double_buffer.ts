/**
 * Double-buffered values: the contract. A structure has two sides in the kernel. Programs read the active one;
 * userspace fills the passive one and flips a word, which every structure of an `ActivePointer` shares, so that they
 * change in one instant or not at all. A side is filled again only when no running program can still see it. The
 * kernel's half is bpf/double_buffer.h.
 *
 * | file | holds |
 * | --- | --- |
 * | double_buffer_pointer.ts | the word, the lock between writers, the wait for running programs |
 * | double_buffer_switchover.ts | an open change: several structures, one flip |
 * | double_buffer_slot.ts, double_buffer_side_maps.ts | the maps of a structure, and how they grow |
 * | double_buffered_array.ts, double_buffered_table.ts | the structures |
 * | double_buffer_codec.ts | values to bytes and back |
 * | testing/ | the same structures over memory, with expectations and injected errors |
 */
import type { Side } from "./side.ts";
import type { MapBatch } from "../wire/records.ts";
import type { BpfMap } from "./bpf_map.ts";
import type { Switchover } from "./double_buffer_switchover.ts";

/** A list that programs read by index. */
export interface BufferedArray<T> {
  readonly length: number;
  /** An element of the active side; undefined beyond its length. */
  get(index: number): T | undefined;
  /** The active side, as of one instant. */
  entries(): T[];
  /**
   * Replaces all values. Programs see the old ones or the new ones, never a mixture.
   *
   * @throws {RangeError} when they are more than the maps can have room for, or one cannot be encoded
   * @throws {SystemError} the active side is untouched
   */
  set(values: Iterable<T>): void;
  /**
   * Fills the passive side and returns the switch. While it is open, further structures of the same pointer join it,
   * and writers in other workers wait. When this fails the whole change is abandoned.
   *
   * @throws {RangeError}
   * @throws {SystemError}
   */
  setAndDeferSwitchover(values: Iterable<T>): Switchover;
}

/**
 * A table that programs look keys up in: exactly, or by longest prefix. Of two entries with one key the last counts.
 */
export interface BufferedTable<K, V> {
  readonly length: number;
  /** The value that a program would find under this key; undefined for none. */
  get(key: K): V | undefined;
  /** The active side, as of one instant, in no order. */
  entries(): [K, V][];
  /** As of `BufferedArray`. */
  set(entries: Iterable<readonly [K, V]>): void;
  /** As of `BufferedArray`. */
  setAndDeferSwitchover(entries: Iterable<readonly [K, V]>): Switchover;
}

/** The part of a BpfMap that a structure uses; `testing/` implements it in memory. */
export type SideMap = Pick<BpfMap, "spec" | "lookup" | "updateBatch" | "read" | "drain">;

/** The two maps of a structure. */
export interface SideMaps {
  /** The map of a side, as it is at `generation`: another worker may have replaced it since the last call. */
  map(side: Side, generation: number): SideMap;
  /**
   * The map of a passive side, with room for so many entries: another, empty one where the old one is too small.
   *
   * @throws {RangeError} when there can be no such room
   * @throws {SystemError}
   */
  withRoom(side: Side, entries: number): SideMap;
}

/** Waits for running programs. */
export interface Fence {
  /** Returns when every program that runs now has ended. @throws {SystemError} */
  wait(): void;
  /** The same without blocking this thread. @throws {SystemError} */
  waitAsync(): Promise<void>;
}

/** Entries a batch system call. */
export const BATCH_ENTRIES_MAX = 16_384;

/** So many entries of a map, or fewer where it has no more, one behind another. */
export function readAll(map: SideMap, entriesMax: number): MapBatch {
  const { keyBytes, valueBytes } = map.spec;
  const all = {
    count: 0,
    keys: new Uint8Array(entriesMax * keyBytes),
    values: new Uint8Array(entriesMax * valueBytes),
  };
  if (entriesMax === 0) return all;
  map.read(({ count, keys, values }) => {
    const taken = Math.min(count, entriesMax - all.count);
    all.keys.set(keys.subarray(0, taken * keyBytes), all.count * keyBytes);
    all.values.set(values.subarray(0, taken * valueBytes), all.count * valueBytes);
    all.count += taken;
    return all.count < entriesMax;
  }, Math.min(BATCH_ENTRIES_MAX, entriesMax));
  return all;
}
