/** Replays a capture through the flow program in the kernel, by test runs: the program is attached to nothing. */
import { FlowReducer } from "../aggregate/flows/flow_reducer.ts";
import type { FlowOrder, FlowWindow } from "../aggregate/windows/flow_window.ts";
import { requireCapabilities } from "../ffi/capabilities.ts";
import { FlowProbe } from "../aggregate/flows/flow_probe.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { parseFlowFilter } from "../filter/language.ts";
import { delay } from "../runtime/timers.ts";
import { CaptureDecoder, chunksOf, gunzipped } from "./capture.ts";
import { Pace } from "./pace.ts";
import { type CaptureCounts, ReplayedWindows, type ReplayedWindowsOptions } from "./replayed_windows.ts";

/** Interface index that the kernel gives to the packets of a test run. */
const LOOPBACK_IFINDEX = 1;

/** A packet that is due in less than this is counted at once. */
const WAIT_MS_MIN = 1;

export interface ReplayOptions extends ReplayedWindowsOptions {
  /** Name that windows show as their interface. */
  name: string;
  /** Flows that a window lists. */
  topMax: number;
  /** By what flows are ordered. */
  order: FlowOrder;
  /** Expression of `--filter`, already validated; empty for none. */
  filter: string;
  /** 1 for real time, 2 for twice as fast; 0 for without waiting. */
  speed: number;
  /** Folder with `bpf/flow.bpf.o` and `lib/libbpf.so.1`. */
  assetsDir: string;
  /** File of a libbpf to use instead of the system's. */
  libbpfPath?: string;
}

export interface ReplayResult extends CaptureCounts {
  /** What is wrong with the end of the capture; null for nothing. */
  endNotice: string | null;
  /** Why the flow maps could not grow; null when they could, or did not have to. */
  growthNotice: string | null;
  /** Why the capture could not be read to its end; null when it was. */
  error: Error | null;
}

/**
 * Replays a capture to its end, or until the signal. The windows counted so far are handed out in every case. A
 * malformed file ends the run with `error`.
 *
 * @param source the file, which may be compressed by gzip
 * @param take called with each window, in order
 * @throws {PrivilegeError}
 * @throws {UnsupportedError}
 */
export async function replayCapture(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: ReplayOptions,
  { take, signal }: { take: (window: FlowWindow) => void; signal: AbortSignal },
): Promise<ReplayResult> {
  try {
    return await replayStream(source, options, { take, signal });
  } finally {
    // Whatever kept it from being read; after that it is locked.
    if (!source.locked) await source.cancel();
  }
}

async function replayStream(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: ReplayOptions,
  { take, signal }: { take: (window: FlowWindow) => void; signal: AbortSignal },
): Promise<ReplayResult> {
  using stack = new DisposableStack();
  requireCapabilities(`replay ${options.name}`);
  const libbpf = stack.use(openLibbpf({ path: options.libbpfPath, embeddedDir: `${options.assetsDir}/lib` }));
  const elf = Deno.readFileSync(`${options.assetsDir}/bpf/flow.bpf.o`);
  const interfaces = [{ name: options.name, ifindex: LOOPBACK_IFINDEX }];
  const probe = stack.use(
    await FlowProbe.open(libbpf, elf, interfaces, { ...options, values: "atomic", replays: true }),
  );
  await probe.prepareSpare();
  const interfaceOfSlot: string[] = [];
  interfaceOfSlot[probe.slotOf[0]] = options.name;
  const reducer = new FlowReducer({
    interfaceOfSlot,
    valuesPerEntry: 1,
    topMax: options.topMax,
    order: options.order,
    filter: options.filter === "" ? null : parseFlowFilter(options.filter),
  });
  const windows = new ReplayedWindows({ probe, replay: stack.use(probe.frameReplay()), reducer }, options, take);
  const decoder = new CaptureDecoder();
  let endNotice: string | null = null;
  let error: Error | null = null;
  try {
    await readAll(await gunzipped(source, signal), decoder, { windows, pace: new Pace(options.speed), signal });
    if (!signal.aborted) endNotice = decoder.end();
  } catch (thrown) {
    // What was compressed breaks off where it is ended.
    if (!signal.aborted) error = thrown as Error;
  }
  try {
    windows.finish();
  } catch (thrown) {
    error ??= thrown as Error;
  }
  return { ...windows.counts, endNotice, growthNotice: windows.growthNotice, error };
}

async function readAll(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  decoder: CaptureDecoder,
  { windows, pace, signal }: { windows: ReplayedWindows; pace: Pace; signal: AbortSignal },
): Promise<void> {
  for await (const chunk of chunksOf(stream)) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      const waitMs = pace.waitMs(frame.timeNs);
      if (waitMs >= WAIT_MS_MIN) await delay(waitMs, { signal });
      if (signal.aborted) return;
      const turning = windows.add(frame);
      if (turning !== undefined) await turning;
    }
    if (signal.aborted) return;
  }
}
