/**
 * BPF_PROG_TEST_RUN: a program over a frame that we hand it, attached to nothing.
 */
import { SystemError } from "../errors.ts";
import { addressOf } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";

/** BPF_F_TEST_XDP_LIVE_FRAMES (Linux 5.18): the frames are really sent, dropped or passed, as the program says. */
export const TEST_XDP_LIVE_FRAMES = 1 << 1;

export interface TestRunOptions {
  /** Runs; the kernel does them without returning in between. Default 1. */
  repeat?: number;
  flags?: number;
  /** Frames a batch in live mode; at most 256. */
  batchSize?: number;
  /** struct xdp_md or __sk_buff. */
  context?: Uint8Array<ArrayBuffer>;
}

export interface TestRunResult {
  /** What the program returned, as a signed number. */
  result: number;
  /** Mean of the runs. */
  durationNs: number;
}

/** struct bpf_test_run_opts of libbpf 0.8 and later. */
function testRunOpts(frame: Uint8Array<ArrayBuffer>, options: TestRunOptions): DataView<ArrayBuffer> {
  const opts = new DataView(new ArrayBuffer(80));
  opts.setBigUint64(0, 80n, true); // sz
  opts.setBigUint64(8, addressOf(frame), true); // data_in
  opts.setUint32(24, frame.length, true); // data_size_in
  if (options.context !== undefined) {
    opts.setBigUint64(32, addressOf(options.context), true); // ctx_in
    opts.setUint32(48, options.context.length, true); // ctx_size_in
  }
  opts.setInt32(60, options.repeat ?? 1, true);
  opts.setUint32(68, options.flags ?? 0, true);
  opts.setUint32(76, options.batchSize ?? 0, true);
  return opts;
}

function resultOf(opts: DataView<ArrayBuffer>, returned: number): TestRunResult {
  if (returned < 0) throw new SystemError("run a program over a test frame", -returned);
  return { result: opts.getInt32(56, true), durationNs: opts.getUint32(64, true) };
}

/**
 * Runs a program over one frame.
 *
 * @param frame from the Ethernet header on; at least 14 bytes
 * @throws {SystemError}
 */
export function testRun(
  libbpf: Libbpf,
  programFd: number,
  frame: Uint8Array<ArrayBuffer>,
  options: TestRunOptions = {},
): TestRunResult {
  const opts = testRunOpts(frame, options);
  return resultOf(opts, libbpf.symbols.bpf_prog_test_run_opts(programFd, new Uint8Array(opts.buffer)));
}

/** Like `testRun`, on another thread: for runs that take long. */
export async function testRunAsync(
  libbpf: Libbpf,
  programFd: number,
  frame: Uint8Array<ArrayBuffer>,
  options: TestRunOptions = {},
): Promise<TestRunResult> {
  const opts = testRunOpts(frame, options);
  const returned = await libbpf.symbols.bpf_prog_test_run_opts_async(programFd, new Uint8Array(opts.buffer));
  // Keeps the buffers that the kernel reads reachable until here.
  void [frame, options.context];
  return resultOf(opts, returned);
}
