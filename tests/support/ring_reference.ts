/** A ring one record at a time: for whoever does not need RingReader's speed. */
import type { BpfMap } from "../../lib/ffi/bpf_map.ts";
import { RingReader } from "../../lib/ffi/ring_reader.ts";

export class RingReference implements Disposable {
  readonly #reader: RingReader;

  /**
   * @param map of type BPF_MAP_TYPE_RINGBUF, read by nobody else; it must outlive this
   * @throws {SystemError}
   */
  constructor(map: Pick<BpfMap, "fd" | "spec">) {
    this.#reader = new RingReader(map);
  }

  /**
   * The next record, a copy. Waits for it on another thread; one caller at a time.
   *
   * @returns null after `timeoutMs` without one
   */
  async next(timeoutMs: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      let record: Uint8Array<ArrayBuffer> | null = null;
      this.#reader.read((data, offset, lengthBytes) => {
        record = new Uint8Array(data.buffer, data.byteOffset + offset, lengthBytes).slice();
      }, 1);
      if (record !== null) return record;
      const leftMs = deadlineMs - performance.now();
      // What a program still writes, or gave up, wakes the wait without being a record.
      if (leftMs <= 0 || !await this.#reader.wait(Math.ceil(leftMs))) return null;
    }
  }

  /** Call it when no `next` is pending. */
  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }
}
