/** BPF_PROG_TEST_RUN: runs a program that is attached to nothing over a given frame. */
import { SystemError } from "../runtime/errors.ts";
import { addressOf, keepAlive } from "./libc.ts";
import type { Libbpf } from "./libbpf.ts";

export interface TestRunOptions {
  /** Number of runs in one system call; default 1. */
  repeat?: number;
  /** BPF_F_TEST flags. */
  flags?: number;
  /** Frames in a batch with BPF_F_TEST_XDP_LIVE_FRAMES; at most 256. */
  batchSize?: number;
  /** The program's context: a struct xdp_md or __sk_buff. */
  context?: Uint8Array<ArrayBuffer>;
}

export interface TestRunResult {
  /** What the program returned, as a signed number. */
  result: number;
  /** Mean duration of the runs. */
  durationNs: number;
}

/** struct bpf_test_run_opts of libbpf 0.8 and later. It holds addresses: keep the frame and the context reachable. */
export function testRunOpts(frame: Uint8Array<ArrayBuffer>, options: TestRunOptions): DataView<ArrayBuffer> {
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

/**
 * Reads the result of a run from its options.
 *
 * @param returned what bpf_prog_test_run_opts() returned
 * @throws {SystemError} when the kernel refused the run
 */
export function testRunResult(opts: DataView<ArrayBuffer>, returned: number): TestRunResult {
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
  const returned = libbpf.symbols.bpf_prog_test_run_opts(programFd, new Uint8Array(opts.buffer));
  keepAlive([frame, options.context]);
  return testRunResult(opts, returned);
}

/** struct bpf_test_run_opts for a raw tracepoint program: it takes no frame and no repetitions. */
function rawRunOpts(args: BigUint64Array<ArrayBuffer>, cpu: number): DataView<ArrayBuffer> {
  const opts = new DataView(new ArrayBuffer(80));
  opts.setBigUint64(0, 80n, true); // sz
  opts.setBigUint64(32, addressOf(args), true); // ctx_in
  opts.setUint32(48, args.byteLength, true); // ctx_size_in
  opts.setUint32(68, cpu < 0 ? 0 : 1, true); // flags: BPF_F_TEST_RUN_ON_CPU
  opts.setUint32(72, Math.max(0, cpu), true); // cpu
  return opts;
}

/**
 * Runs a raw tracepoint program once.
 *
 * @param argument the program's args[0]
 * @param cpu where, or -1 for here
 * @returns its result; null when that CPU is offline
 * @throws {SystemError}
 */
export function runRaw(libbpf: Libbpf, programFd: number, argument: bigint, cpu = -1): number | null {
  const args = BigUint64Array.of(argument);
  const opts = rawRunOpts(args, cpu);
  const returned = libbpf.symbols.bpf_prog_test_run_opts(programFd, new Uint8Array(opts.buffer));
  keepAlive(args);
  if (returned < 0 && cpu >= 0) return null;
  if (returned < 0) throw new SystemError("run a raw tracepoint program", -returned);
  return opts.getInt32(56, true);
}

/** Like `runRaw`, on another thread and on the CPU where that thread runs. @throws {SystemError} */
export async function runRawAsync(libbpf: Libbpf, programFd: number, argument: bigint): Promise<number> {
  const args = BigUint64Array.of(argument);
  const opts = rawRunOpts(args, -1);
  const returned = await libbpf.symbols.bpf_prog_test_run_opts_async(programFd, new Uint8Array(opts.buffer));
  keepAlive(args);
  if (returned < 0) throw new SystemError("run a raw tracepoint program", -returned);
  return opts.getInt32(56, true);
}
