/**
 * Frames of a capture through the ingress program, one BPF_PROG_TEST_RUN each. Nothing is allocated a frame: the kernel
 * reads it where the caller wrote it. One run a call: with more the kernel patches the XDP dispatcher first, which takes
 * 20 ms, against 1.5 µs for one.
 */
import { SystemError } from "../errors.ts";
import type { FieldLayout } from "./layout.ts";
import { FLOW_BSS } from "./layouts.gen.ts";
import type { Libbpf } from "./libbpf.ts";
import { testRunOpts } from "./test_run.ts";

const { "replayed.ticks": TICKS, "replayed.wire_bytes": WIRE_BYTES } = FLOW_BSS.fields satisfies Record<
  string,
  FieldLayout
>;
/** Of struct bpf_test_run_opts. */
const DATA_SIZE_IN_AT = 24;
const DATA_SIZE_OUT_AT = 28;

export class FrameReplay {
  /** Where the next frame is written, from its Ethernet header on. */
  readonly frame: Uint8Array<ArrayBuffer>;
  readonly #libbpf: Libbpf;
  readonly #programFd: number;
  /** The program's globals, mapped. */
  readonly #globals: DataView<ArrayBuffer>;
  readonly #opts: DataView<ArrayBuffer>;
  readonly #optsBytes: Uint8Array<ArrayBuffer>;

  /** @param target the program, loaded to replay, and its globals */
  constructor(
    libbpf: Libbpf,
    target: { programFd: number; globals: DataView<ArrayBuffer> },
    frameBytesMax: number,
  ) {
    this.#libbpf = libbpf;
    this.#programFd = target.programFd;
    this.#globals = target.globals;
    this.frame = new Uint8Array(frameBytesMax);
    this.#opts = testRunOpts(this.frame, {});
    this.#optsBytes = new Uint8Array(this.#opts.buffer);
  }

  /**
   * Counts the frame that was written.
   *
   * @param lenBytes what is there of it; at least 14
   * @param original its length on the wire, and when it was there: not 0
   * @throws {SystemError}
   */
  run(lenBytes: number, original: { wireBytes: number; ticks: bigint }): void {
    this.#globals.setBigUint64(TICKS.offset, original.ticks, true);
    this.#globals.setUint32(WIRE_BYTES.offset, original.wireBytes, true);
    this.#opts.setUint32(DATA_SIZE_IN_AT, lenBytes, true);
    // The run before left its own length here, which a longer frame does not fit into.
    this.#opts.setUint32(DATA_SIZE_OUT_AT, 0, true);
    const returned = this.#libbpf.symbols.bpf_prog_test_run_opts(this.#programFd, this.#optsBytes);
    if (returned < 0) throw new SystemError("run a program over a frame of the capture", -returned);
  }
}
