/**
 * One worker's part of a pipeline: takes batches from its input, urgent ones first, runs its stages over them, sends on
 * what is left, and commits each step whole. Knows neither workers nor clocks; worker.ts composes it.
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
 * A node's counters in shared memory, in this order: events since the start. `out`: sent on, or arrived. `waits`: how
 * often it had to wait for room, which tells one that waits from one that hangs.
 */
export const NODE_COUNTERS = ["in", "filtered", "deadLettered", "out", "waits"] as const;

/** A batch over which so many workers died is not tried again. */
const ATTEMPTS_MAX = 2;

const NS_PER_MS = 1e6;

/** How long a wait may last before the node looks at everything again. */
const WAIT_MS = 100;

export interface NodeEnds {
  receivers: Record<Lane, Receiver>;
  /** None: what comes out of the stages has arrived. */
  outputs: Record<Lane, Sender>[];
  fanOut: FanOut;
  /**
   * Publishes what was sent, stores the counters and gives up the input, wholly or its first `events`: all or nothing,
   * even if the worker dies over it.
   */
  commit(lane: Lane, counters: readonly number[], events?: number): void;
}

export interface NodeHooks {
  /** What could not be processed; called before the step is committed. */
  failed(letters: FailedEvent[]): void;
  /** What has arrived, before the step is committed: after a death it may be told twice, but never lost. */
  arrived(batch: EventBatch): void;
  /** False: a lane has to wait, because whoever is told cannot keep up. Bulk waits long before urgent has to. */
  ready(lane: Lane): boolean;
  /** Called between batches: lets messages in. Resolves at once, or when something came that `ready` may depend on. */
  between(idle: boolean): Promise<void>;
  /** Lets others go on for a moment, where nobody tells when the wait is over. */
  pause(): Promise<void>;
  /** Waited for within each batch, before it is committed. */
  delay(): Promise<void> | null;
}

export class Node {
  readonly #passed: { in: number; out: number; latency: LatencyHistogram }[];
  readonly #stages: readonly Stage[];
  readonly #ends: NodeEnds;
  readonly #hooks: NodeHooks;
  /** By lane: urgent ones are worked on while a bulk one waits for room. */
  readonly #batches: Record<Lane, EventBatch>;
  readonly #counters: number[];
  readonly #waits: Record<Lane, Promise<unknown> | null> = { urgent: null, bulk: null };
  #stopping = false;

  /**
   * @param counters where the worker before this one left off
   * @param batchBytes of the largest batch that a channel hands out
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

  /** Ends once there is nothing more to take. */
  stop(): void {
    this.#stopping = true;
  }

  /** Works until stopped. @throws whatever a stage cannot survive */
  async run(): Promise<void> {
    for (;;) {
      // Whatever was sent before the request to stop is in the channels by now.
      const last = this.#stopping;
      const lane = LANES.find((lane) => this.#receive(lane));
      if (lane !== undefined) {
        await this.#step(lane);
        await this.#hooks.between(false);
      } else if (last && LANES.every((lane) => this.#hooks.ready(lane))) {
        return;
      } else {
        // A lane that may not be taken from is no reason to wake up.
        const lanes = LANES.filter((lane) => this.#hooks.ready(lane));
        await Promise.race([...lanes.map((lane) => this.#readable(lane)), this.#hooks.between(true)]);
      }
    }
  }

  #receive(lane: Lane): boolean {
    return this.#hooks.ready(lane) && this.#ends.receivers[lane].receive(this.#batches[lane]);
  }

  /** One wait a lane, however often it is asked for. */
  #readable(lane: Lane): Promise<unknown> {
    return this.#waits[lane] ??= this.#ends.receivers[lane].waitReadable(WAIT_MS)
      .finally(() => this.#waits[lane] = null);
  }

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
    /** Counts of the first `done` events received, `sent` of which went on; what was counted before is not again. */
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

  /** All events of a batch that workers died over become failures. */
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
   * @param commitPart called where an output has no room: publishes what was sent so far, so that room can come to be
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
   * Waits for `room`. Nothing of a batch that waits is half done: what it sent is published and counted, so that urgent
   * batches can be worked on until then.
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
