/** The contract of a channel over a real queue map. */
import { assert, assertEquals, assertFalse } from "./assert.ts";
import { QueueChannel } from "../lib/pipeline/channel/queue_channel.ts";
import { ENVELOPE_MAX_BYTES, type OverflowPolicy } from "../lib/pipeline/channel/channel.ts";
import { CommitJournal } from "../lib/pipeline/channel/commit_journal.ts";
import { EventBatch } from "../lib/events/event_batch.ts";
import { decodeProcess } from "../lib/processes/process_codec.ts";
import { openSystemLibbpf } from "./support/bpf.ts";
import { testChannel } from "./support/channel_suite.ts";

const RECORDS_MAX = 24;
const BATCH_BYTES = 8_192;

function make(policy: OverflowPolicy) {
  using stack = new DisposableStack();
  const libbpf = stack.use(openSystemLibbpf());
  const options = { name: "ebpfmon_test_queue", policy, recordsMax: RECORDS_MAX, decodeProcess };
  const channel = stack.use(QueueChannel.create(libbpf, options));
  const owned = stack.move();
  return {
    channel,
    description: channel.description,
    batchBytes: BATCH_BYTES,
    [Symbol.dispose]: () => owned.dispose(),
  };
}

testChannel("QueueChannel", make, { rounds: 6, workerRecords: 20_000 });

function record() {
  const data = new Uint8Array(96);
  return { data, offset: 0, lengthBytes: 96, ring: 0, category: 0, priority: 0, process: null };
}

Deno.test("QueueChannel takes exactly as many records as it was made for", () => {
  using fixture = make("block");
  using sender = fixture.channel.openSender(0);
  let taken = 0;
  while (sender.append(record())) taken++;
  assertEquals(taken, RECORDS_MAX);
  assertEquals(fixture.channel.stats, { sent: taken, received: 0, dropped: 0, inFlight: taken, fill: 1 });
});

Deno.test("QueueChannel counts what a dead worker had received as dropped, once", () => {
  using fixture = make("block");
  const { channel } = fixture;
  using sender = channel.openSender(0);
  const dead = channel.openReceiver(1);
  const batch = new EventBatch(10 * ENVELOPE_MAX_BYTES);
  for (let i = 0; i < 5; i++) assert(sender.append(record()));
  assert(dead.receive(batch));
  assertEquals(batch.count, 5);
  dead.commit(2);
  assertEquals(channel.uncommitted(1), 3);
  assertEquals(channel.recover(1), 3);
  assertEquals(channel.recover(1), 0);
  assertEquals(channel.stats, { sent: 5, received: 2, dropped: 3, inFlight: 0, fill: 0 });
  using successor = channel.openReceiver(1);
  assertFalse(successor.receive(batch));
  assert(sender.append(record()));
  assert(successor.receive(batch));
  assertEquals(channel.uncommitted(1), 1);
  successor.commit();
  assertEquals(channel.stats, { sent: 6, received: 3, dropped: 3, inFlight: 0, fill: 0 });
});

Deno.test("CommitJournal works over queues too, without its promise", () => {
  using fixture = make("block");
  using output = make("block");
  using feeder = fixture.channel.openSender(0);
  using receiver = fixture.channel.openReceiver(1);
  using sender = output.channel.openSender(1);
  const journal = CommitJournal.create({ worker: 1, counters: 1, outputs: [output.channel] });
  const commits = new CommitJournal(journal, { inputs: [receiver], outputs: [sender] });
  const batch = new EventBatch(10 * ENVELOPE_MAX_BYTES);
  for (let i = 0; i < 3; i++) assert(feeder.append(record()));
  assert(receiver.receive(batch));
  for (let i = 0; i < batch.count; i++) assert(sender.append(record()));
  commits.commit([3], 0);
  assertEquals([...CommitJournal.counters(journal)], [3]);
  assertEquals(fixture.channel.stats, { sent: 3, received: 3, dropped: 0, inFlight: 0, fill: 0 });
  assertEquals(output.channel.stats.inFlight, 3);
  assert(receiver.receive(batch) === false);
  assertEquals(CommitJournal.recover(journal, { inputs: [fixture.channel], outputs: [output.channel] }), 0);
});
