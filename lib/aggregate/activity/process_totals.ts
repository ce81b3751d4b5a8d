/** Sums of processes since the start of a run, for counters that must not go back while their process is known. */
import { Lru } from "../../processes/lru.ts";
import type { ProcessTotal } from "./process_window.ts";
import type { ProcessTally } from "./process_reducer.ts";

/** More than make calls within any recent window on most hosts; of more, the ones quiet for longest are forgotten. */
const PROCESSES_MAX = 4_096;

export class ProcessTotals {
  readonly #totals: Lru<string, ProcessTotal>;

  constructor(processesMax = PROCESSES_MAX) {
    this.#totals = new Lru(processesMax);
  }

  /** Adds what a process did in a window. */
  add({ pid, startedNs, comm, calls, errors, totalNs, bytesIn, bytesOut }: ProcessTally): void {
    const key = `${pid} ${startedNs}`;
    let total = this.#totals.get(key);
    if (total === undefined) {
      total = { pid, startedNs, comm, calls: 0n, errors: 0n, totalNs: 0n, bytesIn: 0n, bytesOut: 0n };
      this.#totals.set(key, total);
    }
    // An exec renames a process and does not make another of it.
    total.comm = comm;
    total.calls += BigInt(calls);
    total.errors += BigInt(errors);
    total.totalNs += totalNs;
    total.bytesIn += BigInt(bytesIn);
    total.bytesOut += BigInt(bytesOut);
  }

  /** The largest by calls. Of processes that had one number in turn, the latest. */
  top(processesMax: number): ProcessTotal[] {
    const latest = new Map<number, ProcessTotal>();
    for (const total of this.#totals.values()) {
      const other = latest.get(total.pid);
      if (other === undefined || other.startedNs < total.startedNs) latest.set(total.pid, total);
    }
    const byCalls = (a: ProcessTotal, b: ProcessTotal) =>
      a.calls === b.calls ? a.pid - b.pid : a.calls < b.calls ? 1 : -1;
    return [...latest.values()].sort(byCalls).slice(0, processesMax).map((total) => ({ ...total }));
  }
}
