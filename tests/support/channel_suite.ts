/**
 * What every channel keeps, as tests over one made by the caller: a model of senders and receivers in one thread, taken
 * through random steps, then real workers.
 */
import { assert, assertEquals, assertFalse, assertGreater, assertLessOrEqual, assertThrows } from "../assert.ts";
import { EVENT } from "../../lib/wire/layouts.gen.ts";
import {
  type Channel,
  ENVELOPE_MAX_BYTES,
  OVERFLOW_POLICIES,
  type OverflowPolicy,
} from "../../lib/pipeline/channel/channel.ts";
import { ENVELOPE_BYTES, EventBatch } from "../../lib/events/event_batch.ts";
import { encodeProcess } from "../../lib/processes/process_codec.ts";
import type { ProcessInfo } from "../../lib/processes/process_info.ts";
import { Random } from "./random.ts";
import type { ChannelWorkerReport, ChannelWorkerRequest } from "./channel_worker.ts";

/** A channel for a test, and what else it holds. */
export interface ChannelFixture extends Disposable {
  channel: Channel;
  /** For workers: goes through postMessage. */
  description: ChannelWorkerRequest["channel"];
  batchBytes: number;
}

export type MakeChannel = (policy: OverflowPolicy) => ChannelFixture;

const RECORD_MAX_BYTES = 1_456;

/** Writes a record whose every byte depends on its sender and sequence. */
export function fillRecord(record: Uint8Array<ArrayBuffer>, sender: number, sequence: number): void {
  for (let i = 0; i < record.length; i++) record[i] = sender * 31 + sequence * 7 + i;
  const view = new DataView(record.buffer, record.byteOffset);
  view.setUint32(EVENT.fields.pid.offset, sender, true);
  view.setUint32(EVENT.fields.uid.offset, sequence, true);
}

function processOf(sequence: number): ProcessInfo {
  const fields = {
    pid: sequence,
    startNs: sequence * 1000,
    name: `name ${sequence}`,
    ppid: 1,
    parentName: "init",
    exe: `/usr/bin/${sequence}`,
    uid: 0,
    user: "root",
    containerId: "",
    podUid: "",
  };
  return { ...fields, encoded: encodeProcess(fields) };
}

/** Throws unless event `i` is what `fillRecord` wrote, with the columns that `Model.append` gave it. */
function checkEvent(batch: EventBatch, i: number): { sender: number; sequence: number } {
  const [sender, sequence] = [batch.pid(i), batch.uid(i)];
  const expected = new Uint8Array(batch.lengths[i]);
  fillRecord(expected, sender, sequence);
  assertEquals(batch.bytes.subarray(batch.offsets[i], batch.offsets[i] + batch.lengths[i]), expected);
  assertEquals(batch.ring[i], sequence % 4);
  assertEquals(batch.category[i], sequence % 5);
  assertEquals(batch.priority[i], sequence % 4);
  assertEquals(batch.process[i]?.exe, sequence % 3 === 0 ? `/usr/bin/${sequence}` : undefined);
  return { sender, sequence };
}

const SENDERS = 3;
const RECEIVERS = 2;
const FIRST_RECEIVER = SENDERS;

/** Senders and receivers of one channel in one thread, with what they must have done. */
class Model implements Disposable {
  readonly #random: Random;
  readonly #channel: Channel;
  readonly #owned: DisposableStack;
  readonly #senders;
  readonly #receivers;
  /** Next sequence, and the last that was received, by sender. */
  readonly #next = new Array<number>(SENDERS).fill(0);
  readonly #last = new Array<number>(SENDERS).fill(-1);
  readonly batches: EventBatch[] = [];
  /** Events committed of each receiver's batch; -1 when it has none. */
  readonly #committed = new Array<number>(RECEIVERS).fill(-1);
  readonly #memory = new Uint8Array(RECORD_MAX_BYTES + 16);
  received = 0;
  refusals = 0;

  constructor(fixture: ChannelFixture, random: Random) {
    using stack = new DisposableStack();
    const { channel } = fixture;
    this.#random = random;
    this.#channel = channel;
    this.#senders = Array.from({ length: SENDERS }, (_, i) => stack.use(channel.openSender(i)));
    this.#receivers = Array.from(
      { length: RECEIVERS },
      (_, i) => stack.use(channel.openReceiver(FIRST_RECEIVER + i)),
    );
    for (let i = 0; i < RECEIVERS; i++) this.batches.push(new EventBatch(fixture.batchBytes));
    this.#owned = stack.move();
  }

  get appended(): number {
    return this.#next.reduce((sum, next) => sum + next, 0);
  }

  append(sender: number): boolean {
    const sequence = this.#next[sender];
    // Now and then the shortest and the longest, and at any offset.
    const lengthBytes = this.#random.pick([
      EVENT.size,
      RECORD_MAX_BYTES,
      EVENT.size + this.#random.below(RECORD_MAX_BYTES - EVENT.size),
      EVENT.size + 8 * this.#random.below(20),
    ]);
    const offset = this.#random.below(16);
    fillRecord(this.#memory.subarray(offset, offset + lengthBytes), sender, sequence);
    const taken = this.#senders[sender].append({
      data: this.#memory,
      offset,
      lengthBytes,
      ring: sequence % 4,
      category: sequence % 5,
      priority: sequence % 4,
      process: sequence % 3 === 0 ? processOf(sequence) : null,
    });
    this.#memory.fill(0xee);
    if (taken) this.#next[sender]++;
    else this.refusals++;
    return taken;
  }

  flush(sender: number): void {
    this.#senders[sender].flush();
  }

  receive(receiver: number): boolean {
    if (this.#committed[receiver] >= 0) return false;
    const batch = this.batches[receiver];
    if (!this.#receivers[receiver].receive(batch)) {
      assertEquals(batch.count, 0);
      return false;
    }
    assertGreater(batch.count, 0);
    for (let i = 0; i < batch.count; i++) {
      const { sender, sequence } = checkEvent(batch, i);
      assertGreater(sequence, this.#last[sender], "order of a sender");
      this.#last[sender] = sequence;
    }
    this.received += batch.count;
    this.#committed[receiver] = 0;
    return true;
  }

  commit(receiver: number, partly: boolean): void {
    const done = this.#committed[receiver];
    if (done < 0) return;
    const { count } = this.batches[receiver];
    const more = partly ? done + this.#random.below(count - done) : count;
    this.#receivers[receiver].commit(partly ? more : undefined);
    this.#committed[receiver] = more === count ? -1 : more;
  }

  /** Whether the channel's numbers add up, and what is held is in flight. */
  checkStats(): void {
    const { sent, received, dropped, inFlight, fill } = this.#channel.stats;
    assertEquals(sent, received + dropped + inFlight);
    let held = 0;
    for (let i = 0; i < RECEIVERS; i++) {
      const uncommitted = this.#committed[i] < 0 ? 0 : this.batches[i].count - this.#committed[i];
      assertEquals(this.#channel.uncommitted(FIRST_RECEIVER + i), uncommitted);
      held += uncommitted;
    }
    assertEquals(received, this.received - held);
    assertLessOrEqual(held, inFlight);
    assertLessOrEqual(fill, 1);
  }

  /** Sends and receives all that is left. */
  drain(): void {
    for (let i = 0; i < SENDERS; i++) this.flush(i);
    for (let i = 0; i < RECEIVERS; i++) this.commit(i, false);
    while (this.receive(0)) this.commit(0, false);
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

/** One run of random steps. */
function runModel(make: MakeChannel, policy: OverflowPolicy, seed: number): { refusals: number; dropped: number } {
  const random = new Random(seed);
  using fixture = make(policy);
  using model = new Model(fixture, random);
  // Phases in which senders, or receivers, are the faster ones: full and empty are met time and again.
  for (let phase = 0; phase < 12; phase++) {
    const sends = random.pick([1, 4, 12]);
    for (let step = 0; step < 120; step++) {
      const choice = random.below(sends + 3);
      if (choice < sends) model.append(random.below(SENDERS));
      else if (choice === sends) model.flush(random.below(SENDERS));
      else if (choice === sends + 1) model.receive(random.below(RECEIVERS));
      else model.commit(random.below(RECEIVERS), random.below(3) === 0);
      model.checkStats();
    }
  }
  model.drain();
  model.checkStats();
  const { sent, received, dropped, inFlight, fill } = fixture.channel.stats;
  assertEquals(sent, model.appended);
  assertEquals(received, model.received);
  assertEquals(dropped, model.appended - model.received);
  assertEquals(inFlight, 0);
  assertEquals(fill, 0);
  return { refusals: model.refusals, dropped };
}

/** Runs senders and receivers in workers until all is received. */
async function runWorkers(make: MakeChannel, policy: OverflowPolicy, recordsEach: number): Promise<void> {
  using fixture = make(policy);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const workers: Worker[] = [];
  const run = (request: ChannelWorkerRequest) => {
    const worker = new Worker(new URL("./channel_worker.ts", import.meta.url), { type: "module" });
    workers.push(worker);
    return new Promise<ChannelWorkerReport>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage(request);
    });
  };
  try {
    const channel = fixture.description;
    const request = { channel, batchBytes: fixture.batchBytes, stop, recordsEach };
    const receiving = [0, 1].map((i) => run({ ...request, role: "receive", worker: 10 + i }));
    const sending = [0, 1].map((i) => run({ ...request, role: "send", worker: i }));
    await Promise.all(sending);
    Atomics.store(stop, 0, 1);
    const reports = await Promise.all(receiving);
    assertEquals(reports.flatMap(({ wrong }) => wrong), []);
    const received = reports.reduce((sum, report) => sum + report.records, 0);
    const stats = fixture.channel.stats;
    assertEquals(stats.sent, 2 * recordsEach);
    assertEquals(stats.received, received);
    assertEquals(stats.dropped, 2 * recordsEach - received);
    assertEquals(stats.inFlight, 0);
    if (policy === "block") assertEquals(stats.dropped, 0);
    const sum = reports.reduce((sum, report) => sum + report.sum, 0);
    const all = recordsEach * (recordsEach - 1);
    if (policy === "block") assertEquals(sum, all);
    else assertLessOrEqual(sum, all);
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

function record(lengthBytes: number, process: ProcessInfo | null = null) {
  return { data: new Uint8Array(lengthBytes), offset: 0, lengthBytes, ring: 0, category: 0, priority: 1, process };
}

/**
 * Registers the tests.
 *
 * @param name of the class
 * @param make a channel that a few dozen records fill
 */
export function testChannel(
  name: string,
  make: MakeChannel,
  options: { rounds: number; workerRecords: number },
): void {
  for (const policy of OVERFLOW_POLICIES) {
    Deno.test(`${name} (${policy}) keeps records, their order and its numbers through random steps`, () => {
      const first = Random.freshSeed();
      let refusals = 0, dropped = 0;
      for (let round = 0; round < options.rounds; round++) {
        const seed = first + round;
        try {
          const outcome = runModel(make, policy, seed);
          refusals += outcome.refusals;
          dropped += outcome.dropped;
        } catch (cause) {
          throw new Error(`TEST_SEED=${seed}: ${(cause as Error).message}`, { cause });
        }
      }
      // The steps did meet a full channel.
      assertEquals(refusals > 0, policy === "block");
      assertEquals(dropped > 0, policy !== "block");
    });

    Deno.test(`${name} (${policy}) accounts for every record between workers`, async () => {
      await runWorkers(make, policy, options.workerRecords);
    });
  }

  Deno.test(`${name} hands a record that is flushed to a waiting receiver at once`, async () => {
    using fixture = make("block");
    using sender = fixture.channel.openSender(0);
    using receiver = fixture.channel.openReceiver(1);
    const batch = new EventBatch(fixture.batchBytes);
    assertFalse(receiver.receive(batch));
    const waiting = receiver.waitReadable(20_000);
    assert(sender.append(record(96)));
    sender.flush();
    const start = performance.now();
    assert(await waiting);
    assertLessOrEqual(performance.now() - start, 1_000);
    assert(receiver.receive(batch));
    receiver.commit();
  });

  Deno.test(`${name} lets a wait run out and leaves nothing behind`, async () => {
    using fixture = make("block");
    using sender = fixture.channel.openSender(0);
    using receiver = fixture.channel.openReceiver(1);
    const batch = new EventBatch(fixture.batchBytes);
    assertFalse(receiver.receive(batch));
    assertFalse(await receiver.waitReadable(10));
    while (sender.append(record(1_000)));
    sender.flush();
    assertFalse(await sender.waitWritable(10));
  });

  Deno.test(`${name} lets a sender that waits for room go on once there is some`, async () => {
    using fixture = make("block");
    using sender = fixture.channel.openSender(0);
    using receiver = fixture.channel.openReceiver(1);
    const batch = new EventBatch(fixture.batchBytes);
    while (sender.append(record(1_000)));
    sender.flush();
    const waiting = sender.waitWritable(20_000);
    assert(receiver.receive(batch));
    receiver.commit();
    assert(await waiting);
    assert(sender.append(record(1_000)));
    sender.flush();
  });

  Deno.test(`${name} refuses what no channel can carry, and a second batch before the first is committed`, () => {
    using fixture = make("block");
    using sender = fixture.channel.openSender(0);
    using receiver = fixture.channel.openReceiver(1);
    const batch = new EventBatch(fixture.batchBytes);
    assertThrows(() => sender.append(record(EVENT.size - 8)), RangeError, "88 bytes");
    assertThrows(() => sender.append(record(ENVELOPE_MAX_BYTES)), RangeError, "Cannot send");
    assert(sender.append(record(ENVELOPE_MAX_BYTES - ENVELOPE_BYTES)));
    sender.flush();
    assert(receiver.receive(batch));
    assertEquals(batch.lengths[0], ENVELOPE_MAX_BYTES - ENVELOPE_BYTES);
    assertThrows(() => receiver.receive(batch), TypeError, "not committed");
    receiver.commit();
    assertThrows(() => receiver.receive(new EventBatch(1_000)), RangeError, "a batch of 1000");
  });
}
