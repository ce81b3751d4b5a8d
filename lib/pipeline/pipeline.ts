/**
 * A running pipeline as the main thread has it: makes the channels and the workers, starts again what dies, adds up what
 * the workers found out, and stops without losing sight of an event.
 */
import { threadEnded } from "../ffi/thread.ts";
import { WorkerError, WorkerHandle } from "../runtime/worker_handle.ts";
import { type Channel, FIRST_NODE_WORKER, type OverflowPolicy } from "./channel/channel.ts";
import { CommitJournal } from "./channel/commit_journal.ts";
import { type DeadLetter, DeadLetters } from "./dead_letters.ts";
import { assignBuckets, BUCKETS } from "./channel/fan_out.ts";
import { ProgressTotals } from "./progress_totals.ts";
import { type Destination, reassignEvents } from "./reassign_events.ts";
import { NODE_COUNTERS } from "./node.ts";
import { type ChannelMaker, openChannel } from "./channel/open_channel.ts";
import { channelsOf, createJournal } from "./node_channels.ts";
import { type NodeSpec, shapeOf } from "./pipeline_shape.ts";
import { type Lane, LANES, type Lanes } from "./channel/lanes.ts";
import type {
  NodeOptions,
  NodePlan,
  NodeProgress,
  NodeReport,
  NodeRequest,
  PipelineEvent,
  Placement,
} from "./pipeline_messages.ts";
import type { ChannelDrops, PipelineStats } from "./pipeline_stats.ts";

export interface PipelineOptions extends Omit<NodeOptions, "plan" | "progressMs"> {
  placement: Placement;
  /** Of the bulk lane's channels; those of the urgent lane always block. */
  policy: OverflowPolicy;
  /** The caller owns what it keeps for the channels. */
  makeChannel: ChannelMaker;
  /** Of letters that are kept. */
  deadLettersMax: number;
  /** A worker that holds a batch for longer, `delayMs` apart, hangs and is replaced. */
  hangMs?: number;
  /** A worker that was ended has this long to end; then the run cannot go on. */
  threadEndMs?: number;
  /** Module of the workers; for tests. */
  worker?: URL;
}

export interface PipelineHandlers {
  /** Awaited before more are asked for. */
  events(events: PipelineEvent[]): void | Promise<void>;
  /** As each comes, besides being kept. */
  deadLetter?(letter: DeadLetter): void;
  /** Something an operator should know; one line. */
  notice(text: string): void;
}

/** How often workers report. */
const PROGRESS_MS = 250;
/** Where nothing else is asked for: no batch takes that long. */
const HANG_MS = 10_000;
/** `terminate` returns while the thread still runs. Where nothing else is asked for, one has this long to end. */
const THREAD_END_MS = 10_000;
/** A worker that dies more often than that within DEATHS_MS is not started again. */
const DEATHS_MAX = 5;
const DEATHS_MS = 60_000;
/** How often to look whether a thread has ended. */
const LOOK_MS = 20;

const NS_PER_MS = 1e6;

/** A node and the worker that is it now. */
interface SupervisedNode {
  spec: NodeSpec;
  plan: NodePlan;
  handle: WorkerHandle<NodeRequest, NodeReport>;
  counters: Readonly<Float64Array<SharedArrayBuffer>>;
  /** When workers of this node died; milliseconds of performance.now(). */
  deaths: number[];
  restarts: number;
  stopping: boolean;
  /** Given up: others do its work. */
  retired: boolean;
  /** Where its counters stand, and for how long they have while it held a batch. */
  movedTo: number;
  stillMs: number;
  /** Resolves when it has stopped; rejects when the pipeline cannot go on without it. */
  ended: Promise<void>;
}

/**
 * Starts with its constructor; events are sent to `input`. Whoever sends stops before `stop` is called.
 *
 * @example
 * ```ts ignore
 * await using pipeline = new Pipeline(options, handlers);
 * using router = new Router({ ...routerOptions, output: pipeline.input });
 * ```
 */
export class Pipeline implements AsyncDisposable {
  /** The first hop. */
  readonly input: Lanes;
  readonly deadLetters: DeadLetters;
  /** Rejects when a worker that nothing can replace dies again and again. */
  readonly failure: Promise<never>;
  readonly #options: PipelineOptions;
  readonly #handlers: PipelineHandlers;
  /** By hop. */
  readonly #channels: Record<Lane, Channel>[];
  readonly #nodes: SupervisedNode[];
  readonly #fanOut = new Uint8Array(new SharedArrayBuffer(BUCKETS));
  readonly #progress = new ProgressTotals();
  /** By channel: what died with a worker. */
  readonly #lost = new Map<string, number>();
  readonly #ticker: ReturnType<typeof setInterval>;
  #tickedMs = performance.now();
  #retried = 0;
  /** Moves, one after another. */
  #reassigning: Promise<void> = Promise.resolve();
  /** What dispose waits for. */
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
    // A worker that cannot be started must not leave those before it behind.
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
      const node: SupervisedNode = {
        spec,
        plan,
        handle: started.use(this.#startWorker(plan)),
        counters: CommitJournal.counters(plan.journal),
        deaths: [],
        restarts: 0,
        stopping: false,
        retired: false,
        movedTo: 0,
        stillMs: 0,
        ended: Promise.resolve(),
      };
      node.ended = this.#follow(node);
      node.ended.catch(fail);
      return node;
    });
    started.move();
    this.#ticker = setInterval(() => this.#tick(), PROGRESS_MS);
  }

  #startWorker(plan: NodePlan): WorkerHandle<NodeRequest, NodeReport> {
    const { dropRules, filter, deliver, deliverRecords, delayMs, procfs, publishCounts, assetsDir, worker } =
      this.#options;
    const told = { dropRules, filter, deliver, deliverRecords, delayMs, procfs, publishCounts, assetsDir };
    const options: NodeOptions = { ...told, plan, progressMs: PROGRESS_MS };
    return new WorkerHandle(worker ?? "pipeline", { kind: "start", options });
  }

  /** Takes what a node's workers report, one after another, until one of them has stopped. */
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

  /** Puts right what a dead worker left, then starts another in its place or, if it dies all the time, does without. */
  async #replace(node: SupervisedNode, error: WorkerError): Promise<void> {
    const { plan } = node;
    node.handle[Symbol.dispose]();
    // As long as it runs, it may write to slots that others would take over.
    if (!await threadEnds(Atomics.exchange(plan.thread, 0, 0), this.#options.threadEndMs ?? THREAD_END_MS)) {
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

    const now = performance.now();
    node.deaths = [...node.deaths.filter((ms) => now - ms < DEATHS_MS), now];
    // What a privilege or the kernel lacks, it lacks the next time, too.
    if (this.#closed || error.failure.exitCode !== 1) throw error;
    if (node.deaths.length <= DEATHS_MAX) {
      this.#handlers.notice(`the ${plan.name} worker failed and is started again: ${error.message}`);
      node.restarts++;
      node.stillMs = 0;
      node.handle = this.#startWorker(plan);
      if (node.stopping) node.handle.stop();
      return;
    }
    const others = this.#nodes.filter((other) => this.#canTakeOver(other, node));
    if (others.length === 0) throw error;
    this.#handlers.notice(`the ${plan.name} worker failed ${node.deaths.length} times, others do its work`);
    node.retired = true;
    await (this.#reassigning = this.#reassigning.then(() =>
      this.#reassignEvents(node, others.filter(({ retired }) => !retired))
    ));
  }

  /** Whether one of two nodes that events are spread over can do the work of the other. */
  #canTakeOver(other: SupervisedNode, { spec }: SupervisedNode): boolean {
    // One that was told to stop ends as soon as there is nothing more to take.
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
    // Time in which this thread stood still says nothing of the others: the program may have been stopped and continued.
    const passedMs = Math.min(now - this.#tickedMs, 2 * PROGRESS_MS);
    this.#tickedMs = now;
    const limitMs = (this.#options.hangMs ?? HANG_MS) + this.#options.delayMs;
    for (const node of this.#nodes) {
      const moved = node.counters[NODE_COUNTERS.indexOf("in")] + node.counters[NODE_COUNTERS.indexOf("waits")];
      node.stillMs = moved === node.movedTo && this.#holds(node) ? node.stillMs + passedMs : 0;
      node.movedTo = moved;
      if (node.stillMs <= limitMs) continue;
      node.stillMs = 0;
      node.handle.fail(`it has been at one batch for ${Math.round(limitMs / 1000)} s`);
    }
  }

  /** Whether a node is at a batch. */
  #holds({ spec, plan }: SupervisedNode): boolean {
    return LANES.some((lane) => this.#channels[spec.input][lane].uncommitted(plan.worker) > 0);
  }

  get #aggregated(): number {
    return this.#nodes.at(-1)!.counters[NODE_COUNTERS.indexOf("out")];
  }

  /** Live; exact once stopped. */
  stats(): PipelineStats {
    const sum = (counter: typeof NODE_COUNTERS[number]) =>
      this.#nodes.reduce((total, { counters }) => total + counters[NODE_COUNTERS.indexOf(counter)], 0);
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

  /** Of the workers that run a stage. */
  #restartsOf(stage: string): number {
    return this.#nodes.filter(({ spec }) => spec.stages.some((name) => name === stage))
      .reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /**
   * Finishes what is inside. Nothing may be sent any more.
   *
   * @param deadlineMs after which workers are ended over what they are at
   * @returns events that were still inside: 0 unless the deadline passed
   */
  async stop(deadlineMs: number): Promise<number> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), deadlineMs));
    try {
      // One after another: what a node sends on in the end is still to be taken by the next.
      for (const node of this.#nodes) {
        // What is being given to others has to be there before they end.
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

  /** Resolves when no dead worker's place is empty any more. */
  async #replaced(): Promise<void> {
    while (this.#replacing.size > 0) await Promise.allSettled(this.#replacing);
  }

  /** Ends the workers, whatever they are at. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    for (const { handle } of this.#nodes) handle[Symbol.dispose]();
    await this.#replaced();
  }
}

/** @param thread 0 for one that never began. @returns false where it still runs after `timeoutMs` */
async function threadEnds(thread: number, timeoutMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (thread !== 0 && !threadEnded(thread)) {
    if (performance.now() > deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return true;
}
