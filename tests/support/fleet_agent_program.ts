/**
 * An agent of its own process, so that it can be killed. It makes numbered events, and writes down how far it is once
 * its spool has them. Says its counts, as one line of JSON, when everything is acknowledged.
 */
import { Batcher } from "../../lib/fleet/agent/batcher.ts";
import { AgentLink, type LinkOptions } from "../../lib/fleet/agent/link.ts";
import { Spool } from "../../lib/fleet/agent/spool.ts";
import type { Position } from "../../lib/fleet/codec.ts";
import { SEVERITIES } from "../../lib/events/event.ts";
import { monotonicNs } from "../../lib/ffi/libc.ts";
import { cpuUsage } from "node:process";
import { fleetEvent } from "./fleet_events.ts";
import { delay } from "../../lib/runtime/timers.ts";

export interface AgentProgramOptions {
  link: Omit<LinkOptions, "onNotice" | "identity">;
  agent: string;
  /** Numbers of the first event and behind the last one. */
  from: number;
  to: number;
  /** Events that are made at once, and how many a second; 0: as many as the spool lets through. */
  chunk: number;
  rate: number;
  flushMs: number;
  spool?: { path: string; bytesMax: number };
  memoryBytesMax: number;
  /** A line for every chunk that the spool has. */
  journalPath?: string;
  /** Batches that may wait before events are held back; where `rate` is 0. */
  waitingMax?: number;
  /** Nothing is made before there is a stream. */
  whenConnected?: boolean;
}

export interface AgentProgramResult {
  spool: Spool["stats"];
  link: AgentLink["stats"];
  seconds: number;
  /** From when an event was made until it was acknowledged, of all events. */
  latencyMs: { p50: number; p99: number };
  cpuSeconds: number;
  rssBytesMax: number;
}

const options: AgentProgramOptions = JSON.parse(Deno.args[0]);
const spool = new Spool({
  memoryBytesMax: options.memoryBytesMax,
  directory: options.spool,
  onNotice: (notice) => console.error(notice),
});
/** By severity: sequences that are not acknowledged, with their events and when they were made. */
const waiting = new Map(
  SEVERITIES.map((severity) => [severity, [] as { sequence: number; events: number; madeMs: number }[]]),
);
const latencies: { ms: number; events: number }[] = [];
let madeMs = performance.now();

const link = new AgentLink(spool, {
  ...options.link,
  identity: { agentId: options.agent, host: options.agent, version: "0", bootId: "0" },
  onNotice: (notice) => console.error(notice),
  onAcknowledged: (positions: Position[]) => {
    const nowMs = performance.now();
    for (const { severity, sequence } of positions) {
      const queue = waiting.get(severity)!;
      const count = queue.findIndex((batch) => batch.sequence > sequence);
      for (const batch of queue.splice(0, count < 0 ? queue.length : count)) {
        latencies.push({ ms: nowMs - batch.madeMs, events: batch.events });
      }
    }
  },
});
const recorder: Pick<Spool, "append"> = {
  append: (severity, events, encode) =>
    spool.append(severity, events, (sequence) => {
      waiting.get(severity)!.push({ sequence, events, madeMs });
      return encode(sequence);
    }),
};
const batcher = new Batcher(recorder, {
  flushMs: options.flushMs,
  bytesMax: 1024 * 1024,
  clock: () => {
    const unixNs = BigInt(Date.now()) * 1_000_000n;
    return { unixNs, bootUnixNs: unixNs - monotonicNs() };
  },
  onBatch: () => link.wake(),
});
const stopping = new AbortController();
const running = link.run(stopping.signal);
const journal = options.journalPath && Deno.openSync(options.journalPath, { append: true, create: true });

while (options.whenConnected && !link.stats.connected) await delay(5);
let rssBytesMax = 0;
const cpuAtStart = cpuUsage();
const startMs = performance.now();
for (let from = options.from; from < options.to; from += options.chunk) {
  if (options.rate > 0) {
    const due = startMs + (from - options.from) / options.rate * 1000;
    while (performance.now() < due) await delay(due - performance.now());
  } else {
    while (spool.stats.batches.spooled >= (options.waitingMax ?? 200)) await delay(0);
  }
  madeMs = performance.now();
  const count = Math.min(options.chunk, options.to - from);
  batcher.add(Array.from({ length: count }, (_, i) => fleetEvent(from + i)));
  if (journal) journal.writeSync(new TextEncoder().encode(`${from}\n`));
  if (from / options.chunk % 64 === 0) rssBytesMax = Math.max(rssBytesMax, Deno.memoryUsage().rss);
}
batcher.flush();
while (spool.stats.batches.spooled > 0) await delay(1);
const seconds = (performance.now() - startMs) / 1000;
const cpu = cpuUsage();
const stats = link.stats;
stopping.abort();
await running;

latencies.sort((a, b) => a.ms - b.ms);
const total = latencies.reduce((sum, { events }) => sum + events, 0);
const percentile = (share: number) => {
  let seen = 0;
  return latencies.find(({ events }) => (seen += events) >= share * total)?.ms ?? NaN;
};
const result: AgentProgramResult = {
  spool: spool.stats,
  link: stats,
  seconds,
  latencyMs: { p50: percentile(0.5), p99: percentile(0.99) },
  cpuSeconds: (cpu.user + cpu.system - cpuAtStart.user - cpuAtStart.system) / 1e6,
  rssBytesMax,
};
console.log(JSON.stringify(result));
spool[Symbol.dispose]();
Deno.exit(0);
