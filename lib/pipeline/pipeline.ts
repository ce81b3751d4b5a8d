/**
 * The pipeline's supervisor, on the main thread: makes the channels and the workers, replaces workers that die or hang,
 * adds up what they report, and accounts for every event until it has stopped.
 *
 *     input ─> FilterStage ─> EnrichStage ─> AggregateStage        the stages of stage.ts, each over a batch of events
 *     hop 0    └─ one node, one node each, or one node and several that enrich: pipeline_shape.ts
 *
 * | file | holds |
 * | --- | --- |
 * | pipeline_shape.ts | which nodes and hops a placement makes |
 * | channel/ | what passes batches from one hop to the next |
 * | node.ts, node_channels.ts | a node: receive a batch, run its stages, send on, commit |
 * | run_stage.ts, *_stage.ts | the stages, and how one is run over a batch |
 * | node_worker.ts | the worker around a node, which makes its stages |
 * | supervised_node.ts | a node as this supervisor sees it |
 * | reassign_events.ts | gives the events of a node that was given up to others |
 * | progress_totals.ts, pipeline_stats.ts | the sum of the workers' reports, and the statistics |
 */
import { WorkerError, WorkerHandle } from "../runtime/worker_handle.ts";
import { type Channel, FIRST_NODE_WORKER, type OverflowPolicy } from "./channel/channel.ts";
import { CommitJournal } from "./channel/commit_journal.ts";
import { type DeadLetter, DeadLetters } from "./dead_letters.ts";
import { assignBuckets, BUCKETS } from "./channel/fan_out.ts";
import { ProgressTotals } from "./progress_totals.ts";
import { type Destination, reassignEvents } from "./reassign_events.ts";
import type { NODE_COUNTERS } from "./node.ts";
import { type ChannelMaker, openChannel } from "./channel/open_channel.ts";
import { channelsOf, createJournal } from "./node_channels.ts";
import { shapeOf } from "./pipeline_shape.ts";
import { type NodeWorkerHandle, SupervisedNode } from "./supervised_node.ts";
import { type Lane, LANES, type Lanes } from "./channel/lanes.ts";
import type { NodeOptions, NodePlan, NodeProgress, PipelineEvent, Placement } from "./pipeline_messages.ts";
import type { ChannelDrops, PipelineStats } from "./pipeline_stats.ts";

export interface PipelineOptions extends Omit<NodeOptions, "plan" | "progressMs"> {
  placement: Placement;
  /** What a full channel of the bulk lane does; those of the urgent lane always block. */
  policy: OverflowPolicy;
  /** Makes each channel. What the maker keeps for the channels stays the caller's. */
  makeChannel: ChannelMaker;
  /** How many dead letters are kept. */
  deadLettersMax: number;
  /** A worker that holds one batch for longer than this and `delayMs` hangs, and is replaced. Default 10 s. */
  hangMs?: number;
  /** How long the thread of a terminated worker may run on; after that the pipeline fails. Default 10 s. */
  threadEndMs?: number;
  /** Module of other workers, for tests. */
  worker?: URL;
}

export interface PipelineHandlers {
  /** Takes delivered events; the next ones come when its promise has resolved. */
  events(events: PipelineEvent[]): void | Promise<void>;
  /** Takes each dead letter as it comes; `deadLetters` keeps it as well. */
  deadLetter?(letter: DeadLetter): void;
  /** Takes one line for the operator. */
  notice(text: string): void;
}

/** How often workers report. */
const PROGRESS_MS = 250;
/** Default of `hangMs`: no batch takes that long. */
const HANG_MS = 10_000;
/** Default of `threadEndMs`. */
const THREAD_END_MS = 10_000;

const NS_PER_MS = 1e6;

/**
 * A running pipeline. The constructor starts it; events are sent to `input`. Senders have to end before `stop` is
 * called.
 *
 * @example
 * ```ts ignore
 * await using pipeline = new Pipeline(options, handlers);
 * using router = new Router({ ...routerOptions, output: pipeline.input });
 * ```
 */
export class Pipeline implements AsyncDisposable {
  /** The channels of the first hop: events are sent here. */
  readonly input: Lanes;
  readonly deadLetters: DeadLetters;
  /** Rejects when a worker keeps dying and no other node can do its work. Never resolves. */
  readonly failure: Promise<never>;
  readonly #options: PipelineOptions;
  readonly #handlers: PipelineHandlers;
  /** The channels of each hop, in the order in which events pass. */
  readonly #channels: Record<Lane, Channel>[];
  readonly #nodes: SupervisedNode[];
  readonly #fanOut = new Uint8Array(new SharedArrayBuffer(BUCKETS));
  readonly #progress = new ProgressTotals();
  /** Channel name to records that were lost with a dead worker. */
  readonly #lost = new Map<string, number>();
  readonly #ticker: ReturnType<typeof setInterval>;
  #tickedMs = performance.now();
  #retried = 0;
  /** Serialises the reassignments of events. */
  #reassigning: Promise<void> = Promise.resolve();
  /** Replacements of dead workers that have not finished; dispose waits for them. */
  readonly #replacing = new Set<Promise<void>>();
  #closed = false;

  constructor(options: PipelineOptions, handlers: PipelineHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.deadLetters = new DeadLetters(options.deadLettersMax);
    const { hops, nodes, distribution } = shapeOf(options.placement);
    const lanes = Array.from({ length: hops }, (_, hop): Lanes => ({
      urgent: options.makeChannel(`${hop}_urgent`, "urgent", "block"),
      bulk: options.makeChannel(`${hop}_bulk`, "bulk", options.policy),
    }));
    this.#channels = lanes.map(({ urgent, bulk }) => ({ urgent: openChannel(urgent), bulk: openChannel(bulk) }));
    this.input = lanes[0];
    const outputsMax = Math.max(1, ...nodes.map(({ outputs }) => outputs.length));
    assignBuckets(this.#fanOut, Array.from({ length: outputsMax }, (_, output) => output));

    let fail: (error: Error) => void = () => {};
    this.failure = new Promise((_, reject) => fail = reject);
    this.failure.catch(() => {});
    // When a worker cannot be started, the workers before it are terminated.
    using started = new DisposableStack();
    this.#nodes = nodes.map((spec, i) => {
      const hop = { input: lanes[spec.input], outputs: spec.outputs.map((output) => lanes[output]) };
      const worker = FIRST_NODE_WORKER + i;
      const plan = {
        ...hop,
        name: spec.name,
        worker,
        stages: spec.stages,
        distribution,
        fanOut: this.#fanOut,
        journal: createJournal(worker, hop),
        thread: new Int32Array(new SharedArrayBuffer(4)),
      };
      const node = new SupervisedNode(spec, plan, started.use(this.#startWorker(plan)));
      node.ended = this.#follow(node);
      node.ended.catch(fail);
      return node;
    });
    started.move();
    this.#ticker = setInterval(() => this.#tick(), PROGRESS_MS);
  }

  #startWorker(plan: NodePlan): NodeWorkerHandle {
    const { dropRules, filter, deliver, deliverRecords, delayMs, procfs, publishCounts, assetsDir, worker } =
      this.#options;
    const told = { dropRules, filter, deliver, deliverRecords, delayMs, procfs, publishCounts, assetsDir };
    const options: NodeOptions = { ...told, plan, progressMs: PROGRESS_MS };
    return new WorkerHandle(worker ?? "pipeline", { kind: "start", options });
  }

  /** Takes the reports of a node's worker, and of each worker that replaces it, until one of them has stopped. */
  async #follow(node: SupervisedNode): Promise<void> {
    for (;;) {
      try {
        return await this.#takeReports(node);
      } catch (error) {
        if (!(error instanceof WorkerError) || this.#closed) throw error;
        const replacing = this.#replace(node, error);
        this.#replacing.add(replacing);
        try {
          await replacing;
        } finally {
          this.#replacing.delete(replacing);
        }
        if (node.retired) return;
      }
    }
  }

  async #takeReports(node: SupervisedNode): Promise<void> {
    for (;;) {
      const report = await node.handle.next();
      switch (report.kind) {
        case "ready":
          break;
        case "events":
          await this.#handlers.events(report.events);
          node.handle.send({ kind: "taken", reports: 1 });
          break;
        case "failed_events":
          for (const letter of report.letters) this.#addLetter(letter);
          node.handle.send({ kind: "taken", reports: 1 });
          break;
        case "progress":
          this.#addProgress(node, report.progress);
          break;
        case "stopped":
          this.#addProgress(node, report.progress);
          return;
        default:
          report satisfies never;
      }
    }
  }

  #addLetter(failed: Omit<DeadLetter, "unixNs">): void {
    const letter = { ...failed, unixNs: BigInt(Date.now()) * BigInt(NS_PER_MS) };
    this.deadLetters.add(letter);
    this.#handlers.deadLetter?.(letter);
  }

  #addProgress({ spec }: SupervisedNode, progress: NodeProgress): void {
    this.#progress.add(spec.name, progress);
    for (const notice of progress.notices) this.#handlers.notice(notice);
  }

  /**
   * Recovers what a dead worker left in the channels, then starts another worker in its place. A node whose workers
   * keep dying is given up instead, where other nodes can do its work.
   *
   * @throws {WorkerError} when the pipeline cannot go on
   */
  async #replace(node: SupervisedNode, error: WorkerError): Promise<void> {
    const { plan } = node;
    node.handle[Symbol.dispose]();
    if (!await node.threadEnds(this.#options.threadEndMs ?? THREAD_END_MS)) {
      throw new WorkerError({ ...error.failure, message: `${error.message}, and its thread does not end` });
    }
    const channels = channelsOf(plan);
    this.#retried += channels.inputs.reduce((sum, channel) => {
      return sum + (channel.recoverable ? channel.uncommitted(plan.worker) : 0);
    }, 0);
    for (const channel of channels.inputs) {
      if (channel.recoverable) continue;
      const lost = channel.uncommitted(plan.worker);
      if (lost > 0) this.#lost.set(channel.name, (this.#lost.get(channel.name) ?? 0) + lost);
    }
    CommitJournal.recover(plan.journal, channels);

    const mayRestart = node.noteDeath();
    // Another worker would lack the same privilege or kernel feature.
    if (this.#closed || error.failure.exitCode !== 1) throw error;
    if (mayRestart) {
      this.#handlers.notice(`the ${plan.name} worker failed and is started again: ${error.message}`);
      node.restart(this.#startWorker(plan));
      return;
    }
    const others = this.#nodes.filter((other) => this.#canTakeOver(other, node));
    if (others.length === 0) throw error;
    this.#handlers.notice(`the ${plan.name} worker failed ${node.recentDeaths} times, others do its work`);
    node.retired = true;
    await (this.#reassigning = this.#reassigning.then(() =>
      this.#reassignEvents(node, others.filter(({ retired }) => !retired))
    ));
  }

  /** True when `other` gets its events from the same node as the second one, and still takes some. */
  #canTakeOver(other: SupervisedNode, { spec }: SupervisedNode): boolean {
    // A node that was asked to stop ends as soon as its channels are empty.
    if (other.spec === spec || other.retired || other.stopping) return false;
    return this.#nodes.some(({ spec: { outputs } }) =>
      outputs.includes(spec.input) && outputs.includes(other.spec.input)
    );
  }

  #reassignEvents(node: SupervisedNode, others: SupervisedNode[]): Promise<void> {
    const { outputs } = this.#nodes.find(({ spec }) => spec.outputs.includes(node.spec.input))!.spec;
    const destination = ({ plan, spec }: SupervisedNode): Destination => ({
      plan,
      output: outputs.indexOf(spec.input),
    });
    return reassignEvents(destination(node), others.map(destination), () => this.#closed);
  }

  #tick(): void {
    this.#progress.tick(this.#aggregated);
    const now = performance.now();
    // The whole program may have been stopped and continued: a long time between two ticks says nothing of the workers.
    const passedMs = Math.min(now - this.#tickedMs, 2 * PROGRESS_MS);
    this.#tickedMs = now;
    const limitMs = (this.#options.hangMs ?? HANG_MS) + this.#options.delayMs;
    for (const node of this.#nodes) {
      node.failIfHung(this.#holdsBatch(node), { passedMs, limitMs });
    }
  }

  /** True while a node has received a batch and not committed it. */
  #holdsBatch({ spec, plan }: SupervisedNode): boolean {
    return LANES.some((lane) => this.#channels[spec.input][lane].uncommitted(plan.worker) > 0);
  }

  get #aggregated(): number {
    return this.#nodes.at(-1)!.counter("out");
  }

  /** The statistics as they stand. They add up exactly once the pipeline has stopped. */
  stats(): PipelineStats {
    const sum = (counter: typeof NODE_COUNTERS[number]) =>
      this.#nodes.reduce((total, node) => total + node.counter(counter), 0);
    const channels = this.#channels.flatMap((hop) => LANES.map((lane) => hop[lane]));
    const stats = channels.map((channel) => channel.stats);
    const droppedByChannel = channels.flatMap((channel, i): ChannelDrops[] => {
      const lost = this.#lost.get(channel.name) ?? 0;
      return [
        { channel: channel.name, policy: channel.policy, count: stats[i].dropped - lost },
        { channel: channel.name, policy: "lost" as const, count: lost },
      ].filter(({ count }) => count > 0);
    });
    return {
      in: stats.slice(0, LANES.length).reduce((total, { sent }) => total + sent, 0),
      filtered: sum("filtered"),
      aggregated: this.#aggregated,
      deadLettered: sum("deadLettered"),
      dropped: stats.reduce((total, { dropped }) => total + dropped, 0),
      inFlight: stats.reduce((total, { inFlight }) => total + inFlight, 0),
      retried: this.#retried,
      droppedByChannel,
      channelFill: channels.map(({ name }, i) => ({ channel: name, fill: stats[i].fill })),
      ...this.#progress.stats((stage) => this.#restartsOf(stage)),
    };
  }

  /** Restarts of all workers that run a stage. */
  #restartsOf(stage: string): number {
    return this.#nodes.filter(({ spec }) => spec.stages.some((name) => name === stage))
      .reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /**
   * Processes the events that are in the channels, then ends the workers. Nothing may be sent any more.
   *
   * @param deadlineMs after which workers are terminated in the middle of their work
   * @returns events that were still in the channels: 0 unless the deadline passed
   */
  async stop(deadlineMs: number): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), deadlineMs));
    try {
      // One node after another: the next node has to take what this one sends on at its end.
      for (const node of this.#nodes) {
        // Events that are being reassigned have to arrive before the nodes that take them end.
        if (await Promise.race([this.#replaced(), deadline]) === "late") break;
        node.stopping = true;
        node.handle.stop();
        if (await Promise.race([node.ended, deadline]) === "late") break;
      }
    } finally {
      clearTimeout(timer);
      await this[Symbol.asyncDispose]();
    }
    return this.stats().inFlight;
  }

  /** Resolves when no replacement of a dead worker is under way. */
  async #replaced(): Promise<void> {
    while (this.#replacing.size > 0) await Promise.allSettled(this.#replacing);
  }

  /** Terminates the workers, and waits for replacements under way. Events in the channels are not processed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    for (const { handle } of this.#nodes) handle[Symbol.dispose]();
    await this.#replaced();
  }
}
