/** The ring buffers that the router's programs write to, and the one epoll instance that waits for all of them. */
import { type RingName, RINGS, SHARED_RINGS, type SharedRing } from "../events/event.ts";
import { BpfMap, type InnerKey, MapType } from "../ffi/bpf_map.ts";
import type { BpfObject } from "../ffi/bpf_object.ts";
import { cgroupId } from "../ffi/cgroup.ts";
import { InnerSlot } from "../ffi/double_buffer_slot.ts";
import { Epoll } from "../ffi/epoll.ts";
import { pageSizeBytes } from "../ffi/libc.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import type { TakeSample } from "../ffi/ring_cursor.ts";
import { RingReader } from "../ffi/ring_reader.ts";
import { writeField } from "../wire/layout.ts";
import { ISOLATE_KEY, ISOLATE_KIND } from "../wire/layouts.gen.ts";
import type { IsolateTarget } from "./router_messages.ts";

/** A ring that programs write to: its slot in a map of maps, and its reader. */
interface Ring {
  slot: InnerSlot;
  reader: RingReader;
  /** Samples that were handed out by the rings that stood in this slot before. */
  consumedBefore: number;
}

/** A ring that is not yet installed in a map: programs cannot write to it. */
interface NewRing {
  map: BpfMap;
  reader: RingReader;
}

/** The state of a ring, or of all isolated rings together: sums, and the fill of the fullest one. */
export interface RingState {
  /** Samples handed out since the start. */
  consumed: number;
  /** Share of the ring in use, 0 to 1. */
  fill: number;
  capacityBytes: number;
}

function disposeRing({ map, reader }: NewRing): void {
  reader[Symbol.dispose]();
  map[Symbol.dispose]();
}

/** The smallest size that a ring can have and that is not below `wantedBytes`: whole pages, a power of two. */
export function ringSizeBytes(wantedBytes: number): number {
  let bytes = pageSizeBytes();
  while (bytes < wantedBytes) bytes *= 2;
  return bytes;
}

/** The shared rings, and a ring for each target of `--isolate`. */
export class RouterRings implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #object: BpfObject;
  readonly #owned: DisposableStack;
  readonly #epoll: Epoll;
  /** The shared rings in the order of SHARED_RINGS, then the isolated ones. */
  readonly #rings: Ring[] = [];

  /**
   * Makes the rings and installs them: programs write to them from now on.
   *
   * @param object the loaded router
   * @param ringBytes sizes of the shared rings; an isolated ring has the size of the normal one
   * @throws {SystemError} when the kernel makes no ring, or the cgroup of a target does not exist
   */
  constructor(
    libbpf: Libbpf,
    object: BpfObject,
    { ringBytes, isolate }: { ringBytes: Record<SharedRing, number>; isolate: readonly IsolateTarget[] },
  ) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#object = object;
    this.#epoll = stack.use(new Epoll());
    stack.defer(() => this.#rings.forEach(({ slot, reader }) => disposeRing({ map: slot.map, reader })));
    SHARED_RINGS.forEach((name, i) => this.#rings.push(this.#makeShared(i, ringBytes[name])));
    for (const target of isolate) this.#rings.push(this.#makeIsolated(target, ringBytes.normal));
    this.#owned = stack.move();
  }

  #makeShared(index: number, wantedBytes: number): Ring {
    return this.#install(this.#newRing(`ring_${SHARED_RINGS[index]}`, index, wantedBytes), "rings", index);
  }

  /** Makes the ring that receives the target's events, and those alone. */
  #makeIsolated(target: IsolateTarget, wantedBytes: number): Ring {
    const key = new DataView(new ArrayBuffer(ISOLATE_KEY.size));
    const isPid = target.kind === "pid";
    writeField(key, ISOLATE_KEY, "id", isPid ? BigInt(target.pid) : cgroupId(target.path));
    writeField(key, ISOLATE_KEY, "kind", isPid ? ISOLATE_KIND.ISOLATE_PID : ISOLATE_KIND.ISOLATE_CGROUP);
    const ring = this.#newRing("ring_isolated", SHARED_RINGS.length, wantedBytes);
    return this.#install(ring, "isolated_rings", new Uint8Array(key.buffer));
  }

  /** @param epollIndex the ring's index in RINGS, which `wait` gets back */
  #newRing(name: string, epollIndex: number, wantedBytes: number): NewRing {
    using stack = new DisposableStack();
    const entriesMax = ringSizeBytes(wantedBytes);
    const map = BpfMap.create(this.#libbpf, { name, type: MapType.ringbuf, keyBytes: 0, valueBytes: 0, entriesMax });
    stack.use(map);
    const reader = stack.use(new RingReader(map));
    this.#epoll.add(map.fd, epollIndex);
    stack.move();
    return { map, reader };
  }

  #install(ring: NewRing, outer: string, key: InnerKey): Ring {
    try {
      return { slot: InnerSlot.put(this.#object.map(outer), key, ring.map), reader: ring.reader, consumedBefore: 0 };
    } catch (error) {
      disposeRing(ring);
      throw error;
    }
  }

  /** Names of the rings that exist; `isolated` is among them only where there is an isolated ring. */
  get names(): readonly RingName[] {
    return this.#rings.length > SHARED_RINGS.length ? RINGS : SHARED_RINGS;
  }

  /**
   * Hands out what has been submitted to a ring so far, in order. Samples are lent for the duration of the call.
   *
   * @param samplesMax how many samples of each ring at most
   * @returns samples handed out
   */
  read(ring: RingName, take: TakeSample, samplesMax?: number): number {
    return this.#ringsOf(ring).reduce((samples, { reader }) => samples + reader.read(take, samplesMax), 0);
  }

  /** Waits on another thread until a ring wakes its reader. @returns those rings; none after `timeoutMs` */
  async wait(timeoutMs: number): Promise<RingName[]> {
    return [...new Set((await this.#epoll.wait(timeoutMs)).map((index) => RINGS[index]))];
  }

  state(ring: RingName): RingState {
    const state = { consumed: 0, fill: 0, capacityBytes: 0 };
    for (const { slot, reader, consumedBefore } of this.#ringsOf(ring)) {
      const { consumed, fill } = reader.stats;
      state.consumed += consumedBefore + consumed;
      state.fill = Math.max(state.fill, fill);
      state.capacityBytes += slot.map.spec.entriesMax;
    }
    return state;
  }

  /**
   * Replaces a ring by one of another size while programs run. The old ring is read to its end once no program can
   * write to it any more, so that nothing is lost and the order is kept.
   *
   * @returns samples handed out
   * @throws {SystemError} when the kernel makes no ring of this size; the old one stays in use
   */
  resize(ring: SharedRing, wantedBytes: number, take: TakeSample): number {
    const index = SHARED_RINGS.indexOf(ring);
    const current = this.#rings[index];
    const fresh = this.#newRing(`ring_${ring}`, index, wantedBytes);
    let oldMap: BpfMap;
    try {
      oldMap = current.slot.replace(fresh.map);
    } catch (error) {
      disposeRing(fresh);
      throw error;
    }
    const old = { map: oldMap, reader: current.reader };
    current.reader = fresh.reader;
    try {
      return old.reader.read(take);
    } finally {
      current.consumedBefore += old.reader.stats.consumed;
      disposeRing(old);
    }
  }

  #ringsOf(name: RingName): Ring[] {
    if (name === "isolated") return this.#rings.slice(SHARED_RINGS.length);
    return [this.#rings[SHARED_RINGS.indexOf(name)]];
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
