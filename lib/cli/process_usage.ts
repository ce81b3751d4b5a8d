/** What this process itself uses, as /proc says. */
import { readKernelFile } from "../ffi/libc.ts";

/** USER_HZ: the unit of times in /proc, 100 on every architecture that Deno runs on. */
const TICKS_PER_SECOND = 100;

const startedMs = Date.now() - performance.now();

/** When the process started, seconds since the epoch. */
export function startedUnixSeconds(): number {
  return startedMs / 1000;
}

/** User and system time in the text of /proc/PID/stat. The command in it may hold spaces and parentheses. */
export function cpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function processUsage(): { residentMemoryBytes: number; cpuSeconds: number } {
  return {
    residentMemoryBytes: Deno.memoryUsage().rss,
    cpuSeconds: cpuSeconds(readKernelFile("/proc/self/stat")),
  };
}
