/**
 * Bench 6: microseconds from the program that submits a critical event to its handler in the main thread, by the
 * monotonic clock on both sides; idle, and while other processes open files at full speed.
 */
import { monotonicNs } from "../lib/ffi/libc.ts";
import { isOfLoad, routeLoad } from "./critical_load.ts";
import type { BenchRun } from "./bench_run.ts";

const PAUSE_US = 1_000;

export async function bench(run: BenchRun): Promise<void> {
  const count = run.pick(5_000, 50);
  run.report(`\n6. From submit to handler of ${count} critical events (us)`);
  for (let flooders = 0; flooders <= navigator.hardwareConcurrency; flooders++) {
    const latencies: number[] = [];
    const opensPerSecond = await routeLoad({ count, pauseUs: PAUSE_US, flooders }, (events) => {
      const now = monotonicNs();
      for (const event of events) if (isOfLoad(event)) latencies.push(Number(now - event.tsNs) / 1000);
    });
    if (run.isCheck) run.equal("the number of critical events that arrived", latencies.length, count);
    latencies.sort((a, b) => a - b);
    const at = (share: number) => Math.round(latencies[Math.floor(share * (latencies.length - 1))]);
    const load = flooders === 0 ? "idle" : `${flooders} flooding, ${(opensPerSecond / 1e6).toFixed(2)} M opens/s`;
    const lost = latencies.length === count ? "" : `, ${count - latencies.length} lost`;
    run.report(`   ${load.padEnd(27)} p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}${lost}`);
  }
}
