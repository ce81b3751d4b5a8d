/**
 * Bench 8: records a second from one worker to another, through shared memory and through a BPF queue, over a plain
 * loop that copies the same records from array to array in one thread, where a channel has two.
 */
import { openLibbpf } from "../lib/ffi/libbpf.ts";
import { QueueChannel, type QueueChannelDescription } from "../lib/pipeline/channel/queue_channel.ts";
import { addEvent, envelopeLengthOf, EnvelopeWriter } from "../lib/pipeline/channel/envelope.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { SharedChannel, type SharedChannelDescription } from "../lib/pipeline/channel/shared_channel.ts";
import type { ChannelBenchRequest, ChannelBenchResult } from "./channels_worker.ts";
import { median } from "./support.ts";
import type { BenchRun } from "./bench_run.ts";

const SLOTS = 32;
const SLOT_BYTES = 65_536;
const SIZES_BYTES = [96, 160, 300];
const LIBRARY_DIR = "build/app/lib";

/** It starts on a multiple of 8, as in a batch or a ring. */
function makeRecord(lengthBytes: number) {
  const data = new Uint8Array(lengthBytes + 7 & ~7);
  return { data, offset: 0, lengthBytes, ring: 0, category: 1, priority: 2 as const, process: null };
}

function noProcess(): never {
  throw new TypeError("Cannot decode a process: there is none in this bench");
}

/** @returns records a second, written and walked as a channel does it */
function loopOverArrays(run: BenchRun, lengthBytes: number, records: number): number {
  const record = makeRecord(lengthBytes);
  const memory = new Uint8Array(SLOT_BYTES);
  const writer = new EnvelopeWriter(memory);
  const batch = new EventBatch(SLOT_BYTES);
  const start = performance.now();
  let walked = 0;
  for (let done = 0; done < records;) {
    let usedBytes = 0;
    for (; done < records; done++) {
      const wholeBytes = envelopeLengthOf(record);
      if (usedBytes + wholeBytes > SLOT_BYTES) break;
      writer.write(record, usedBytes, wholeBytes);
      usedBytes += wholeBytes;
    }
    batch.clear();
    batch.bytes.set(memory.subarray(0, usedBytes));
    for (let at = 0; at < usedBytes;) at = addEvent(batch, at, noProcess);
    for (let i = 0; i < batch.count; i++) walked += batch.pid(i) === 0 ? 1 : 0;
  }
  run.equal("the number of records that the loop walked", walked, records);
  return records / (performance.now() - start) * 1000;
}

/** @returns records a second from a worker that sends to one that receives, each started before the clock is */
async function betweenWorkers(
  bench: BenchRun,
  description: SharedChannelDescription | QueueChannelDescription,
  lengthBytes: number,
  records: number,
): Promise<number> {
  const start = new Int32Array(new SharedArrayBuffer(4));
  const ready = new Int32Array(new SharedArrayBuffer(4));
  const workers: Worker[] = [];
  const run = (role: ChannelBenchRequest["role"]) => {
    const worker = new Worker(new URL("./channels_worker.ts", import.meta.url), { type: "module" });
    workers.push(worker);
    return new Promise<ChannelBenchResult>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
      const request: ChannelBenchRequest = {
        role,
        description,
        lengthBytes,
        records,
        start,
        ready,
        batchBytes: SLOT_BYTES,
        libraryDir: LIBRARY_DIR,
      };
      worker.postMessage(request);
    });
  };
  try {
    const done = Promise.all([run("receive"), run("send")]);
    while (Atomics.load(ready, 0) < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    const startMs = performance.now();
    Atomics.store(start, 0, 1);
    Atomics.notify(start, 0);
    const [received, sent] = await done;
    const perSecond = records / (performance.now() - startMs) * 1000;
    bench.equal(`the number of records that were sent (${description.kind})`, sent.records, records);
    bench.equal(`the number of records that arrived (${description.kind})`, received.records, records);
    bench.equal(`the sum of what the records hold (${description.kind})`, received.sum, sent.sum);
    return perSecond;
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

export async function bench(run: BenchRun): Promise<void> {
  run.report("\n8. Records through a channel (M/s; ratio = over a plain loop that copies arrays in one thread)");
  const records = run.pick(2_000_000, 20_000);
  const queueRecords = run.pick(150_000, 10_000);
  using libbpf = openLibbpf({ embeddedDir: LIBRARY_DIR });
  for (const lengthBytes of SIZES_BYTES) {
    const rates = { loop: [] as number[], shared: [] as number[], queue: [] as number[] };
    for (let round = 0; round < run.pick(5, 1); round++) {
      rates.loop.push(loopOverArrays(run, lengthBytes, records));
      const options = { name: "bench", policy: "block" as const };
      const shared = SharedChannel.create({ ...options, slots: SLOTS, slotBytes: SLOT_BYTES });
      rates.shared.push(await betweenWorkers(run, shared, lengthBytes, records));
      using queue = QueueChannel.create(libbpf, { ...options, recordsMax: 8_192 });
      rates.queue.push(await betweenWorkers(run, queue.description, lengthBytes, queueRecords));
    }
    const [loop, shared, queue] = [median(rates.loop), median(rates.shared), median(rates.queue)];
    const rate = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} (ratio ${(perSecond / loop).toFixed(2)})`;
    const sharedToQueue = (shared / queue).toFixed(1);
    run.report(
      `   ${String(lengthBytes).padStart(3)} bytes  loop ${(loop / 1e6).toFixed(2)}, shared memory ${rate(shared)}, ` +
        `BPF queue ${rate(queue)}; shared / queue ${sharedToQueue}`,
    );
  }
}
