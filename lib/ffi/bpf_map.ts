/** A BPF map, by its file descriptor. Keys and values are byte arrays in the layout of the C struct. */
import { E2BIG, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP, SystemError } from "../runtime/errors.ts";
import type { MapBatch } from "../wire/records.ts";
import { closeFd, cString, keepAlive, Mapping } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";
import { mapRefused } from "./load_failure.ts";

export const MapType = {
  hash: 1,
  array: 2,
  percpuHash: 5,
  percpuArray: 6,
  lruHash: 9,
  lpmTrie: 11,
  arrayOfMaps: 12,
  hashOfMaps: 13,
  queue: 22,
  ringbuf: 27,
} as const;

export type MapTypeNumber = typeof MapType[keyof typeof MapType];

/** The blueprint of a map that userspace makes itself. */
export interface MapSpec {
  /** At most 15 characters reach the kernel. */
  name: string;
  type: MapTypeNumber;
  keyBytes: number;
  valueBytes: number;
  entriesMax: number;
  flags?: number;
  /** For a map of maps: a map with the shape of its inner maps. It can be disposed of once the map is made. */
  inner?: BpfMap;
}

/** Flags of a map in its `MapSpec`. */
export const MapFlag = {
  /** The only way to make a trie. */
  noPrealloc: 1 << 0,
  /** An array that another of a different size may replace in a map of maps (Linux 5.10). */
  innerMap: 1 << 12,
} as const;

/** Values of per-CPU maps are laid out a CPU after another, each rounded up to 8 bytes. */
function isPerCpu(type: number): boolean {
  return type === MapType.percpuHash || type === MapType.percpuArray;
}

/** struct bpf_map_create_opts: size_t sz; __u32 btf_fd, btf_key, btf_value, btf_vmlinux_value, inner_map_fd, flags */
function createOpts(spec: MapSpec): Uint8Array<ArrayBuffer> {
  const opts = new DataView(new ArrayBuffer(48));
  opts.setBigUint64(0, 48n, true);
  opts.setUint32(24, spec.inner?.fd ?? 0, true);
  opts.setUint32(28, spec.flags ?? 0, true);
  return new Uint8Array(opts.buffer);
}

/** Key in a map of maps: an index for an array, bytes for a hash. */
export type InnerKey = number | Uint8Array<ArrayBuffer>;

function innerKey(key: InnerKey): Uint8Array<ArrayBuffer> {
  return typeof key === "number" ? new Uint8Array(Uint32Array.of(key).buffer) : key;
}

/** Takes a batch, which is lent for the call. Returning false ends the walk. */
export type TakeBatch = (batch: MapBatch) => boolean | void;

/** The two ways of `#walk`: read a map, or drain it. */
interface Walk {
  batch: Libbpf["symbols"]["bpf_map_lookup_batch"];
  deletes: boolean;
}

/** True when a batch call failed because the kernel has no batch operation for this type of map. */
function lacksBatch(result: number, done: number): boolean {
  return result === -ENOTSUPP || result === -EOPNOTSUPP || (result === -EINVAL && done === 0);
}

export class BpfMap implements Disposable {
  readonly fd: number;
  readonly spec: Readonly<MapSpec>;
  /** Bytes a lookup fills: the value, times the possible CPUs for a per-CPU map. */
  readonly lookupBytes: number;
  readonly #libbpf: Libbpf;
  readonly #owned: boolean;
  #closed = false;

  /** @param owned false when somebody else (a BpfObject) closes `fd` */
  constructor(libbpf: Libbpf, fd: number, spec: MapSpec, owned: boolean) {
    this.#libbpf = libbpf;
    this.fd = fd;
    this.spec = spec;
    this.#owned = owned;
    this.lookupBytes = isPerCpu(spec.type)
      ? Math.ceil(spec.valueBytes / 8) * 8 * libbpf.symbols.libbpf_num_possible_cpus()
      : spec.valueBytes;
  }

  /** Makes a map in the kernel. @throws {SystemError | PrivilegeError | UnsupportedError} */
  static create(libbpf: Libbpf, spec: MapSpec): BpfMap {
    const { name, type, keyBytes, valueBytes, entriesMax } = spec;
    const opts = createOpts(spec);
    const fd = libbpf.symbols.bpf_map_create(type, cString(name), keyBytes, valueBytes, entriesMax, opts);
    return BpfMap.#created(libbpf, fd, spec);
  }

  /** Like `create`, on another thread, so that several large maps are made at a time. */
  static async createAsync(libbpf: Libbpf, spec: MapSpec): Promise<BpfMap> {
    const { type, keyBytes, valueBytes, entriesMax } = spec;
    const name = cString(spec.name);
    const opts = createOpts(spec);
    const fd = await libbpf.symbols.bpf_map_create_async(type, name, keyBytes, valueBytes, entriesMax, opts);
    keepAlive([name, opts]);
    return BpfMap.#created(libbpf, fd, spec);
  }

  static #created(libbpf: Libbpf, fd: number, { inner: _template, ...spec }: MapSpec): BpfMap {
    if (fd < 0) throw mapRefused(`create map "${spec.name}" of ${spec.entriesMax} entries`, -fd);
    return new BpfMap(libbpf, fd, spec, true);
  }

  /**
   * Opens an existing map by the id that the kernel gave it.
   *
   * @param name for error messages
   * @returns null when there is no map of that id any more
   * @throws {SystemError}
   */
  static fromId(libbpf: Libbpf, id: number, name: string): BpfMap | null {
    const fd = libbpf.symbols.bpf_map_get_fd_by_id(id);
    if (fd === -ENOENT) return null;
    if (fd < 0) throw new SystemError(`open map "${name}" by its number ${id}`, -fd);
    try {
      const info = mapInfo(libbpf, fd);
      const spec: MapSpec = {
        name,
        type: info.getUint32(0, true) as MapTypeNumber,
        keyBytes: info.getUint32(8, true),
        valueBytes: info.getUint32(12, true),
        entriesMax: info.getUint32(16, true),
        flags: info.getUint32(20, true),
      };
      return new BpfMap(libbpf, fd, spec, true);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /** The map's id in the kernel. @throws {SystemError} */
  get id(): number {
    return mapId(this.#libbpf, this.fd);
  }

  /** @returns false when there is no such key */
  lookup(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#libbpf.symbols.bpf_map_lookup_elem(this.fd, key, value);
    if (result === 0) return true;
    if (result === -ENOENT) return false;
    throw new SystemError(`look up a key in map "${this.spec.name}"`, -result);
  }

  /** @throws {SystemError} E2BIG when the map is full */
  update(key: Uint8Array<ArrayBuffer>, value: Uint8Array<ArrayBuffer>, flags = 0n): void {
    const result = this.#libbpf.symbols.bpf_map_update_elem(this.fd, key, value, flags);
    if (result < 0) throw new SystemError(`update map "${this.spec.name}"`, -result);
  }

  /** @returns false when there was no such key */
  delete(key: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#libbpf.symbols.bpf_map_delete_elem(this.fd, key);
    if (result === 0) return true;
    if (result === -ENOENT) return false;
    throw new SystemError(`delete from map "${this.spec.name}"`, -result);
  }

  /** Adds to a queue. @returns false when it is full */
  push(value: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#libbpf.symbols.bpf_map_update_elem(this.fd, null, value, 0n);
    if (result === 0) return true;
    if (result === -E2BIG) return false;
    throw new SystemError(`push to queue "${this.spec.name}"`, -result);
  }

  /** Takes the oldest value of a queue. @returns false when it is empty */
  pop(value: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#libbpf.symbols.bpf_map_lookup_and_delete_elem(this.fd, null, value);
    if (result === 0) return true;
    if (result === -ENOENT) return false;
    throw new SystemError(`pop from queue "${this.spec.name}"`, -result);
  }

  /**
   * Puts `inner` into a map of maps. Returns only when no running program can still hold the map that was there before,
   * or anything else it read before: the kernel waits for an RCU grace period (kernel/bpf/syscall.c,
   * maybe_wait_bpf_programs). Sleepable programs are not waited for.
   *
   * @throws {SystemError}
   */
  putInner(key: InnerKey, inner: BpfMap): void {
    this.update(innerKey(key), new Uint8Array(Int32Array.of(inner.fd).buffer));
  }

  /** `putInner`, on another thread. @throws {SystemError} */
  async putInnerAsync(key: InnerKey, inner: BpfMap): Promise<void> {
    const [slot, value] = [innerKey(key), new Uint8Array(Int32Array.of(inner.fd).buffer)];
    const result = await this.#libbpf.symbols.bpf_map_update_elem_async(this.fd, slot, value, 0n);
    keepAlive([slot, value]);
    if (result < 0) throw new SystemError(`update map "${this.spec.name}"`, -result);
  }

  /** The map at `key` of a map of maps, opened; null where there is none. @throws {SystemError} */
  innerAt(key: InnerKey): BpfMap | null {
    const id = this.innerIdAt(key);
    return id === null ? null : BpfMap.fromId(this.#libbpf, id, this.spec.name);
  }

  /** The id of the map at `key` of a map of maps; null where there is none. @throws {SystemError} */
  innerIdAt(key: InnerKey): number | null {
    const value = new Uint8Array(4);
    return this.lookup(innerKey(key), value) ? new DataView(value.buffer).getUint32(0, true) : null;
  }

  /**
   * Writes the entries of a batch, in one system call where the kernel has one for it. After an error any number of
   * them may be in the map.
   *
   * @throws {SystemError} E2BIG when the map is full
   */
  updateBatch({ count, keys, values }: MapBatch): void {
    if (count === 0) return;
    const written = Uint32Array.of(count);
    const result = this.#libbpf.symbols.bpf_map_update_batch(
      this.fd,
      keys,
      values,
      new Uint8Array(written.buffer),
      null,
    );
    if (result === 0) return;
    if (!lacksBatch(result, written[0])) throw new SystemError(`update map "${this.spec.name}"`, -result);
    const { keyBytes } = this.spec;
    for (let i = 0; i < count; i++) {
      const key = keys.subarray(i * keyBytes, (i + 1) * keyBytes);
      this.update(key, values.subarray(i * this.lookupBytes, (i + 1) * this.lookupBytes));
    }
  }

  /**
   * Hands out all entries: those of an array in order, others in no order. Exact only while nothing writes to the map.
   *
   * @param batchMax entries for each system call; grows when a hash bucket holds more
   */
  read(take: TakeBatch, batchMax: number): void {
    this.#walk({ batch: this.#libbpf.symbols.bpf_map_lookup_batch, deletes: false }, take, batchMax);
  }

  /**
   * Empties the map in batches. Exact only while no program writes to it.
   *
   * @param batchMax entries for each system call; grows when a hash bucket holds more
   * @returns entries drained
   */
  drain(take: (batch: MapBatch) => void, batchMax: number): number {
    return this.#walk({ batch: this.#libbpf.symbols.bpf_map_lookup_and_delete_batch, deletes: true }, take, batchMax);
  }

  #walk(how: Walk, take: TakeBatch, batchMax: number): number {
    const { keyBytes, name } = this.spec;
    // The kernel's cursor is a hash bucket's number, but an array's is a key: room for either.
    let cursor: Uint8Array<ArrayBuffer> | null = null;
    let nextCursor = new Uint8Array(Math.max(4, keyBytes));
    let capacity = batchMax;
    let keys = new Uint8Array(capacity * keyBytes);
    let values = new Uint8Array(capacity * this.lookupBytes);
    const count = new Uint32Array(1);
    for (let walked = 0;;) {
      count[0] = capacity;
      const result = how.batch(this.fd, cursor, nextCursor, keys, values, new Uint8Array(count.buffer), null);
      if (result === -ENOSPC) {
        capacity *= 2;
        keys = new Uint8Array(capacity * keyBytes);
        values = new Uint8Array(capacity * this.lookupBytes);
        continue;
      }
      if (cursor === null && lacksBatch(result, 0)) return this.#walkOneByOne(how, take, { keys, values });
      if (result < 0 && result !== -ENOENT) {
        throw new SystemError(`${how.deletes ? "drain" : "read"} map "${name}"`, -result);
      }
      walked += count[0];
      if (count[0] > 0 && take({ count: count[0], keys, values }) === false) return walked;
      if (result === -ENOENT) return walked;
      [cursor, nextCursor] = [nextCursor, cursor ?? new Uint8Array(nextCursor.length)];
    }
  }

  /** For kernels whose map of this type has no batch operations. */
  #walkOneByOne(
    { deletes }: Walk,
    take: TakeBatch,
    { keys, values }: Pick<MapBatch, "keys" | "values">,
  ): number {
    const { keyBytes, name } = this.spec;
    const key = keys.subarray(0, keyBytes);
    const value = values.subarray(0, this.lookupBytes);
    const nextKey = this.#libbpf.symbols.bpf_map_get_next_key;
    // A deleted key has no successor, so a walk that deletes always starts at the first key.
    let previous: Uint8Array<ArrayBuffer> | null = null;
    for (let walked = 0;; walked++) {
      const result = nextKey(this.fd, previous, key);
      if (result === -ENOENT) return walked;
      if (result < 0) throw new SystemError(`walk map "${name}"`, -result);
      if (this.lookup(key, value) && take({ count: 1, keys, values }) === false) return walked + 1;
      if (deletes) this.delete(key);
      else previous = key.slice();
    }
  }

  /** Maps the values of a BPF_F_MMAPABLE array. */
  map(options: { writable: boolean }): Mapping {
    const lengthBytes = Math.ceil(this.spec.valueBytes / 8) * 8 * this.spec.entriesMax;
    return new Mapping(this.fd, lengthBytes, { ...options, what: `map "${this.spec.name}"` });
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#owned) closeFd(this.fd);
  }
}

/** The id in the kernel of a map, by its file descriptor. @throws {SystemError} */
export function mapId(libbpf: Libbpf, fd: number): number {
  return mapInfo(libbpf, fd).getUint32(4, true);
}

/** struct bpf_map_info, as far as it is used: __u32 type, id, key_size, value_size, max_entries, map_flags. */
function mapInfo(libbpf: Libbpf, fd: number): DataView<ArrayBuffer> {
  return objectInfo(libbpf, fd, 80, "a map");
}

/** bpf_obj_get_info_by_fd into a zeroed struct of `lengthBytes`. @throws {SystemError} */
export function objectInfo(libbpf: Libbpf, fd: number, lengthBytes: number, what: string): DataView<ArrayBuffer> {
  const info = new Uint8Array(lengthBytes);
  const length = Uint32Array.of(lengthBytes);
  const result = libbpf.symbols.bpf_obj_get_info_by_fd(fd, info, new Uint8Array(length.buffer));
  if (result < 0) throw new SystemError(`ask the kernel about ${what}`, -result);
  return new DataView(info.buffer);
}
