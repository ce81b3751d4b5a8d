/** `ebpfmon replay`: a capture in windows of its own time, counted by the program that counts live packets. */
import { addWindow, emptyTotals, type Totals } from "../../aggregate/flows/totals.ts";
import { largestFlows } from "../../aggregate/flows/overflow_rank.ts";
import { jsonLine, summaryObject, windowObject } from "../../export/json_lines.ts";
import { downloadLibbpf } from "../../ffi/libbpf_download.ts";
import { replayCapture, type ReplayResult } from "../../replay/replay.ts";
import { assetsDir } from "../../runtime/worker_url.ts";
import type { RunContext } from "../command.ts";
import { print, unixNs, warn } from "../console.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { renderPiped, renderSummary } from "../monitor_view.ts";
import type { ReplayCommandOptions } from "./replay.ts";

const STDIN = "-";

async function openCapture(file: string): Promise<{ name: string; source: ReadableStream<Uint8Array<ArrayBuffer>> }> {
  if (file === STDIN) return { name: "stdin", source: Deno.stdin.readable };
  try {
    const { readable } = await Deno.open(file);
    return { name: file.split("/").at(-1)!, source: readable };
  } catch (error) {
    // The runtime keeps what is below /dev, /proc and /sys from programs that may not do everything.
    const reason = error instanceof Deno.errors.NotCapable
      ? "not a plain file; pipe it in as -"
      : (error as Error).message;
    throw new Error(`Cannot open the capture ${file}: ${reason}`, { cause: error });
  }
}

function captureFields({ frames, bytes, cutFrames, endNotice }: ReplayResult): Record<string, unknown> {
  return { capture: { frames, bytes, cut_frames: cutFrames, end: endNotice } };
}

function renderCapture({ frames, bytes, cutFrames }: ReplayResult): string {
  return `Capture: ${frames} frames, ${bytes} bytes on the wire, ${cutFrames} frames cut by the snap length\n`;
}

function checkTotals(totals: Totals, { frames, bytes }: ReplayResult): void {
  const { seen } = totals;
  if (seen.packets === BigInt(frames) && seen.bytes === BigInt(bytes)) return;
  throw new Error(
    `Cannot account for the capture: it has ${frames} frames and ${bytes} bytes, counted were ${seen.packets} and ${seen.bytes}`,
  );
}

/** Counts the frames of a capture, and prints its windows and totals. */
export async function run(options: ReplayCommandOptions, { host, stopOnSignals }: RunContext): Promise<ExitCode> {
  const { signal } = stopOnSignals();
  const { file, json, quiet, debug: _debug, libbpfUrl, ...capture } = options;
  const { filter, topMax, order } = capture;
  const libbpfPath = await downloadLibbpf(libbpfUrl);
  const { name, source } = await openCapture(file);
  const totals = emptyTotals();
  const result = await replayCapture(
    source,
    { ...capture, name, assetsDir: assetsDir(), libbpfPath },
    {
      take(window) {
        addWindow(totals, window);
        window.top = largestFlows(window, order, topMax);
        print(
          json ? jsonLine(windowObject(host, window, filter !== "")) : renderPiped(window, { filter, topMax, order }),
        );
      },
      signal,
    },
  );
  if (result.error !== null && result.frames === 0) throw result.error;
  if (result.endNotice !== null && !quiet) warn(`${file}: ${result.endNotice}; what came before it is counted`);
  if (result.growthNotice !== null && !quiet) warn(`the flow maps cannot grow: ${result.growthNotice}`);
  if (json) {
    print(jsonLine({ ...summaryObject({ unixNs: unixNs(), host }, totals, filter !== ""), ...captureFields(result) }));
  } else {
    print(renderSummary(totals) + renderCapture(result));
  }
  if (result.error !== null) throw result.error;
  checkTotals(totals, result);
  return EXIT.done;
}
