/**
 * A node as its supervisor sees it: the worker that runs it now, its counters in shared memory, how often its workers
 * died, and whether the worker still makes progress.
 */
import { threadEnded } from "../ffi/thread.ts";
import type { WorkerHandle } from "../runtime/worker_handle.ts";
import { CommitJournal } from "./channel/commit_journal.ts";
import { NODE_COUNTERS } from "./node.ts";
import type { NodePlan, NodeReport, NodeRequest } from "./pipeline_messages.ts";
import type { NodeSpec } from "./pipeline_shape.ts";

/** A node whose workers die more than DEATHS_MAX times within DEATHS_MS gets no further worker. */
const DEATHS_MAX = 5;
const DEATHS_MS = 60_000;

/** How often to look whether a thread has ended. */
const LOOK_MS = 20;

export type NodeWorkerHandle = WorkerHandle<NodeRequest, NodeReport>;

export class SupervisedNode {
  readonly spec: NodeSpec;
  readonly plan: NodePlan;
  /** The worker that runs the node now. */
  handle: NodeWorkerHandle;
  /** Workers that were started in the place of a dead one. */
  restarts = 0;
  /** True once the node was asked to stop. */
  stopping = false;
  /** True once the node was given up: other nodes do its work. */
  retired = false;
  /** Resolves when the node has stopped; rejects when the pipeline cannot go on without it. */
  ended: Promise<void> = Promise.resolve();
  readonly #counters: Readonly<Float64Array<SharedArrayBuffer>>;
  /** When workers of this node died; milliseconds of performance.now(). */
  #deathsMs: number[] = [];
  #stepsSeen = 0;
  #stillMs = 0;

  constructor(spec: NodeSpec, plan: NodePlan, handle: NodeWorkerHandle) {
    this.spec = spec;
    this.plan = plan;
    this.handle = handle;
    this.#counters = CommitJournal.counters(plan.journal);
  }

  /** A counter of the node as it stands in shared memory. */
  counter(name: typeof NODE_COUNTERS[number]): number {
    return this.#counters[NODE_COUNTERS.indexOf(name)];
  }

  /** Workers of this node that died within the last minute. */
  get recentDeaths(): number {
    return this.#deathsMs.length;
  }

  /** Notes that the worker died. @returns true when the node may get another worker */
  noteDeath(): boolean {
    const now = performance.now();
    this.#deathsMs = [...this.#deathsMs.filter((ms) => now - ms < DEATHS_MS), now];
    return this.#deathsMs.length <= DEATHS_MAX;
  }

  /** Puts a new worker in the place of the dead one; a node that was asked to stop passes that on. */
  restart(handle: NodeWorkerHandle): void {
    this.restarts++;
    this.#stillMs = 0;
    this.handle = handle;
    if (this.stopping) handle.stop();
  }

  /**
   * Fails the worker when it has held one batch for too long without progress.
   *
   * @param holdsBatch true while the node has a batch that is not committed
   * @param passedMs since the last call
   * @param limitMs how long a worker may hold one batch
   */
  failIfHung(holdsBatch: boolean, { passedMs, limitMs }: { passedMs: number; limitMs: number }): void {
    const steps = this.counter("in") + this.counter("waits");
    this.#stillMs = steps === this.#stepsSeen && holdsBatch ? this.#stillMs + passedMs : 0;
    this.#stepsSeen = steps;
    if (this.#stillMs <= limitMs) return;
    this.#stillMs = 0;
    this.handle.fail(`it has been at one batch for ${Math.round(limitMs / 1000)} s`);
  }

  /**
   * Waits until the thread of a dead worker has ended, which `Worker.terminate()` does not: as long as the thread runs,
   * it may write to slots that others would take over.
   *
   * @returns false when the thread still runs after `timeoutMs`
   */
  async threadEnds(timeoutMs: number): Promise<boolean> {
    // 0: the thread never began.
    const thread = Atomics.exchange(this.plan.thread, 0, 0);
    const deadlineMs = performance.now() + timeoutMs;
    while (thread !== 0 && !threadEnded(thread)) {
      if (performance.now() > deadlineMs) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return true;
  }
}
