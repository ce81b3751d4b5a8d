import { assert, assertEquals, assertFalse, assertThrows } from "../../../tests/assert.ts";
import { testChannel } from "../../../tests/support/channel_suite.ts";
import { ENVELOPE_MAX_BYTES, type OverflowPolicy } from "./channel.ts";
import { EventBatch } from "../../events/event_batch.ts";
import { decodeProcess, PROCESS_BYTES_MAX } from "../../processes/process_codec.ts";
import { SharedChannel } from "./shared_channel.ts";

const SLOTS = 6;
const SLOT_BYTES = 4_096;
/** Soon after these a slot's number turns negative, starts again from 0, and so does the word that counts them. */
const FIRST_SEQUENCES = [2 ** 21 - 20, 2 ** 22 - 20, 2 ** 32 - 20];
let made = 0;

function make(policy: OverflowPolicy) {
  const firstSequence = FIRST_SEQUENCES[made++ % FIRST_SEQUENCES.length];
  const options = { name: "test", policy, slots: SLOTS, slotBytes: SLOT_BYTES, firstSequence };
  const description = SharedChannel.create(options);
  const channel = new SharedChannel(description, { decodeProcess });
  return { channel, description, batchBytes: SLOT_BYTES, [Symbol.dispose]: () => {} };
}

testChannel("SharedChannel", make, { rounds: 10, workerRecords: 50_000 });

function record(lengthBytes = 96) {
  const data = new Uint8Array(lengthBytes);
  return { data, offset: 0, lengthBytes, ring: 0, category: 0, priority: 0, process: null };
}

Deno.test("ENVELOPE_MAX_BYTES holds the longest record of the kernel with the longest process", () => {
  assert(ENVELOPE_MAX_BYTES >= 8 + 1_456 + PROCESS_BYTES_MAX);
});

Deno.test("SharedChannel.create() refuses slots that could not hold every record", () => {
  const options = { name: "small", policy: "block" as const, slots: 4, slotBytes: ENVELOPE_MAX_BYTES - 8 };
  assertThrows(() => SharedChannel.create(options), RangeError, "bytes a slot");
  assertThrows(() => SharedChannel.create({ ...options, slots: 1, slotBytes: 4_096 }), RangeError, "1 slots");
});

Deno.test("SharedChannel drops the oldest even while a receiver holds a batch from before it", () => {
  const { channel } = make("drop_oldest");
  using sender = channel.openSender(0);
  using receiver = channel.openReceiver(1);
  const batch = new EventBatch(SLOT_BYTES);
  const send = (uid: number) => {
    const one = record();
    new DataView(one.data.buffer).setUint32(16, uid, true);
    assert(sender.append(one));
    sender.flush();
  };
  send(0);
  assert(receiver.receive(batch));
  for (let uid = 1; uid < 10; uid++) send(uid);
  assertEquals(channel.stats, { sent: 10, received: 0, dropped: 4, inFlight: 6, fill: 1 });
  receiver.commit();
  const uids: number[] = [];
  while (receiver.receive(batch)) {
    for (let i = 0; i < batch.count; i++) uids.push(batch.uid(i));
    receiver.commit();
  }
  assertEquals(uids, [5, 6, 7, 8, 9]);
});

Deno.test("SharedChannel hands what a dead worker held to its successor first, less what was committed", () => {
  const { channel } = make("block");
  using sender = channel.openSender(0);
  const dead = channel.openReceiver(1);
  const batch = new EventBatch(SLOT_BYTES);
  const send = (...uids: number[]) => {
    for (const uid of uids) {
      const one = record();
      new DataView(one.data.buffer).setUint32(16, uid, true);
      sender.append(one);
    }
    sender.flush();
  };
  send(1, 2, 3);
  send(4, 5);
  assert(dead.receive(batch));
  dead.commit(1);
  assertEquals(channel.uncommitted(1), 2);
  channel.recover(1);
  assertEquals(channel.stats, { sent: 5, received: 1, dropped: 0, inFlight: 4, fill: 2 / SLOTS });

  using other = channel.openReceiver(2);
  using successor = channel.openReceiver(1);
  assert(successor.receive(batch));
  assertEquals([batch.count, batch.uid(0), batch.uid(1), batch.attempts], [2, 2, 3, 1]);
  successor.commit(1);
  channel.recover(1);
  assert(other.receive(batch));
  assertEquals([batch.count, batch.uid(0), batch.attempts], [2, 4, 0]);
  other.commit();
  using last = channel.openReceiver(1);
  assert(last.receive(batch));
  assertEquals([batch.count, batch.uid(0), batch.attempts], [1, 3, 2]);
  last.commit();
  assertFalse(last.receive(batch));
  assertEquals(channel.stats, { sent: 5, received: 5, dropped: 0, inFlight: 0, fill: 0 });
});

Deno.test("SharedChannel forgets what a dead worker had not published, and gives its room back", async () => {
  const { channel } = make("block");
  const dead = channel.openSender(0);
  while (dead.append(record(1_000)));
  const published = channel.stats.sent;
  using sender = channel.openSender(1);
  assertFalse(sender.append(record()));
  using receiver = channel.openReceiver(2);
  const batch = new EventBatch(SLOT_BYTES);
  while (receiver.receive(batch)) receiver.commit();
  dead.append(record());
  const { sent, fill } = channel.stats;
  assertEquals([sent, fill], [published, 1 / SLOTS]);
  const waiting = sender.waitWritable(5_000);
  channel.recover(0);
  assert(await waiting);
  assertEquals(channel.stats.fill, 0);
});

Deno.test("SharedChannel survives a death at every step of sending, evicting and receiving, and no count is lost", () => {
  // Dies at the n-th step; steps until there are no more to die at.
  let deaths = 0;
  for (let fatal = 0, died = true; died; fatal++) {
    let left = fatal;
    died = false;
    const step = () => {
      if (left-- === 0) {
        died = true;
        throw new Error("death");
      }
    };
    const { description } = make("drop_oldest");
    const mortal = new SharedChannel(description, { step });
    const batch = new EventBatch(SLOT_BYTES);
    let received = 0;
    try {
      const sender = mortal.openSender(0);
      const receiver = mortal.openReceiver(0);
      for (let i = 0; i < 3 * SLOTS; i++) {
        sender.append(record());
        sender.append(record());
        sender.flush();
        if (i % 5 === 0 && receiver.receive(batch)) receiver.commit();
      }
    } catch (error) {
      assertEquals((error as Error).message, "death");
    }
    const channel = new SharedChannel(description);
    channel.recover(0);
    const { sent, received: before, dropped, inFlight } = channel.stats;
    assertEquals(sent, before + dropped + inFlight, `step ${fatal}`);
    using receiver = channel.openReceiver(0);
    while (receiver.receive(batch)) {
      received += batch.count;
      receiver.commit();
    }
    assertEquals(received, inFlight);
    assertEquals(channel.stats, { sent, received: before + received, dropped, inFlight: 0, fill: 0 });
    deaths += died ? 1 : 0;
  }
  assert(deaths > 100, `${deaths} deaths`);
});
