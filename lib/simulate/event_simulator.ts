/** Simulates events in the kernel: test runs of a BPF program fill rings like those of the router. */
import { SHARED_RINGS, type SharedRing } from "../events/event.ts";
import type { SimulatedRing } from "./simulate_messages.ts";
import { BpfObject } from "../ffi/bpf_object.ts";
import { readField } from "../wire/layout.ts";
import { EVENT, SIMULATE_COUNTERS, SIMULATED } from "../wire/layouts.gen.ts";
import type { Mapping } from "../ffi/libc.ts";
import type { Libbpf } from "../ffi/libbpf.ts";
import type { TakeSample } from "../ffi/ring_cursor.ts";
import { RingReader } from "../ffi/ring_reader.ts";
import { runRawAsync } from "../ffi/test_run.ts";

/** Upper bound of the events of one call of `produce`. */
export const SIMULATED_BURST_MAX = SIMULATED.SIMULATED_BURST_MAX;

/** Bytes of the longest record in a ring, with its header. */
const RECORD_BYTES_MAX = EVENT.size + 64 + 8;

export class EventSimulator implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #owned: DisposableStack;
  readonly #programFd: number;
  readonly #counters: Mapping;
  readonly #readers: RingReader[];
  readonly #ringBytes: Record<SharedRing, number>;

  /**
   * @param elf the compiled bpf/simulate.bpf.c
   * @throws {PrivilegeError}
   * @throws {UnsupportedError}
   */
  constructor(libbpf: Libbpf, elf: Uint8Array<ArrayBuffer>, ringBytes: Record<SharedRing, number>) {
    using stack = new DisposableStack();
    this.#libbpf = libbpf;
    this.#ringBytes = ringBytes;
    const object = stack.use(BpfObject.open(libbpf, "simulate", elf));
    for (const ring of SHARED_RINGS) object.setMaxEntries(`ring_${ring}`, ringBytes[ring]);
    object.load();
    this.#programFd = object.programFd("simulate");
    this.#counters = stack.use(object.map("simulate_counters").map({ writable: false }));
    this.#readers = SHARED_RINGS.map((ring) => stack.use(new RingReader(object.map(`ring_${ring}`))));
    this.#owned = stack.move();
  }

  /** Events for which the rings have room now, whatever their type. */
  get room(): number {
    const rooms = SHARED_RINGS.map((ring, i) => this.#ringBytes[ring] * (1 - this.#readers[i].stats.fill));
    return Math.floor(Math.min(...rooms) / RECORD_BYTES_MAX);
  }

  /**
   * Makes events on another thread. No two calls may overlap.
   *
   * @param events at most SIMULATED_BURST_MAX
   * @throws {SystemError}
   */
  async produce(events: number): Promise<void> {
    await runRawAsync(this.#libbpf, this.#programFd, BigInt(events));
  }

  /** See RingCursor.read(). */
  read(ring: SharedRing, take: TakeSample): number {
    return this.#readers[SHARED_RINGS.indexOf(ring)].read(take);
  }

  /** Counters of the rings since the start. */
  rings(): SimulatedRing[] {
    const view = new DataView(this.#counters.buffer);
    const attempts = readField(view, SIMULATE_COUNTERS, "attempts");
    const submitted = readField(view, SIMULATE_COUNTERS, "submitted");
    const dropped = readField(view, SIMULATE_COUNTERS, "dropped");
    return SHARED_RINGS.map((ring, i) => ({
      ring,
      attempts: attempts[i],
      submitted: submitted[i],
      dropped: dropped[i],
      consumed: this.#readers[i].stats.consumed,
    }));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
