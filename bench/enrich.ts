/**
 * Enrichment: nanoseconds an event in the stage, for events of one process in a row, of many in turn, and of processes
 * that nobody knows; and how long it takes to know every process there is. A loop that only reads the pids is the
 * baseline.
 */
import { monotonicNs } from "../lib/ffi/libc.ts";
import { ProcSource } from "../lib/processes/proc_source.ts";
import { EVENT, EVENT_TYPE } from "../lib/wire/layouts.gen.ts";
import { EnrichStage } from "../lib/pipeline/enrich_stage.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { ProcessCache } from "../lib/processes/process_cache.ts";
import { Users } from "../lib/processes/users.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const EVENTS = 1_000;
const RECORD_BYTES = EVENT.size;

/** Whose processes' events there are: `pidOf` an event's number. */
function batchOf(pidOf: (i: number) => number): EventBatch {
  const batch = new EventBatch(EVENTS * (RECORD_BYTES + 8));
  for (let i = 0; i < EVENTS; i++) {
    const at = i * RECORD_BYTES;
    batch.offsets[i] = at;
    batch.lengths[i] = RECORD_BYTES;
    batch.data.setBigUint64(at + EVENT.fields.ts_ns.offset, BigInt(1e9 + i), true);
    batch.data.setUint16(at + EVENT.fields.type.offset, EVENT_TYPE.EVENT_FILE_OPEN, true);
    batch.data.setUint32(at + EVENT.fields.pid.offset, pidOf(i), true);
    batch.data.setBigUint64(at + EVENT.fields.cgroup_id.offset, 1n, true);
    batch.bytes.set(new TextEncoder().encode(`command-${pidOf(i)}`.slice(0, 15)), at + EVENT.fields.comm.offset);
  }
  batch.count = EVENTS;
  return batch;
}

function nsAnEvent(batches: number, work: () => void): number {
  const start = performance.now();
  for (let i = 0; i < batches; i++) work();
  return (performance.now() - start) * 1e6 / (batches * EVENTS);
}

/** How long a cache takes to read the processes of this machine. */
function benchFill(run: BenchRun, rounds: number): void {
  const fills: number[] = [];
  let entries = 0;
  for (let round = 0; round < rounds; round++) {
    const proc = new ProcSource();
    const real = new ProcessCache(proc, new Users(proc));
    const start = performance.now();
    real.fill(Number(monotonicNs()));
    fills.push(performance.now() - start);
    entries = real.stats().entries;
    const comm = Deno.readTextFileSync("/proc/self/comm").trim();
    run.equal("the name of this process", real.recall(Deno.pid, Number(monotonicNs()))?.name ?? "", comm);
  }
  const ms = median(fills);
  run.report(
    `   filling from /proc: ${ms.toFixed(1)} ms for ${entries} processes, ${(ms * 1000 / entries).toFixed(0)} µs each`,
  );
}

export function bench(run: BenchRun): void {
  run.report(`\nEnrichment, ns an event (${EVENTS} events a batch)`);
  const rounds = run.pick(15, 1);
  const batches = run.pick(200, 2);
  const source = {
    list: () => Array.from({ length: 20_000 }, (_, i) => i + 1),
    read: (pid: number) => ({
      pid,
      startNs: 1,
      readNs: 2,
      name: `p${pid}`,
      ppid: 1,
      exe: "/bin/p",
      cgroups: "",
    }),
    cgroupPath: () => "/",
  };
  const cache = new ProcessCache(source, new Users({ passwdStamp: () => null, passwdText: () => "" }));
  cache.fill(1);
  const stage = new EnrichStage(cache);
  let sum = 0;
  /** `known`: the events that the stage must give a process, which it makes of the event where nobody knows it. */
  const cases: Record<string, { batch: EventBatch; known: number; work: (batch: EventBatch) => void }> = {
    "pids alone": {
      batch: batchOf(() => 7),
      known: 0,
      work: (batch) => {
        for (let i = 0; i < batch.count; i++) sum += batch.pid(i);
      },
    },
    "one process": { batch: batchOf(() => 7), known: EVENTS, work: (batch) => stage.run(batch) },
    "20 in a row, 50 processes": {
      batch: batchOf((i) => 1 + Math.floor(i / 20)),
      known: EVENTS,
      work: (batch) => stage.run(batch),
    },
    "1,000 in turn": { batch: batchOf((i) => 1 + i * 17), known: EVENTS, work: (batch) => stage.run(batch) },
    "unknown, again and again": { batch: batchOf((i) => 50_000 + i), known: EVENTS, work: (batch) => stage.run(batch) },
  };
  const times: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, { batch, work }] of Object.entries(cases)) {
      (times[name] ??= []).push(nsAnEvent(batches, () => {
        batch.next = 0;
        work(batch);
      }));
    }
  }
  const baseline = median(times["pids alone"]);
  for (const [name, all] of Object.entries(times)) {
    run.report(`   ${name.padEnd(26)} ${median(all).toFixed(1)} ns, ratio ${(median(all) / baseline).toFixed(1)}`);
  }
  run.equal("the sum of the pids", sum, 7 * EVENTS * batches * rounds);
  for (const [name, { batch, known }] of Object.entries(cases)) {
    const found = batch.process.filter((process, i) => process !== null && process.pid === batch.pid(i)).length;
    run.equal(`the number of events with a process of case "${name}"`, found, known);
  }
  benchFill(run, rounds);
}
