/** Workers that die in the middle of their work, for real: nothing is lost, nothing comes twice. */
import { assert, assertEquals, assertGreater } from "./assert.ts";
import { threadEnded } from "../lib/ffi/thread.ts";
import { CommitJournal } from "../lib/pipeline/channel/commit_journal.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { SharedChannel } from "../lib/pipeline/channel/shared_channel.ts";
import "./support/bpf.ts";
import { type MortalWorkerRequest, passes } from "./support/mortal_worker.ts";
import { Random } from "./support/random.ts";
import { delay } from "../lib/runtime/timers.ts";

const KILLS = 210;
const SLOTS = 4;
const SLOT_BYTES = 4_096;
const RECORD_BYTES = 104;
const STAGE = 5;
/** Most events that are sent between two deaths. */
const LIFE_EVENTS = 400;
/** Of a thread that was asked to end. */
const END_MS = 10_000;

Deno.test(`CommitJournal loses and repeats nothing over ${KILLS} deaths of a worker`, async () => {
  const seed = Random.freshSeed();
  const random = new Random(seed);
  const options = { policy: "block" as const, slots: SLOTS, slotBytes: SLOT_BYTES };
  const input = new SharedChannel(SharedChannel.create({ name: "in", ...options }));
  const output = new SharedChannel(SharedChannel.create({ name: "out", ...options }));
  const journal = CommitJournal.create({ worker: STAGE, counters: 2, outputs: [output] });
  using sender = input.openSender(0);
  using receiver = output.openReceiver(1);
  const batch = new EventBatch(SLOT_BYTES);
  const data = new Uint8Array(RECORD_BYTES);
  let sent = 0, arrived = 0, expected = 0, repeats = 0;

  const feed = (until: number) => {
    for (; sent < until; sent++) {
      new DataView(data.buffer).setUint32(16, sent, true);
      const record = { data, offset: 0, lengthBytes: RECORD_BYTES, ring: 0, category: 0, priority: 0, process: null };
      if (!sender.append(record)) break;
    }
    sender.flush();
  };
  const take = () => {
    while (receiver.receive(batch)) {
      for (let i = 0; i < batch.count; i++) {
        while (!passes(expected)) expected++;
        assertEquals(batch.uid(i), expected++, `TEST_SEED=${seed}`);
      }
      arrived += batch.count;
      receiver.commit();
    }
  };

  for (let kill = 0; kill <= KILLS; kill++) {
    const last = kill === KILLS;
    const bySelf = !last && random.below(2) === 0;
    const thread = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL("./support/mortal_worker.ts", import.meta.url), { type: "module" });
    let failed = "";
    const died = () => thread[0] !== 0 && threadEnded(thread[0]);
    try {
      worker.onerror = (event) => {
        event.preventDefault();
        failed = event.message;
      };
      const request: MortalWorkerRequest = {
        input: input.description,
        output: output.description,
        journal,
        worker: STAGE,
        steps: bySelf ? random.below(60) : null,
        thread,
      };
      worker.postMessage(request);
      const until = sent + LIFE_EVENTS;
      const killAfter = arrived + random.below(LIFE_EVENTS / 2);
      while (thread[0] === 0 && failed === "") await delay(1);
      for (const deadline = performance.now() + END_MS; !died() && (last || bySelf || arrived < killAfter);) {
        assert(performance.now() < deadline, `TEST_SEED=${seed}: nothing moves: ${JSON.stringify(output.stats)}`);
        feed(until);
        take();
        if (last && sent === until && input.stats.inFlight === 0 && output.stats.inFlight === 0) break;
        // One that dies by itself needs work until it does.
        if (bySelf && sent === until && input.stats.inFlight === 0) feed(sent + 50);
        await delay(random.below(3));
      }
    } finally {
      worker.terminate();
    }
    for (const deadline = performance.now() + END_MS; !threadEnded(thread[0]);) {
      assert(performance.now() < deadline, "the thread has not ended");
      await delay(1);
    }
    if (output.uncommitted(STAGE) + input.uncommitted(STAGE) > 0) repeats++;
    assertEquals(CommitJournal.recover(journal, { inputs: [input], outputs: [output] }), 0);
    const [seen, passed] = CommitJournal.counters(journal);
    assertEquals(input.stats.received, seen);
    assertEquals(output.stats.sent, passed);
    assertEquals(input.stats.sent, seen + input.stats.inFlight);
    assertEquals(failed, "");
  }
  take();
  assertEquals(sent, input.stats.received);
  assertEquals(arrived, Array.from({ length: sent }, (_, i) => i).filter(passes).length);
  assertEquals(output.stats, { sent: arrived, received: arrived, dropped: 0, inFlight: 0, fill: 0 });
  // The deaths did hit workers in the middle of a batch.
  assertGreater(repeats, KILLS / 10);
});
