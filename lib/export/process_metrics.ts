/** The families that every page of metrics has, whatever is watched. */
import type { PrometheusText } from "../metrics/prometheus.ts";

/** Labels of `ebpfmon_build_info`. */
export type BuildLabels = { version: string } & Record<string, string>;

export interface ProcessSnapshot {
  residentMemoryBytes: number;
  /** Since the epoch. */
  startTimeSeconds: number;
  /** User and system time. */
  cpuSeconds: number;
}

export function addProcessMetrics(text: PrometheusText, build: BuildLabels, process: ProcessSnapshot): void {
  text.gauge("ebpfmon_build_info", "Version of this program; always 1.", [{ labels: build, value: 1 }]);
  text.gauge("ebpfmon_process_resident_memory_bytes", "Resident memory.", [{ value: process.residentMemoryBytes }]);
  text.gauge("ebpfmon_process_start_time_seconds", "Start of the process since the epoch.", [
    { value: process.startTimeSeconds },
  ]);
  text.counter("ebpfmon_process_cpu_seconds_total", "User and system time.", [{ value: process.cpuSeconds }]);
}
