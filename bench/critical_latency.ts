/**
 * Bench 6: microseconds from the program that submits a critical event to its handler in the main thread, by the
 * monotonic clock on both sides; idle, and while other processes open files at full speed.
 */
import { monotonicNs } from "../lib/ffi/libc.ts";
import { isOfLoad, routeLoad } from "./critical_load.ts";

const EVENTS = 5_000;
const PAUSE_US = 1_000;

export async function benchCriticalLatency(): Promise<void> {
  console.log(`\n6. From submit to handler of ${EVENTS} critical events (us)`);
  for (let flooders = 0; flooders <= navigator.hardwareConcurrency; flooders++) {
    const latencies: number[] = [];
    const opensPerSecond = await routeLoad({ count: EVENTS, pauseUs: PAUSE_US, flooders }, (events) => {
      const now = monotonicNs();
      for (const event of events) if (isOfLoad(event)) latencies.push(Number(now - event.tsNs) / 1000);
    });
    latencies.sort((a, b) => a - b);
    const at = (share: number) => Math.round(latencies[Math.floor(share * (latencies.length - 1))]);
    const load = flooders === 0 ? "idle" : `${flooders} flooding, ${(opensPerSecond / 1e6).toFixed(2)} M opens/s`;
    const lost = latencies.length === EVENTS ? "" : `, ${EVENTS - latencies.length} lost`;
    console.log(`   ${load.padEnd(27)} p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}${lost}`);
  }
}

if (import.meta.main) await benchCriticalLatency();
