/** A pipeline under test: numbered events in, and what became of them. */
import { assertEquals } from "../assert.ts";
import { EVENT } from "../../lib/wire/layouts.gen.ts";
import type { DeadLetter } from "../../lib/pipeline/dead_letters.ts";
import { SOURCE_WORKER } from "../../lib/pipeline/channel/channel.ts";
import { Feed, laneOf } from "../../lib/pipeline/channel/feed.ts";
import {
  type ChannelMaker,
  makeSharedChannel,
  openSenders,
  queueChannelMaker,
} from "../../lib/pipeline/channel/open_channel.ts";
import { Pipeline, type PipelineOptions } from "../../lib/pipeline/pipeline.ts";
import type { PipelineEvent } from "../../lib/pipeline/pipeline_messages.ts";
import { SharedChannel } from "../../lib/pipeline/channel/shared_channel.ts";
import { type PipelineStats, unaccounted } from "../../lib/pipeline/stats.ts";
import type { RingName } from "../../lib/events/event.ts";
import { ASSETS_DIR } from "./bpf.ts";
import { clearFault, type Fault, NO_FAULT, setFault } from "./pipeline_faults.ts";
import { eventRecord } from "./records.ts";

/** Pids of the events, round and round. */
const PIDS = 61;
const PID_FIRST = 1_000_000;

const WORKER = new URL("faulty_pipeline_worker.ts", import.meta.url);
const ROOM_MS = 20;
const BREATH_EVENTS = 4_096;
const STOP_MS = 30_000;

// libbpf is opened with the first queue and stays open by design: here, or the first test is taken for one that leaks.
{
  using channels = new DisposableStack();
  queueChannelMaker(channels)("first", "bulk", "block");
}

/** Channels that are soon full. */
export const makeSmallChannel: ChannelMaker = (name, _lane, policy) =>
  SharedChannel.create({ name, policy, slots: 4, slotBytes: 4_096 });

export const RUN_DEFAULTS: PipelineOptions = {
  placement: { kind: "one" },
  policy: "block",
  makeChannel: makeSharedChannel,
  deadLettersMax: 100_000,
  dropRules: [],
  filter: "",
  deliver: false,
  deliverRecords: false,
  delayMs: 0,
  procfs: false,
  publishCounts: false,
  assetsDir: ASSETS_DIR,
};

export class PipelineRun implements AsyncDisposable {
  readonly pipeline: Pipeline;
  readonly letters: DeadLetter[] = [];
  readonly notices: string[] = [];
  readonly events: PipelineEvent[] = [];
  /** Events so far; the next one's number. */
  sent = 0;
  readonly #owned = new DisposableStack();
  readonly #feed: Feed;

  constructor(options: Partial<PipelineOptions> = {}, fault: Fault = NO_FAULT) {
    setFault(fault);
    this.pipeline = new Pipeline({ ...RUN_DEFAULTS, worker: WORKER, ...options }, {
      events: (events) => void this.events.push(...events),
      deadLetter: (letter) => void this.letters.push(letter),
      notice: (text) => void this.notices.push(text),
    });
    this.#feed = new Feed(openSenders(this.#owned, this.pipeline.input, SOURCE_WORKER));
  }

  /** Sends so many events, as fast as there is room, or until `until`. */
  async send(
    events: number,
    { ring = "normal", until = () => false }: { ring?: RingName; until?: () => boolean } = {},
  ): Promise<void> {
    const record = eventRecord("file_open", { severity: ring === "critical" ? "critical" : "info" });
    const data = new DataView(record.buffer);
    for (let i = 0; i < events && !until(); i++) {
      data.setUint32(EVENT.fields.pid.offset, PID_FIRST + this.sent % PIDS, true);
      data.setBigUint64(EVENT.fields.first_ns.offset, BigInt(this.sent), true);
      while (!this.#feed.take(ring, data, 0, record.length)) {
        this.#feed.flush(laneOf(ring));
        await this.#feed.waitWritable(ring, ROOM_MS);
        if (until()) return;
      }
      this.sent++;
      // This thread also takes what comes through.
      if (this.sent % BREATH_EVENTS === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    this.#feed.flush(laneOf(ring));
  }

  /** Sends one record as it is. There has to be room. */
  sendRaw(record: Uint8Array<ArrayBuffer>): void {
    if (!this.#feed.take("normal", new DataView(record.buffer), 0, record.length)) {
      throw new Error("Cannot send: no room");
    }
    this.sent++;
  }

  /** Waits until the statistics are as wanted. */
  async until(reached: (stats: PipelineStats) => boolean): Promise<PipelineStats> {
    const deadlineMs = performance.now() + STOP_MS;
    for (;;) {
      const stats = this.pipeline.stats();
      if (reached(stats)) return stats;
      if (performance.now() > deadlineMs) {
        throw new Error(`Cannot get there: ${JSON.stringify(outcomesOf(stats))}, ${this.notices.join("; ")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, ROOM_MS));
    }
  }

  /** Stops it, and checks that every event that was sent became one thing. */
  async stop(deadlineMs = STOP_MS): Promise<PipelineStats> {
    this.#owned.dispose();
    const left = await this.pipeline.stop(deadlineMs);
    const stats = this.pipeline.stats();
    assertEquals(left, stats.inFlight);
    assertEquals(stats.in, this.sent);
    assertEquals(unaccounted(stats), 0, JSON.stringify(outcomesOf(stats)));
    assertEquals(stats.deadLettered, this.pipeline.deadLetters.added);
    assertEquals(stats.dropped, stats.droppedByChannel.reduce((sum, { count }) => sum + count, 0));
    return stats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#owned.dispose();
    await this.pipeline[Symbol.asyncDispose]();
    clearFault();
  }
}

/** What became of the events. */
export function outcomesOf(stats: PipelineStats) {
  const { filtered, aggregated, deadLettered, dropped, inFlight } = stats;
  return { filtered, aggregated, deadLettered, dropped, inFlight };
}
