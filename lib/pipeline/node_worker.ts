/**
 * The worker around a node: opens the node's ends of the channels, makes its stages and reports to the main thread.
 * This module alone knows which class a stage's name stands for; tests add stages of their own.
 */
/// <reference lib="deno.worker" />
import { breathe } from "../runtime/breathe.ts";
import { monotonicNs, threadId } from "../ffi/libc.ts";
import { ProcSource } from "../processes/proc_source.ts";
import type { Machine } from "../wire/syscalls.ts";
import { parseEventFilter } from "../filter/language.ts";
import { EventDecoder } from "../events/event_decoder.ts";
import { WorkerMain } from "../runtime/worker_main.ts";
import { AggregateStage } from "./aggregate_stage.ts";
import { CountsMap } from "./counts_map.ts";
import { DecodeStage } from "./decode_stage.ts";
import { EnrichStage } from "./enrich_stage.ts";
import { FanOut } from "./channel/fan_out.ts";
import { FilterStage } from "./filter_stage.ts";
import { Node, type NodeHooks } from "./node.ts";
import { batchBytesOf } from "./channel/open_channel.ts";
import { openNode } from "./node_channels.ts";
import { ProcessCache } from "../processes/process_cache.ts";
import type { Lane } from "./channel/lanes.ts";
import type { NodeOptions, NodeProgress, NodeReport, NodeRequest } from "./pipeline_messages.ts";
import type { Stage } from "./stage.ts";
import { Users } from "../processes/users.ts";

/**
 * Reports of events, and of failures, that may wait for the main thread before a lane is held up. Those of the urgent
 * one are small, so that many may; without any limit, a main thread that waits for its reader would run out of memory.
 */
const REPORTS_AHEAD_MAX: Record<Lane, number> = { urgent: 512, bulk: 2 };

/** Time between two looks at messages while there is work; a look costs a few microseconds. */
const MESSAGES_MS = 5;

/** Time between two looks at whether a bucket of the fan-out is still on hold. */
const PAUSE_MS = 10;

/** How many processes are looked up in /proc between two batches, and while there is none; one takes some 30 µs. */
const LOOKS_A_BATCH = 4;
const LOOKS_IDLE = 64;

/** Processes and containers that are counted one by one between two reports; the rest is counted as `other`. */
const PROCESSES_MAX = 4_096;
const CONTAINERS_MAX = 1_024;

export const nowNs = (): number => Number(monotonicNs());

function report(message: NodeReport): void {
  self.postMessage(message);
}

/** Makes a stage that a test puts behind the others of a node; null for none. */
export type ExtraStage = (options: NodeOptions) => Stage | null;

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  readonly #options: NodeOptions;
  readonly #owned: DisposableStack;
  /** The node's ends of the channels. */
  readonly #ends: DisposableStack;
  readonly #node: Node;
  readonly #filter: FilterStage | null = null;
  readonly #cache: ProcessCache | null = null;
  readonly #aggregate: AggregateStage | null = null;
  readonly #decode: DecodeStage | null = null;
  readonly #counts: CountsMap | null = null;
  #reportsAhead = 0;
  #progressDueMs: number;
  #messagesDueMs = 0;
  #notices: string[] = [];
  #wake: () => void = () => {};
  readonly #ended: Promise<void>;

  constructor(options: NodeOptions, main: WorkerMain<NodeRequest, Run>, extraStage: ExtraStage) {
    // When the constructor throws, `held` disposes of what it has made so far.
    using held = new DisposableStack();
    this.#options = options;
    this.#progressDueMs = performance.now() + options.progressMs;
    const { plan } = options;
    Atomics.store(plan.thread, 0, threadId());
    const stages: Stage[] = [];
    for (const stage of plan.stages) {
      if (stage === "filter") {
        const filter = options.filter === "" ? null : parseEventFilter(options.filter);
        stages.push(this.#filter = new FilterStage({ dropRules: options.dropRules, filter }));
      } else if (stage === "enrich") {
        const source = new ProcSource();
        this.#cache = new ProcessCache(source, new Users(source));
        if (options.procfs) this.#cache.fill(nowNs());
        stages.push(new EnrichStage(this.#cache));
      } else if (stage === "aggregate") {
        if (options.deliver) {
          const decoder = new EventDecoder(Deno.build.arch as Machine);
          stages.push(this.#decode = new DecodeStage(decoder, { records: options.deliverRecords }));
        }
        const limits = { processesMax: PROCESSES_MAX, containersMax: CONTAINERS_MAX };
        stages.push(this.#aggregate = new AggregateStage({ nowNs, ...limits }));
        if (options.publishCounts) this.#counts = held.use(new CountsMap(options.assetsDir));
      } else {
        stage satisfies never;
      }
    }
    const extra = extraStage(options);
    if (extra !== null) stages.push(extra);
    const channelEnds = held.use(new DisposableStack());
    const { ends, counters } = openNode(channelEnds, plan);
    const fanOut = new FanOut(plan.distribution, plan.fanOut);
    this.#node = new Node(stages, { ...ends, fanOut }, this.#hooks(), {
      counters,
      batchBytes: batchBytesOf(plan.input),
    });
    this.#ends = channelEnds.move();
    this.#owned = held.move();
    report({ kind: "ready" });
    this.#ended = main.guarded(() => this.#runNode());
  }

  async #runNode(): Promise<void> {
    try {
      await this.#node.run();
    } catch (error) {
      // The ends are not disposed of: the supervisor recovers them like those of a worker that was killed. The batch
      // then counts as tried once, and what the node was about to send as never sent.
      this.#ends.move();
      throw error;
    }
  }

  #hooks(): NodeHooks {
    const { delayMs, plan } = this.#options;
    const isLast = plan.outputs.length === 0;
    return {
      failed: (letters) => this.#reportAhead({ kind: "failed_events", letters }),
      arrived: () => this.#deliver(),
      ready: (lane) => this.#reportsAhead < REPORTS_AHEAD_MAX[lane],
      between: (idle) => this.#between(idle),
      pause: () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS)),
      delay: () => isLast && delayMs > 0 ? new Promise((resolve) => setTimeout(resolve, delayMs)) : null,
    };
  }

  #deliver(): void {
    const events = this.#decode?.take() ?? [];
    if (events.length > 0) this.#reportAhead({ kind: "events", events });
  }

  /** Posts a report that the main thread answers with `taken`. */
  #reportAhead(message: Extract<NodeReport, { kind: "events" | "failed_events" }>): void {
    this.#reportsAhead++;
    report(message);
  }

  /** Refreshes the process cache and reports progress; short, so that the next batch does not wait for long. */
  #between(idle: boolean): Promise<void> {
    const now = performance.now();
    if (this.#options.procfs) this.#cache?.refresh(idle ? LOOKS_IDLE : LOOKS_A_BATCH, nowNs());
    if (now >= this.#progressDueMs) {
      this.#progressDueMs = now + this.#options.progressMs;
      report({ kind: "progress", progress: this.#progress() });
    }
    if (idle) return new Promise((resolve) => this.#wake = resolve);
    if (now < this.#messagesDueMs) return Promise.resolve();
    this.#messagesDueMs = now + MESSAGES_MS;
    return breathe();
  }

  #progress(): NodeProgress {
    const aggregate = this.#aggregate?.take() ?? null;
    if (aggregate !== null) {
      try {
        this.#counts?.add(aggregate.categories);
      } catch (error) {
        this.#notices.push(`counts for other tools: ${(error as Error).message}`);
      }
    }
    const notices = this.#notices;
    this.#notices = [];
    return {
      aggregate,
      cache: this.#cache?.stats() ?? null,
      filteredByRule: this.#filter?.take() ?? [],
      stages: this.#node.takeProgress(),
      notices,
    };
  }

  /** The main thread has taken so many reports. */
  taken(reports: number): void {
    this.#reportsAhead -= reports;
    this.#wake();
  }

  /** Processes what is in the channels, then reports `stopped`. */
  async stop(): Promise<void> {
    this.#node.stop();
    this.#wake();
    await this.#ended;
    // The node failed at the end, which is reported: what this run held is disposed of by now.
    if (this.#owned.disposed) return;
    report({ kind: "stopped", progress: this.#progress() });
  }

  [Symbol.dispose](): void {
    this.#ends[Symbol.dispose]();
    this.#owned[Symbol.dispose]();
  }
}

/** Serves the main thread's requests in this worker. @param extraStage for tests */
export function serveNode(extraStage: ExtraStage = () => null): void {
  const main = new WorkerMain<NodeRequest, Run>();
  // Requests are not serialised: `taken` has to get through while `stop` waits for the node's end.
  self.onmessage = ({ data: request }: MessageEvent<NodeRequest>) => {
    void main.guarded(async () => {
      switch (request.kind) {
        case "start":
          main.run = new Run(request.options, main, extraStage);
          return;
        case "taken":
          main.run?.taken(request.reports);
          return;
        case "stop":
          await main.run?.stop();
          main.end();
          return;
        default:
          request satisfies never;
      }
    });
  };
}
