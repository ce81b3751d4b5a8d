/**
 * A BPF map by its file descriptor. Keys and values are byte arrays in the layout of the C struct.
 */
import { EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP, SystemError } from "../errors.ts";
import type { MapBatch } from "../records.ts";
import { closeFd, cString, Mapping } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";

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
}

/** Values of per-CPU maps are laid out a CPU after another, each rounded up to 8 bytes. */
function isPerCpu(type: number): boolean {
  return type === MapType.percpuHash || type === MapType.percpuArray;
}

/** struct bpf_map_create_opts: size_t sz; __u32 btf_fd, btf_key, btf_value, btf_vmlinux_value, inner_map_fd, flags */
function createOpts(spec: MapSpec): Uint8Array<ArrayBuffer> {
  const opts = new DataView(new ArrayBuffer(48));
  opts.setBigUint64(0, 48n, true);
  opts.setUint32(28, spec.flags ?? 0, true);
  return new Uint8Array(opts.buffer);
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

  /** Makes a map in the kernel. @throws {SystemError} */
  static create(libbpf: Libbpf, spec: MapSpec): BpfMap {
    const { name, type, keyBytes, valueBytes, entriesMax } = spec;
    const opts = createOpts(spec);
    const fd = libbpf.symbols.bpf_map_create(type, cString(name), keyBytes, valueBytes, entriesMax, opts);
    return BpfMap.#created(libbpf, fd, spec);
  }

  /** Makes a map on another thread, as several large ones are best made. @throws {SystemError} */
  static async createAsync(libbpf: Libbpf, spec: MapSpec): Promise<BpfMap> {
    const { type, keyBytes, valueBytes, entriesMax } = spec;
    const name = cString(spec.name);
    const opts = createOpts(spec);
    const fd = await libbpf.symbols.bpf_map_create_async(type, name, keyBytes, valueBytes, entriesMax, opts);
    return BpfMap.#created(libbpf, fd, spec);
  }

  static #created(libbpf: Libbpf, fd: number, spec: MapSpec): BpfMap {
    if (fd < 0) throw new SystemError(`create map "${spec.name}" of ${spec.entriesMax} entries`, -fd);
    return new BpfMap(libbpf, fd, spec, true);
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

  /**
   * Puts `inner` into slot `index` of a map of maps. Returns only when no running program can still hold the map that
   * was there before, or anything else it read before: the kernel waits for an RCU grace period.
   */
  putInner(index: number, inner: BpfMap): void {
    this.update(new Uint8Array(Uint32Array.of(index).buffer), new Uint8Array(Int32Array.of(inner.fd).buffer));
  }

  /**
   * Empties the map in batches. Exact only while no program writes to it.
   *
   * @param batchMax entries a system call; grown when a hash bucket holds more
   * @returns entries drained
   */
  drain(take: (batch: MapBatch) => void, batchMax: number): number {
    const { keyBytes, name } = this.spec;
    // The kernel's cursor is a hash bucket's number, but an array's is a key: room for either.
    let cursor: Uint8Array<ArrayBuffer> | null = null;
    let nextCursor = new Uint8Array(Math.max(4, keyBytes));
    let capacity = batchMax;
    let keys = new Uint8Array(capacity * keyBytes);
    let values = new Uint8Array(capacity * this.lookupBytes);
    const count = new Uint32Array(1);
    for (let drained = 0;;) {
      count[0] = capacity;
      const result = this.#libbpf.symbols.bpf_map_lookup_and_delete_batch(
        this.fd,
        cursor,
        nextCursor,
        keys,
        values,
        new Uint8Array(count.buffer),
        null,
      );
      if (result === -ENOSPC) {
        capacity *= 2;
        keys = new Uint8Array(capacity * keyBytes);
        values = new Uint8Array(capacity * this.lookupBytes);
        continue;
      }
      if (result === -ENOTSUPP || result === -EOPNOTSUPP || (result === -EINVAL && cursor === null)) {
        return drained + this.#drainOneByOne(take, keys, values);
      }
      if (result < 0 && result !== -ENOENT) throw new SystemError(`drain map "${name}"`, -result);
      if (count[0] > 0) take({ count: count[0], keys, values });
      drained += count[0];
      if (result === -ENOENT) return drained;
      [cursor, nextCursor] = [nextCursor, cursor ?? new Uint8Array(nextCursor.length)];
    }
  }

  /** For kernels whose map of this type has no batch operations. */
  #drainOneByOne(
    take: (batch: MapBatch) => void,
    keys: Uint8Array<ArrayBuffer>,
    values: Uint8Array<ArrayBuffer>,
  ): number {
    const { keyBytes, name } = this.spec;
    const key = keys.subarray(0, keyBytes);
    const value = values.subarray(0, this.lookupBytes);
    const nextKey = this.#libbpf.symbols.bpf_map_get_next_key;
    for (let drained = 0;; drained++) {
      const result = nextKey(this.fd, null, key);
      if (result === -ENOENT) return drained;
      if (result < 0) throw new SystemError(`walk map "${name}"`, -result);
      if (this.lookup(key, value)) take({ count: 1, keys, values });
      this.delete(key);
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

/** struct bpf_map_info by fd, as far as it is used: the kernel's id of the map. */
export function mapId(libbpf: Libbpf, fd: number): number {
  return objectInfo(libbpf, fd, 80, "a map").getUint32(4, true);
}

/** bpf_obj_get_info_by_fd into a zeroed struct of `lengthBytes`. @throws {SystemError} */
export function objectInfo(libbpf: Libbpf, fd: number, lengthBytes: number, what: string): DataView<ArrayBuffer> {
  const info = new Uint8Array(lengthBytes);
  const length = Uint32Array.of(lengthBytes);
  const result = libbpf.symbols.bpf_obj_get_info_by_fd(fd, info, new Uint8Array(length.buffer));
  if (result < 0) throw new SystemError(`ask the kernel about ${what}`, -result);
  return new DataView(info.buffer);
}
