/**
 * A node: one worker's part of a pipeline. It takes batches from its input, urgent ones first, runs its stages over
 * each batch, sends on the events that are left, and commits each step as a whole. A node has no worker, timer or
 * channel of its own making, so that tests can drive it; node_worker.ts gives it all of them.
 */
import type { Receiver, Sender } from "./channel/channel.ts";
import { EventBatch } from "../events/event_batch.ts";
import { type FanOut, HOLD } from "./channel/fan_out.ts";
import { LatencyHistogram } from "./latency_histogram.ts";
import type { FailedEvent, StageProgress } from "./pipeline_messages.ts";
import { type Lane, LANES } from "./channel/lanes.ts";
import { type Failure, runStage } from "./run_stage.ts";
import type { Stage } from "./stage.ts";

/**
 * Names of a node's counters in shared memory, in this order. All but `waits` count events since the start; `out` are
 * those that were sent on or, at the last node, arrived. `waits` counts waits for room: by it a node that waits is told
 * from one that hangs.
 */
export const NODE_COUNTERS = ["in", "filtered", "deadLettered", "out", "waits"] as const;

/** A batch in which so many workers died is not tried again: its events become dead letters. */
const ATTEMPTS_MAX = 2;

const NS_PER_MS = 1e6;

/** How long a wait for events or room may last before the node looks at all its channels again. */
const WAIT_MS = 100;

/** The ends of the channels that a node works between. */
export interface NodeEnds {
  receivers: Record<Lane, Receiver>;
  /** One for each node that comes next. None at the last node, where events have arrived. */
  outputs: Record<Lane, Sender>[];
  fanOut: FanOut;
  /**
   * Publishes the events that were sent, stores the counters and commits the input batch, or its first `events`. Either
   * all of that happens or nothing, even if the worker dies meanwhile.
   */
  commit(lane: Lane, counters: readonly number[], events?: number): void;
}

/** What a node asks of the worker around it. */
export interface NodeHooks {
  /** Takes the events that could not be processed; called before the step is committed. */
  failed(letters: FailedEvent[]): void;
  /**
   * Takes the events that passed the last node, before the step is committed. When the worker dies in between, they are
   * handed over again: never lost, but possibly twice.
   */
  arrived(batch: EventBatch): void;
  /** False while a lane has to wait, because the main thread cannot keep up. Bulk waits long before urgent does. */
  ready(lane: Lane): boolean;
  /**
   * Called between batches, so that messages to the worker are handled.
   *
   * @param idle true when there is no batch: the promise then resolves when `ready` or the request to stop may have
   *   changed
   */
  between(idle: boolean): Promise<void>;
  /** Waits a moment: used where no channel tells when the wait is over. */
  pause(): Promise<void>;
  /** An artificial delay in each batch, before it is committed; null for none. */
  delay(): Promise<void> | null;
}

export class Node {
  /** By stage: what passed it since the last `takeProgress`. */
  readonly #passed: { in: number; out: number; latency: LatencyHistogram }[];
  readonly #stages: readonly Stage[];
  readonly #ends: NodeEnds;
  readonly #hooks: NodeHooks;
  /** A batch for each lane: urgent ones are processed while a bulk one waits for room. */
  readonly #batches: Record<Lane, EventBatch>;
  readonly #counters: number[];
  readonly #waits: Record<Lane, Promise<unknown> | null> = { urgent: null, bulk: null };
  #stopping = false;

  /**
   * @param counters values of NODE_COUNTERS that the worker before this one left
   * @param batchBytes size of the largest batch that a channel hands out
   */
  constructor(
    stages: readonly Stage[],
    ends: NodeEnds,
    hooks: NodeHooks,
    { counters, batchBytes }: { counters: readonly number[]; batchBytes: number },
  ) {
    this.#stages = stages;
    this.#ends = ends;
    this.#hooks = hooks;
    this.#counters = [...counters];
    this.#batches = { urgent: new EventBatch(batchBytes), bulk: new EventBatch(batchBytes) };
    this.#passed = stages.map(() => ({ in: 0, out: 0, latency: new LatencyHistogram() }));
  }

  /** What passed each stage since the last call. */
  takeProgress(): StageProgress[] {
    return this.#passed.map((passed, i) => {
      const progress = { stage: this.#stages[i].name, in: passed.in, out: passed.out, latency: passed.latency.take() };
      passed.in = passed.out = 0;
      return progress;
    });
  }

  /** Lets `run` end once the input channels are empty. */
  stop(): void {
    this.#stopping = true;
  }

  /** Works until stopped. @throws {StageBroken} when a stage cannot go on, or whatever a channel throws */
  async run(): Promise<void> {
    for (;;) {
      // Read before the channels are: events that were sent before the request to stop are in the channels by now.
      const last = this.#stopping;
      const lane = LANES.find((lane) => this.#receive(lane));
      if (lane !== undefined) {
        await this.#step(lane);
        await this.#hooks.between(false);
      } else if (last && LANES.every((lane) => this.#hooks.ready(lane))) {
        return;
      } else {
        // A lane that is not ready must not wake the node.
        const lanes = LANES.filter((lane) => this.#hooks.ready(lane));
        await Promise.race([...lanes.map((lane) => this.#readable(lane)), this.#hooks.between(true)]);
      }
    }
  }

  #receive(lane: Lane): boolean {
    return this.#hooks.ready(lane) && this.#ends.receivers[lane].receive(this.#batches[lane]);
  }

  /** Waits for events in a lane. Calls during a wait share it. */
  #readable(lane: Lane): Promise<unknown> {
    return this.#waits[lane] ??= this.#ends.receivers[lane].waitReadable(WAIT_MS)
      .finally(() => this.#waits[lane] = null);
  }

  /** Processes the batch that a lane has received: stages, then outputs, then commit. */
  async #step(lane: Lane): Promise<void> {
    const batch = this.#batches[lane];
    const received = batch.count;
    for (let i = 0; i < received; i++) batch.source[i] = i;
    const failures: Failure[] = [];
    if (batch.attempts >= ATTEMPTS_MAX) {
      this.#giveUp(batch, failures);
    } else {
      const note = (failure: Failure) => failures.push({ ...failure, record: failure.record.slice() });
      let sinceMs = batch.sentMs;
      this.#stages.forEach((stage, i) => {
        const passed = this.#passed[i];
        passed.in += batch.count;
        runStage(stage, batch, note);
        passed.out += batch.count;
        const nowMs = performance.timeOrigin + performance.now();
        passed.latency.record((nowMs - sinceMs) * NS_PER_MS, batch.count);
        sinceMs = nowMs;
      });
    }
    await this.#hooks.delay();
    const attempts = batch.attempts + 1;
    if (failures.length > 0) {
      this.#hooks.failed(failures.map(({ stage, error, record }) => ({ stage, error, record, attempts })));
    }
    const accounted = { done: 0, failed: 0, sent: 0 };
    /** Counts the first `done` events of the batch, of which `sent` went on; what is counted already is left out. */
    const account = (done: number, sent: number) => {
      const failed = done === received ? failures.length : failures.filter(({ source }) => source < done).length;
      const fresh = { done: done - accounted.done, failed: failed - accounted.failed, sent: sent - accounted.sent };
      this.#counters[0] += fresh.done;
      this.#counters[1] += fresh.done - fresh.sent - fresh.failed;
      this.#counters[2] += fresh.failed;
      this.#counters[3] += fresh.sent;
      Object.assign(accounted, { done, failed, sent });
    };
    if (this.#ends.outputs.length === 0) {
      this.#hooks.arrived(batch);
    } else {
      await this.#forward(lane, (done, sent) => {
        account(done, sent);
        this.#counters[4]++;
        this.#ends.commit(lane, this.#counters, done);
      });
    }
    account(received, batch.count);
    this.#ends.commit(lane, this.#counters);
  }

  /** Turns all events of a batch in which workers died into failures. */
  #giveUp(batch: EventBatch, failures: Failure[]): void {
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offsets[i];
      failures.push({
        stage: this.#stages[0].name,
        error: `${batch.attempts} workers died over the batch that it was in`,
        source: i,
        record: batch.bytes.slice(at, at + batch.lengths[i]),
      });
      batch.drop(i);
    }
    batch.settle();
  }

  /**
   * Sends every event of the batch on.
   *
   * @param commitPart called where an output has no room: publishes what was sent so far, so that receivers make room
   */
  async #forward(lane: Lane, commitPart: (done: number, sent: number) => void): Promise<void> {
    const batch = this.#batches[lane];
    const { outputs, fanOut } = this.#ends;
    const record = { data: batch.bytes, offset: 0, lengthBytes: 0, ring: 0, category: 0, priority: 0, process: null };
    fanOut.beginBatch();
    for (let i = 0; i < batch.count; i++) {
      const output = outputs.length === 1 ? 0 : fanOut.outputOf(batch.pid(i));
      record.offset = batch.offsets[i];
      record.lengthBytes = batch.lengths[i];
      record.ring = batch.ring[i];
      record.category = batch.category[i];
      record.priority = batch.priority[i];
      const whole = Object.assign(record, { process: batch.process[i] ?? null });
      if (output !== HOLD && outputs[output][lane].append(whole)) continue;
      commitPart(batch.source[i], i);
      await this.#meanwhile(lane, output === HOLD ? this.#hooks.pause() : outputs[output][lane].waitWritable(WAIT_MS));
      fanOut.beginBatch();
      i--;
    }
  }

  /**
   * Waits for `room`, and processes urgent batches until there is some. That is safe, because the part of the waiting
   * batch that was sent is published and counted already.
   */
  async #meanwhile(lane: Lane, room: Promise<unknown>): Promise<void> {
    let waiting = true;
    const waited = room.finally(() => waiting = false);
    while (lane === "bulk" && waiting) {
      if (this.#receive("urgent")) await this.#step("urgent");
      else if (this.#hooks.ready("urgent")) await Promise.race([waited, this.#readable("urgent")]);
      else break;
    }
    await waited;
  }
}
