/** A BPF ring buffer that is mapped into memory, so that a record costs neither a system call nor an FFI call. */
import type { BpfMap } from "./bpf_map.ts";
import { Mapping, pageSizeBytes, pollReadable } from "./libc.ts";
import { RingCursor, type RingStats, type TakeSample } from "./ring_cursor.ts";

/**
 * The consumer of a ring. A ring may have only one.
 *
 * @example
 * ```ts ignore
 * using reader = new RingReader(object.map("events"));
 * while (!signal.aborted) {
 *   reader.read((data, offset, lengthBytes) => decode(data, offset, lengthBytes));
 *   await reader.wait(100);
 * }
 * ```
 */
export class RingReader implements Disposable {
  readonly #fd: number;
  readonly #mappings: DisposableStack;
  readonly #cursor: RingCursor;

  /**
   * @param map of type BPF_MAP_TYPE_RINGBUF; it must outlive the reader
   * @throws {SystemError}
   */
  constructor(map: Pick<BpfMap, "fd" | "spec">) {
    using stack = new DisposableStack();
    const { name, entriesMax: sizeBytes } = map.spec;
    const dataOffset = pageSizeBytes();
    const what = `ring "${name}"`;
    const consumer = stack.use(new Mapping(map.fd, dataOffset, { writable: true, what }));
    const producer = stack.use(
      new Mapping(map.fd, dataOffset + 2 * sizeBytes, { writable: false, offsetBytes: dataOffset, what }),
    );
    this.#fd = map.fd;
    this.#cursor = new RingCursor({
      consumer: consumer.buffer,
      producer: producer.buffer,
      dataOffset,
      sizeBytes,
    });
    this.#mappings = stack.move();
  }

  /** Hands out what has been submitted so far; see RingCursor.read(). */
  read(take: TakeSample, samplesMax?: number): number {
    if (this.#mappings.disposed) throw new TypeError("Cannot read a ring: its reader is disposed of");
    return this.#cursor.read(take, samplesMax);
  }

  /**
   * Waits on another thread for a record. The kernel compares the positions before it sleeps, so that a record which
   * was submitted without a wakeup since the last read ends the wait.
   *
   * @returns false after `timeoutMs` without any
   */
  wait(timeoutMs: number): Promise<boolean> {
    return pollReadable(this.#fd, timeoutMs);
  }

  get stats(): RingStats {
    if (this.#mappings.disposed) throw new TypeError("Cannot ask for a ring's state: its reader is disposed of");
    return this.#cursor.stats;
  }

  /** Call it when no `wait` is pending. */
  [Symbol.dispose](): void {
    this.#mappings[Symbol.dispose]();
  }
}
