/**
 * Frames of a capture through the program that counts at ingress, many in one BPF_PROG_TEST_RUN (bpf/replay.h). Nothing is
 * allocated a frame: it is written where the kernel reads it.
 */
import { EINTR, SystemError } from "../../runtime/errors.ts";
import type { FieldLayout } from "../../wire/layout.ts";
import { CAPTURED_FRAME, FLOW_BSS, REPLAY_SHAPE } from "../../wire/layouts.gen.ts";
import { keepAlive, type Mapping } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { testRunOpts } from "../../ffi/test_run.ts";

const { "replayed.next": NEXT } = FLOW_BSS.fields satisfies Record<string, FieldLayout>;
const { ticks: TICKS, wire_bytes: WIRE_BYTES, kept_bytes: KEPT_BYTES, bytes: BYTES } = CAPTURED_FRAME.fields;
const { REPLAY_FRAMES } = REPLAY_SHAPE;
/** Of struct bpf_test_run_opts. */
const DATA_SIZE_OUT_AT = 28;
const REPEAT_AT = 60;

export class FrameReplay implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #programFd: number;
  /** The program's globals, mapped. */
  readonly #globals: DataView<ArrayBuffer>;
  readonly #mapping: Mapping;
  readonly #frames: DataView<ArrayBuffer>;
  /** Where the bytes of each frame are written. */
  readonly #bytes: Uint8Array<ArrayBuffer>[];
  /** As long as the longest frame: what the program puts in its place never needs more room. */
  readonly #buffer = new Uint8Array(BYTES.size);
  readonly #opts = testRunOpts(this.#buffer, {});
  readonly #optsBytes = new Uint8Array(this.#opts.buffer);
  /** Place of the first frame that was added and not counted yet, and of the one that is written next. */
  #first = 0;
  #next = 0;

  /** @param target the program, loaded to replay, its globals, and its map of frames, which is this one's from here on */
  constructor(libbpf: Libbpf, target: { programFd: number; globals: DataView<ArrayBuffer>; frames: Mapping }) {
    this.#libbpf = libbpf;
    this.#programFd = target.programFd;
    this.#globals = target.globals;
    this.#mapping = target.frames;
    const { buffer } = target.frames;
    this.#frames = new DataView(buffer);
    this.#bytes = Array.from(
      { length: REPLAY_FRAMES },
      (_, place) => new Uint8Array(buffer, place * CAPTURED_FRAME.size + BYTES.offset, BYTES.size),
    );
  }

  /** Where the next frame is written, from its Ethernet header on. `flush` leaves it as it is, `add` does not. */
  get frame(): Uint8Array<ArrayBuffer> {
    return this.#bytes[this.#next];
  }

  /**
   * Adds the frame that was written; it is counted when there are enough of them, or by `flush`.
   *
   * @param lenBytes what is there of it; at least 14
   * @param original its length on the wire, and when it was there: not 0
   * @throws {SystemError}
   */
  add(lenBytes: number, original: { wireBytes: number; ticks: bigint }): void {
    const at = this.#next * CAPTURED_FRAME.size;
    this.#frames.setBigUint64(at + TICKS.offset, original.ticks, true);
    this.#frames.setUint32(at + WIRE_BYTES.offset, original.wireBytes, true);
    this.#frames.setUint32(at + KEPT_BYTES.offset, lenBytes, true);
    this.#next++;
    if (this.#next === REPLAY_FRAMES) this.flush();
  }

  /** Counts what was added. @throws {SystemError} and what was not counted never will be */
  flush(): void {
    let place = this.#first;
    const end = this.#next;
    this.#first = this.#next = end % REPLAY_FRAMES;
    while (place < end) {
      this.#globals.setUint32(NEXT.offset, place, true);
      this.#opts.setInt32(REPEAT_AT, end - place, true);
      // The run before left its own length here, which a longer frame does not fit into.
      this.#opts.setUint32(DATA_SIZE_OUT_AT, 0, true);
      const returned = this.#libbpf.symbols.bpf_prog_test_run_opts(this.#programFd, this.#optsBytes);
      place = this.#globals.getUint32(NEXT.offset, true);
      // A signal ends a run between two frames; the rest is another run.
      if (returned < 0 && returned !== -EINTR) {
        throw new SystemError("run a program over frames of the capture", -returned);
      }
      if (returned === 0 && place < end) {
        throw new Error(`Cannot count the capture: the program stopped ${end - place} frames before its end`);
      }
    }
    keepAlive(this.#buffer);
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
  }
}
