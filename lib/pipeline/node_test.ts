import { assertEquals } from "../../tests/assert.ts";
import { eventRecord } from "../../tests/support/records.ts";
import { FIRST_NODE_WORKER, type OutgoingRecord, SOURCE_WORKER } from "./channel/channel.ts";
import { CommitJournal } from "./channel/commit_journal.ts";
import { EventBatch } from "../events/event_batch.ts";
import { BUCKETS, FanOut } from "./channel/fan_out.ts";
import { Node, type NodeHooks } from "./node.ts";
import { batchBytesOf, openChannel, openSenders } from "./channel/open_channel.ts";
import { createJournal, openNode } from "./node_channels.ts";
import type { FailedEvent, NodePlan } from "./pipeline_messages.ts";
import type { Lane, Lanes } from "./channel/lanes.ts";
import { SharedChannel } from "./channel/shared_channel.ts";
import type { Stage } from "./stage.ts";

const SLOT_BYTES = 4_096;
const READER = FIRST_NODE_WORKER + 1;

/** One that refuses the pids it is told to, and lets all others through. */
class Picky implements Stage {
  readonly name = "picky";
  readonly #refused: readonly number[];

  constructor(refused: readonly number[]) {
    this.#refused = refused;
  }

  run(batch: EventBatch): void {
    for (; batch.next < batch.count; batch.next++) {
      const pid = batch.pid(batch.next);
      if (this.#refused.includes(pid)) throw new Error(`Cannot bear ${pid}`);
    }
  }
}

function lanes(): Lanes {
  const make = (lane: Lane) => SharedChannel.create({ name: lane, policy: "block", slots: 2, slotBytes: SLOT_BYTES });
  return { urgent: make("urgent"), bulk: make("bulk") };
}

/** A node between two hops of two slots a lane, or at the end. It runs until `stop`. */
class Bench implements Disposable {
  readonly counters: Readonly<Float64Array>;
  readonly letters: FailedEvent[] = [];
  /** Pids, by batch, where nothing comes after the node. */
  readonly arrived: number[][] = [];
  /** Lanes that may be taken from. */
  readonly ready: Record<Lane, boolean> = { urgent: true, bulk: true };
  readonly #owned = new DisposableStack();
  readonly #input = lanes();
  readonly #output: Lanes | null;
  readonly #senders: ReturnType<typeof openSenders>;
  readonly #node: Node;
  readonly #ended: Promise<void>;
  #wake: () => void = () => {};

  constructor({ isLast = false, refused = [] as number[] } = {}) {
    this.#output = isLast ? null : lanes();
    const hop = { input: this.#input, outputs: this.#output === null ? [] : [this.#output] };
    const plan: NodePlan = {
      ...hop,
      name: "bench",
      worker: FIRST_NODE_WORKER,
      stages: [],
      distribution: "hash",
      fanOut: new Uint8Array(new SharedArrayBuffer(BUCKETS)),
      journal: createJournal(FIRST_NODE_WORKER, hop),
      thread: new Int32Array(new SharedArrayBuffer(4)),
    };
    this.counters = CommitJournal.counters(plan.journal);
    this.#senders = openSenders(this.#owned, this.#input, SOURCE_WORKER);
    const { ends, counters } = openNode(this.#owned, plan);
    const fanOut = new FanOut(plan.distribution, plan.fanOut);
    const batchBytes = batchBytesOf(plan.input);
    this.#node = new Node([new Picky(refused)], { ...ends, fanOut }, this.#hooks(), { counters, batchBytes });
    this.#ended = this.#node.run();
  }

  #hooks(): NodeHooks {
    return {
      failed: (letters) => void this.letters.push(...letters),
      arrived: (batch) => void this.arrived.push(Array.from({ length: batch.count }, (_, i) => batch.pid(i))),
      ready: (lane) => this.ready[lane],
      between: (idle) => idle ? new Promise((resolve) => this.#wake = resolve) : Promise.resolve(),
      pause: () => turn(),
      delay: () => null,
    };
  }

  /** Events of these pids, each in a batch of its own. */
  send(lane: Lane, ...pids: number[]): void {
    for (const pid of pids) {
      if (!this.#senders[lane].append(recordOf(pid))) throw new Error(`Cannot send ${pid}: no room`);
      this.#senders[lane].flush();
    }
  }

  /** Fills the output's lane from elsewhere, so that the node finds no room. */
  fillOutput(lane: Lane): void {
    using sender = openChannel(this.#output![lane]).openSender(SOURCE_WORKER);
    for (let slot = 0; slot < 2; slot++) {
      sender.append(recordOf(0));
      sender.flush();
    }
  }

  /** Takes what has come through a lane. @returns its pids */
  take(lane: Lane): number[] {
    using receiver = openChannel(this.#output![lane]).openReceiver(READER);
    const batch = new EventBatch(SLOT_BYTES);
    const pids: number[] = [];
    while (receiver.receive(batch)) {
      for (let i = 0; i < batch.count; i++) pids.push(batch.pid(i));
      receiver.commit();
    }
    return pids;
  }

  /** As `taken` of the main thread does. */
  wake(): void {
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#node.stop();
    this.#wake();
    await this.#ended;
    // Waits that it was at end by themselves, after 100 ms.
    await new Promise((resolve) => setTimeout(resolve, 150));
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

function recordOf(pid: number): OutgoingRecord {
  const data = eventRecord("process_exit", { pid });
  return { data, offset: 0, lengthBytes: data.length, ring: 1, category: 0, priority: 0, process: null };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

async function until(reached: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (reached()) return;
    await turn();
  }
  throw new Error("Cannot get there");
}

Deno.test("Node takes urgent batches before bulk ones", async () => {
  using bench = new Bench({ isLast: true });
  bench.send("bulk", 1, 2);
  bench.send("urgent", 8, 9);
  await bench.stop();
  assertEquals(bench.arrived.map(([pid]) => pid), [8, 9, 1, 2]);
  assertEquals([...bench.counters.slice(0, 4)], [4, 0, 0, 4]);
});

Deno.test("Node lets urgent batches through while a bulk one waits for room, and counts each event once", async () => {
  using bench = new Bench({ refused: [3] });
  bench.fillOutput("bulk");
  bench.send("bulk", 1);
  await until(() => bench.counters[4] > 0);
  bench.send("urgent", 8, 3);
  await until(() => bench.counters[0] === 2);
  bench.send("urgent", 9);
  await until(() => bench.counters[0] === 3);
  assertEquals(bench.take("urgent"), [8, 9], "none of them waited for room in the other lane");
  assertEquals([...bench.counters.slice(0, 4)], [3, 0, 1, 2]);

  assertEquals(bench.take("bulk"), [0, 0]);
  await bench.stop();
  assertEquals(bench.take("bulk"), [1]);
  assertEquals([...bench.counters.slice(0, 4)], [4, 0, 1, 3]);
  assertEquals(bench.letters.map(({ error, attempts }) => [error, attempts]), [["Cannot bear 3", 1]]);
});

Deno.test("Node takes nothing from a lane whose reports are not taken, and does not end over what is in it", async () => {
  using bench = new Bench({ isLast: true });
  Object.assign(bench.ready, { urgent: false, bulk: false });
  bench.send("urgent", 8);
  bench.send("bulk", 1);
  let isStopped = false;
  const stopped = bench.stop().then(() => isStopped = true);
  await turn();
  assertEquals([bench.arrived, isStopped], [[], false]);
  bench.ready.urgent = true;
  bench.wake();
  await until(() => bench.arrived.length > 0);
  await turn();
  assertEquals([bench.arrived, isStopped], [[[8]], false]);
  bench.ready.bulk = true;
  bench.wake();
  await stopped;
  assertEquals(bench.arrived, [[8], [1]]);
});
