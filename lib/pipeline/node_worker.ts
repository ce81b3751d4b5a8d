/**
 * A pipeline worker's run: opens its ends of the channels, makes its stages, and lets a Node work between them. The
 * composition root of the stages and lib/ffi; tests add stages of their own.
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
 * Reports of events, and of failures, that may wait for the main thread before a lane is held up. Those of the urgent one
 * are small, so that many may; without any limit, a main thread that waits for its reader would run out of memory.
 */
const REPORTS_AHEAD_MAX: Record<Lane, number> = { urgent: 512, bulk: 2 };

/** Between two looks at messages while there is work; a look costs a few microseconds. */
const MESSAGES_MS = 5;

/** Between two looks at whether a bucket is held still. */
const PAUSE_MS = 10;

/** Looks at /proc between two batches; one takes some 30 µs. */
const LOOKS_A_BATCH = 4;
const LOOKS_IDLE = 64;

/** Labels counted between two reports without being folded together. */
const PROCESSES_MAX = 4_096;
const CONTAINERS_MAX = 1_024;

export const nowNs = (): number => Number(monotonicNs());

function report(message: NodeReport): void {
  self.postMessage(message);
}

/** A stage that a test puts behind the others of a node. */
export type ExtraStage = (options: NodeOptions) => Stage | null;

class Run implements Disposable {
  readonly #options: NodeOptions;
  readonly #owned: DisposableStack;
  /** Ends of channels. */
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
    // What it holds is given back where it cannot be made; nothing of it is this run's before it is complete.
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
      // The batch that broke it counts as tried, and what it was about to send as never sent: the ends stay as they
      // are, for the supervisor to recover as those of a worker that was killed.
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

  /** One that is answered with `taken`. */
  #reportAhead(message: Extract<NodeReport, { kind: "events" | "failed_events" }>): void {
    this.#reportsAhead++;
    report(message);
  }

  /** What is to be done between two batches, without keeping the next one waiting for long. */
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

  taken(reports: number): void {
    this.#reportsAhead -= reports;
    this.#wake();
  }

  /** Finishes what is in the channels. */
  async stop(): Promise<void> {
    this.#node.stop();
    this.#wake();
    await this.#ended;
    // It failed at last: that is reported, and what it held is given back.
    if (this.#owned.disposed) return;
    report({ kind: "stopped", progress: this.#progress() });
  }

  [Symbol.dispose](): void {
    this.#ends[Symbol.dispose]();
    this.#owned[Symbol.dispose]();
  }
}

/** Serves requests in this worker. @param extraStage for tests */
export function serveNode(extraStage: ExtraStage = () => null): void {
  const main = new WorkerMain<NodeRequest, Run>();
  // Not after one another: `taken` has to get through while `stop` waits for the end.
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
