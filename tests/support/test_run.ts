/** A test run of a program that does not block this thread, so that a test can act while the program runs. */
import { keepAlive } from "../../lib/ffi/libc.ts";
import type { Libbpf } from "../../lib/ffi/libbpf.ts";
import { type TestRunOptions, testRunOpts, type TestRunResult, testRunResult } from "../../lib/ffi/test_run.ts";

/** Like testRun(), on another thread. @throws {SystemError} */
export async function testRunAsync(
  libbpf: Libbpf,
  programFd: number,
  frame: Uint8Array<ArrayBuffer>,
  options: TestRunOptions = {},
): Promise<TestRunResult> {
  const opts = testRunOpts(frame, options);
  const returned = await libbpf.symbols.bpf_prog_test_run_opts_async(programFd, new Uint8Array(opts.buffer));
  keepAlive([frame, options.context]);
  return testRunResult(opts, returned);
}
