import { assert, assertEquals, assertThrows } from "../../../tests/assert.ts";
import { CommitJournal } from "./commit_journal.ts";
import { EventBatch } from "../../events/event_batch.ts";
import { SharedChannel } from "./shared_channel.ts";

const SLOT_BYTES = 4_096;
const WORKER = 7;
const EVENTS = 120;

function makeChannel(name: string, slots: number) {
  return SharedChannel.create({ name, policy: "block", slots, slotBytes: SLOT_BYTES });
}

function record(uid: number) {
  const data = new Uint8Array(96);
  new DataView(data.buffer).setUint32(16, uid, true);
  return { data, offset: 0, lengthBytes: 96, ring: 0, category: 0, priority: 0, process: null };
}

/** A stage's worker: leaves out every fifth event, spreads the others over two outputs. Dies where `step` throws. */
function work(parts: ReturnType<typeof makeParts>, step?: (name: string) => void): void {
  const input = new SharedChannel(parts.input, { step });
  const outputs = parts.outputs.map((output) => new SharedChannel(output, { step }));
  const receiver = input.openReceiver(WORKER);
  const senders = outputs.map((output) => output.openSender(WORKER, { staged: true }));
  const journal = new CommitJournal(parts.journal, { inputs: [receiver], outputs: senders }, { step });
  const [seen, passed] = CommitJournal.counters(parts.journal);
  const counters = [seen, passed];
  const batch = new EventBatch(SLOT_BYTES);
  while (receiver.receive(batch)) {
    for (let i = 0; i < batch.count; i++) {
      // In two parts, as where an output has no room.
      if (i === 11) journal.commit(counters, 0, i);
      const uid = batch.uid(i);
      counters[0]++;
      if (uid % 5 === 0) continue;
      counters[1]++;
      assert(senders[uid % 2].append(record(uid)));
    }
    journal.commit(counters, 0);
  }
}

function makeParts() {
  const input = makeChannel("in", 8);
  const outputs = [makeChannel("even", 16), makeChannel("odd", 16)];
  const journal = CommitJournal.create({
    worker: WORKER,
    counters: 2,
    outputs: outputs.map((output) => new SharedChannel(output)),
  });
  using sender = new SharedChannel(input).openSender(0);
  for (let uid = 0; uid < EVENTS; uid++) {
    assert(sender.append(record(uid)));
    if (uid % 30 === 29) sender.flush();
  }
  sender.flush();
  return { input, outputs, journal };
}

function recover({ input, outputs, journal }: ReturnType<typeof makeParts>): void {
  const channels = {
    inputs: [new SharedChannel(input)],
    outputs: outputs.map((output) => new SharedChannel(output)),
  };
  assertEquals(CommitJournal.recover(journal, channels), 0);
  // Counters and channels agree: nothing was done by halves.
  const [seen, passed] = CommitJournal.counters(journal);
  assertEquals(channels.inputs[0].stats.received, seen);
  assertEquals(channels.outputs[0].stats.sent + channels.outputs[1].stats.sent, passed);
}

function arrived(description: ReturnType<typeof makeChannel>): number[] {
  using receiver = new SharedChannel(description).openReceiver(WORKER + 1);
  const batch = new EventBatch(SLOT_BYTES);
  const uids: number[] = [];
  while (receiver.receive(batch)) {
    for (let i = 0; i < batch.count; i++) uids.push(batch.uid(i));
    receiver.commit();
  }
  return uids;
}

const PASSED = Array.from({ length: EVENTS }, (_, uid) => uid).filter((uid) => uid % 5 !== 0);

Deno.test("CommitJournal does each step whole or not at all, wherever the worker dies", () => {
  const places = new Set<string>();
  let deaths = 0;
  for (let fatal = 0, died = true; died; fatal++) {
    const parts = makeParts();
    let left = fatal;
    died = false;
    try {
      work(parts, (name) => {
        if (left-- > 0) return;
        died = true;
        places.add(name);
        throw new Error("death");
      });
    } catch (error) {
      assertEquals((error as Error).message, "death");
      deaths++;
    }
    recover(parts);
    // A second time changes nothing.
    recover(parts);
    work(parts);
    assertEquals(parts.outputs.map(arrived), [0, 1].map((rest) => PASSED.filter((uid) => uid % 2 === rest)));
    assertEquals([...CommitJournal.counters(parts.journal)], [EVENTS, PASSED.length]);
    assertEquals(new SharedChannel(parts.input).stats.inFlight, 0);
    for (const channel of [parts.input, ...parts.outputs]) assertEquals(new SharedChannel(channel).stats.fill, 0);
  }
  assert(deaths > 100, `${deaths} deaths`);
  for (const place of ["written", "valid", "counters stored", "sealed", "published", "done", "applied", "cleared"]) {
    assert(places.has(place), place);
  }
});

Deno.test("CommitJournal survives deaths of those who finish a dead worker's step", () => {
  for (let fatal = 0; fatal < 60; fatal++) {
    const parts = makeParts();
    let left = 30;
    const die = () => {
      if (left-- <= 0) throw new Error("death");
    };
    assertThrows(() => work(parts, die), Error, "death");
    // The successor dies over the recovery itself, which takes the same steps.
    left = fatal;
    const channels = {
      inputs: [new SharedChannel(parts.input, { step: die })],
      outputs: parts.outputs.map((output) => new SharedChannel(output, { step: die })),
    };
    try {
      CommitJournal.recover(parts.journal, channels);
    } catch (error) {
      assertEquals((error as Error).message, "death");
    }
    recover(parts);
    work(parts);
    assertEquals(parts.outputs.map(arrived), [0, 1].map((rest) => PASSED.filter((uid) => uid % 2 === rest)));
    assertEquals([...CommitJournal.counters(parts.journal)], [EVENTS, PASSED.length]);
  }
});

Deno.test("CommitJournal counts what outputs refuse once, whether the step is done in one or two", () => {
  for (const dies of [false, true]) {
    const output = SharedChannel.create({ name: "out", policy: "drop_newest", slots: 2, slotBytes: SLOT_BYTES });
    const channel = new SharedChannel(output);
    const journal = CommitJournal.create({ worker: WORKER, counters: 1, outputs: [channel] });
    const sender = channel.openSender(WORKER, { staged: true });
    const step = (name: string) => {
      if (dies && name === "outputs published") throw new Error("death");
    };
    const ends = { inputs: [], outputs: [sender] };
    for (let uid = 0; uid < 100; uid++) sender.append(record(uid));
    try {
      new CommitJournal(journal, ends, { step }).commit([1], null);
    } catch {
      CommitJournal.recover(journal, { inputs: [], outputs: [channel] });
    }
    assertEquals([...CommitJournal.counters(journal)], [1]);
    const { sent, dropped, inFlight } = channel.stats;
    assertEquals(sent, 100);
    assertEquals(dropped, 100 - 2 * Math.floor(SLOT_BYTES / 104));
    assertEquals(sent, dropped + inFlight);
  }
});

Deno.test("CommitJournal and flush() do not mix", () => {
  const channel = new SharedChannel(makeChannel("out", 2));
  using sender = channel.openSender(0, { staged: true });
  assertThrows(() => sender.flush(), TypeError, "a journal publishes");
});
