/// <reference lib="deno.worker" />
/** A stage that passes on three of four events, until it is killed, or kills itself, for channel_kill_test.ts. */
import { threadId } from "../../lib/ffi/libc.ts";
import { CommitJournal, type JournalDescription } from "../../lib/pipeline/channel/commit_journal.ts";
import { EventBatch } from "../../lib/events/event_batch.ts";
import { SharedChannel, type SharedChannelDescription } from "../../lib/pipeline/channel/shared_channel.ts";

export interface MortalWorkerRequest {
  input: SharedChannelDescription;
  output: SharedChannelDescription;
  journal: JournalDescription;
  worker: number;
  /** Steps until it throws; null waits to be killed. */
  steps: number | null;
  /** Its first word becomes the thread's number. */
  thread: Int32Array<SharedArrayBuffer>;
}

/** What the stage leaves out. */
export function passes(sequence: number): boolean {
  return sequence % 4 !== 3;
}

const WAIT_MS = 20;
/** Thrown through everything: nothing on the way catches it, or has something to dispose of. */
const DEATH = new Error("death");

async function run({ input, output, journal: description, worker, steps, thread }: MortalWorkerRequest): Promise<void> {
  let left = steps ?? Infinity;
  const step = () => {
    if (left-- <= 0) throw DEATH;
  };
  Atomics.store(thread, 0, threadId());
  const receiver = new SharedChannel(input, { step }).openReceiver(worker);
  const sender = new SharedChannel(output, { step }).openSender(worker, { staged: true });
  const journal = new CommitJournal(description, { inputs: [receiver], outputs: [sender] }, { step });
  const [seenBefore, passedBefore] = CommitJournal.counters(description);
  const counters = [seenBefore, passedBefore];
  const batch = new EventBatch(input.slotBytes);
  for (;;) {
    if (!receiver.receive(batch)) {
      await receiver.waitReadable(WAIT_MS);
      continue;
    }
    for (let i = 0; i < batch.count; i++) {
      // Here, between receiving and committing, is where Worker.terminate() takes effect.
      if (i % 16 === 15) await new Promise((resolve) => setTimeout(resolve));
      if (passes(batch.uid(i))) {
        const record = {
          data: batch.bytes,
          offset: batch.offsets[i],
          lengthBytes: batch.lengths[i],
          ring: batch.ring[i],
          category: batch.category[i],
          priority: batch.priority[i],
          process: null,
        };
        while (!sender.append(record)) {
          journal.commit(counters, 0, i);
          await sender.waitWritable(WAIT_MS);
        }
        counters[1]++;
      }
      counters[0]++;
    }
    journal.commit(counters, 0);
  }
}

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = async ({ data }: MessageEvent<MortalWorkerRequest>) => {
    try {
      await run(data);
    } catch (error) {
      if (error !== DEATH) throw error;
      self.close();
    }
  };
}
