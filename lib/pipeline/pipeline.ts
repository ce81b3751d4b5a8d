/**
 * A running pipeline as the main thread has it: makes the channels and the workers, starts again what dies, adds up what
 * the workers found out, and stops without losing sight of an event.
 */
import { threadEnded } from "../ffi/thread.ts";
import { WorkerError, WorkerHandle } from "../worker_handle.ts";
import { AggregateTotals } from "./aggregate_totals.ts";
import type { Channel, OutgoingRecord, OverflowPolicy, Sender } from "./channel.ts";
import { CommitJournal } from "./commit_journal.ts";
import { type DeadLetter, DeadLetters } from "./dead_letters.ts";
import { EventBatch } from "./event_batch.ts";
import { assignBuckets, bucketOf, BUCKETS, HOLD, moveBuckets } from "./fan_out.ts";
import { LatencyHistogram } from "./latency_histogram.ts";
import { NODE_COUNTERS } from "./node.ts";
import {
  batchBytesOf,
  type ChannelMaker,
  channelsOf,
  createJournal,
  FIRST_NODE_WORKER,
  MAIN_WORKER,
  openChannel,
} from "./open_channel.ts";
import { type NodeSpec, shapeOf } from "./plan.ts";
import type { CacheStats } from "./process_cache.ts";
import {
  type Lane,
  LANES,
  type Lanes,
  type NodeOptions,
  type NodePlan,
  type NodeProgress,
  type NodeReport,
  type NodeRequest,
  type PipelineEvent,
  type Placement,
} from "./protocol.ts";
import { Rates } from "./rates.ts";
import type { ChannelDrops, PipelineStats, StageStats } from "./stats.ts";

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
/** `terminate` returns while the thread still runs. One that does not end within this cannot be replaced. */
const THREAD_END_MS = 10_000;
/** A worker that dies more often than that within DEATHS_MS is not started again. */
const DEATHS_MAX = 5;
const DEATHS_MS = 60_000;
/** Until whoever fans out has seen that a bucket is held, or has ended its batch. */
const HOLD_MS = 300;
/** How often to look for room, or for an end. */
const LOOK_MS = 20;

/** Labels kept of processes and of containers, and rows of them in the statistics. */
const LABELS_MAX = { processesMax: 4_096, containersMax: 1_024 };
const TOP_ROWS = 20;

const NS_PER_MS = 1e6;

/** A node and the worker that is it now. */
interface Member {
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
  /** When its counters moved last, and where to. */
  movedMs: number;
  movedTo: number;
  cache: CacheStats | null;
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
  readonly #members: Member[];
  readonly #fanOut = new Uint8Array(new SharedArrayBuffer(BUCKETS));
  readonly #totals = new AggregateTotals(LABELS_MAX);
  readonly #rates = new Rates(() => performance.now() * NS_PER_MS);
  readonly #stages = new Map<string, StageStats>();
  readonly #filteredByRule = new Map<string, number>();
  /** By channel: what died with a worker. */
  readonly #lost = new Map<string, number>();
  readonly #ticker: ReturnType<typeof setInterval>;
  #retried = 0;
  #aggregatedAtTick = 0;
  /** Moves, one after another. */
  #moving: Promise<void> = Promise.resolve();
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
    this.#members = nodes.map((spec, i) => {
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
      const member: Member = {
        spec,
        plan,
        handle: this.#startWorker(plan),
        counters: CommitJournal.counters(plan.journal),
        deaths: [],
        restarts: 0,
        stopping: false,
        retired: false,
        movedMs: performance.now(),
        movedTo: 0,
        cache: null,
        ended: Promise.resolve(),
      };
      member.ended = this.#follow(member);
      member.ended.catch(fail);
      return member;
    });
    this.#ticker = setInterval(() => this.#tick(), PROGRESS_MS);
  }

  #startWorker(plan: NodePlan): WorkerHandle<NodeRequest, NodeReport> {
    const { dropRules, filter, deliver, delayMs, procfs, publishCounts, assetsDir, worker } = this.#options;
    const told = { dropRules, filter, deliver, delayMs, procfs, publishCounts, assetsDir };
    const options: NodeOptions = { ...told, plan, progressMs: PROGRESS_MS };
    return new WorkerHandle(worker ?? "pipeline", { kind: "start", options });
  }

  /** Takes what a node's workers report, one after another, until one of them has stopped. */
  async #follow(member: Member): Promise<void> {
    for (;;) {
      try {
        return await this.#takeReports(member);
      } catch (error) {
        if (!(error instanceof WorkerError) || this.#closed) throw error;
        const replacing = this.#replace(member, error);
        this.#replacing.add(replacing);
        try {
          await replacing;
        } finally {
          this.#replacing.delete(replacing);
        }
        if (member.retired) return;
      }
    }
  }

  async #takeReports(member: Member): Promise<void> {
    for (;;) {
      const report = await member.handle.next();
      switch (report.kind) {
        case "ready":
          break;
        case "events":
          await this.#handlers.events(report.events);
          member.handle.send({ kind: "taken", reports: 1 });
          break;
        case "failed_events":
          for (const letter of report.letters) this.#addLetter(letter);
          break;
        case "progress":
          this.#addProgress(member, report.progress);
          break;
        case "stopped":
          this.#addProgress(member, report.progress);
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

  #addProgress(member: Member, progress: NodeProgress): void {
    if (progress.aggregate !== null) this.#totals.add(progress.aggregate);
    member.cache = progress.cache;
    for (const { rule, count } of progress.filteredByRule) {
      this.#filteredByRule.set(rule, (this.#filteredByRule.get(rule) ?? 0) + count);
    }
    for (const { stage, latency, ...passed } of progress.stages) {
      let stats = this.#stages.get(stage);
      if (stats === undefined) {
        this.#stages.set(stage, stats = { name: stage, in: 0, out: 0, restarts: 0, latency: new LatencyHistogram() });
      }
      stats.in += passed.in;
      stats.out += passed.out;
      stats.latency.merge(latency);
    }
    for (const notice of progress.notices) this.#handlers.notice(notice);
  }

  /** Puts right what a dead worker left, then starts another in its place or, if it dies all the time, does without. */
  async #replace(member: Member, error: WorkerError): Promise<void> {
    const { plan } = member;
    member.handle[Symbol.dispose]();
    // As long as it runs, it may write to slots that others would take over.
    if (!await threadEnds(Atomics.exchange(plan.thread, 0, 0), THREAD_END_MS)) throw error;
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
    member.deaths = [...member.deaths.filter((ms) => now - ms < DEATHS_MS), now];
    if (this.#closed) throw error;
    if (member.deaths.length <= DEATHS_MAX) {
      this.#handlers.notice(`the ${plan.name} worker failed and is started again: ${error.message}`);
      member.restarts++;
      member.movedMs = now;
      member.handle = this.#startWorker(plan);
      if (member.stopping) member.handle.stop();
      return;
    }
    const others = this.#members.filter((other) => this.#doTheSame(other, member));
    if (others.length === 0) throw error;
    this.#handlers.notice(`the ${plan.name} worker failed ${member.deaths.length} times, others do its work`);
    member.retired = true;
    await (this.#moving = this.#moving.then(() => this.#moveTo(member, others.filter(({ retired }) => !retired))));
  }

  /** Whether one of two nodes that events are spread over can do the work of the other. */
  #doTheSame(other: Member, { spec }: Member): boolean {
    if (other.spec === spec || other.retired) return false;
    return this.#members.some(({ spec: { outputs } }) =>
      outputs.includes(spec.input) && outputs.includes(other.spec.input)
    );
  }

  /** Gives what waits for a node that was given up to others: first what has been sent, then what is to come. */
  async #moveTo(member: Member, others: Member[]): Promise<void> {
    const upstream = this.#members.find(({ spec }) => spec.outputs.includes(member.spec.input))!;
    const outputOf = (one: Member) => upstream.spec.outputs.indexOf(one.spec.input);
    const byOutput = new Map(others.map((other) => [outputOf(other), other]));
    moveBuckets(this.#fanOut, outputOf(member), [HOLD]);
    await sleep(HOLD_MS);
    const assigned = this.#fanOut.slice();
    moveBuckets(assigned, HOLD, [...byOutput.keys()]);
    using stack = new DisposableStack();
    const batch = new EventBatch(batchBytesOf(member.plan.input));
    for (const lane of LANES) {
      const receiver = stack.use(openChannel(member.plan.input[lane]).openReceiver(member.plan.worker));
      const senders = new Map<number, Sender>();
      for (const [output, { plan }] of byOutput) {
        senders.set(output, stack.use(openChannel(plan.input[lane]).openSender(MAIN_WORKER)));
      }
      while (receiver.receive(batch)) {
        let moved = 0;
        while (moved < batch.count) {
          const sender = senders.get(assigned[bucketOf(batch.pid(moved))])!;
          if (!await this.#sendWhole(sender, recordOf(batch, moved))) break;
          moved++;
        }
        for (const sender of senders.values()) sender.flush();
        receiver.commit(moved);
        if (moved < batch.count) return;
      }
    }
    assigned.forEach((output, bucket) => Atomics.store(this.#fanOut, bucket, output));
  }

  /** Sends one record, however long it takes until there is room. @returns false when the pipeline ends before */
  async #sendWhole(sender: Sender, record: OutgoingRecord): Promise<boolean> {
    while (!sender.append(record)) {
      if (this.#closed) return false;
      sender.flush();
      await sender.waitWritable(LOOK_MS);
    }
    return true;
  }

  #tick(): void {
    const aggregated = this.#aggregated;
    this.#rates.tick(aggregated - this.#aggregatedAtTick);
    this.#aggregatedAtTick = aggregated;
    const now = performance.now();
    const limitMs = (this.#options.hangMs ?? HANG_MS) + this.#options.delayMs;
    for (const member of this.#members) {
      const moved = member.counters[NODE_COUNTERS.indexOf("in")] + member.counters[NODE_COUNTERS.indexOf("waits")];
      const holds = this.#holds(member);
      if (moved !== member.movedTo || !holds) {
        member.movedTo = moved;
        member.movedMs = now;
      } else if (now - member.movedMs > limitMs) {
        member.movedMs = now;
        member.handle.fail(`it has been at one batch for ${Math.round(limitMs / 1000)} s`);
      }
    }
  }

  /** Whether a node is at a batch. */
  #holds({ spec, plan }: Member): boolean {
    return LANES.some((lane) => this.#channels[spec.input][lane].uncommitted(plan.worker) > 0);
  }

  get #aggregated(): number {
    return this.#members.at(-1)!.counters[NODE_COUNTERS.indexOf("out")];
  }

  /** Live; exact once stopped. */
  stats(): PipelineStats {
    const sum = (counter: typeof NODE_COUNTERS[number]) =>
      this.#members.reduce((total, { counters }) => total + counters[NODE_COUNTERS.indexOf(counter)], 0);
    const channels = this.#channels.flatMap((hop) => LANES.map((lane) => hop[lane]));
    const stats = channels.map((channel) => channel.stats);
    const droppedByChannel = channels.flatMap((channel, i): ChannelDrops[] => {
      const lost = this.#lost.get(channel.name) ?? 0;
      return [
        { channel: channel.name, policy: channel.policy, count: stats[i].dropped - lost },
        { channel: channel.name, policy: "lost" as const, count: lost },
      ].filter(({ count }) => count > 0);
    });
    const first = LANES.map((lane) => this.#channels[0][lane].stats.sent);
    return {
      in: first.reduce((total, sent) => total + sent, 0),
      filtered: sum("filtered"),
      aggregated: this.#aggregated,
      deadLettered: sum("deadLettered"),
      dropped: stats.reduce((total, { dropped }) => total + dropped, 0),
      inFlight: stats.reduce((total, { inFlight }) => total + inFlight, 0),
      retried: this.#retried,
      filteredByRule: [...this.#filteredByRule].map(([rule, count]) => ({ rule, count })),
      droppedByChannel,
      channelFill: channels.map(({ name }, i) => ({ channel: name, fill: stats[i].fill })),
      stages: [...this.#stages.values()].map((stage) => ({ ...stage, restarts: this.#restartsOf(stage.name) })),
      latency: this.#totals.latency,
      rates: this.#rates.rates(),
      categories: this.#totals.categories(),
      eventCounts: this.#totals.counts(),
      processes: this.#totals.topProcesses(TOP_ROWS),
      containers: this.#totals.topContainers(TOP_ROWS),
      cache: sumOfCaches(this.#members.flatMap(({ cache }) => cache ?? [])),
    };
  }

  /** Of the workers that run a stage. */
  #restartsOf(stage: string): number {
    return this.#members.filter(({ spec }) => spec.stages.some((name) => name === stage))
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
      for (const member of this.#members) {
        member.stopping = true;
        member.handle.stop();
        if (await Promise.race([member.ended, deadline]) === "late") break;
      }
    } finally {
      clearTimeout(timer);
      await this[Symbol.asyncDispose]();
    }
    return this.stats().inFlight;
  }

  /** Ends the workers, whatever they are at. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    for (const { handle } of this.#members) handle[Symbol.dispose]();
    await Promise.allSettled(this.#replacing);
  }
}

/** null for none. */
function sumOfCaches(caches: readonly CacheStats[]): CacheStats | null {
  if (caches.length === 0) return null;
  const sum = { ...caches[0] };
  for (const cache of caches.slice(1)) {
    for (const counter of Object.keys(sum) as (keyof CacheStats)[]) sum[counter] += cache[counter];
  }
  const asked = sum.hits + sum.misses;
  return { ...sum, hitRatio: asked === 0 ? 1 : sum.hits / asked };
}

function recordOf(batch: EventBatch, i: number): OutgoingRecord {
  return {
    data: batch.bytes,
    offset: batch.offsets[i],
    lengthBytes: batch.lengths[i],
    ring: batch.ring[i],
    category: batch.category[i],
    priority: batch.priority[i],
    process: batch.process[i],
  };
}

/** @param thread 0 for one that never began. @returns false where it still runs after `timeoutMs` */
async function threadEnds(thread: number, timeoutMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (thread !== 0 && !threadEnded(thread)) {
    if (performance.now() > deadlineMs) return false;
    await sleep(LOOK_MS);
  }
  return true;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
