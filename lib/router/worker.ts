/**
 * The router worker: loads and attaches the router's programs, reads each ring at its own pace and sends the records
 * into the first channel of the pipeline. router_messages.ts holds what it and the main thread tell each other.
 */
/// <reference lib="deno.worker" />
import { refusalOf } from "../runtime/errors.ts";
import { requireCapabilities } from "../ffi/capabilities.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { RouterProbe } from "./router_probe.ts";
import { readRouterElfs } from "./router_programs.ts";
import { SOURCE_WORKER } from "../pipeline/channel/channel.ts";
import { Feed, laneOf } from "../pipeline/channel/feed.ts";
import { openSenders } from "../pipeline/channel/open_channel.ts";
import { WorkerMain } from "../runtime/worker_main.ts";
import { EVENT_TYPES, type RingName, SHARED_RINGS, type SharedRing } from "../events/event.ts";
import type { HealthReport, RouterOptions, RouterReport, RouterRequest } from "./router_messages.ts";
import type { RuleSet } from "../events/rule_set.ts";
import { RingSize } from "./ring_size.ts";

function report(message: RouterReport): void {
  self.postMessage(message);
}

/** How long records of a ring may wait, so that many are read together. Critical ones do not wait. */
const PERIOD_MS: Record<Exclude<RingName, "critical">, number> = { normal: 100, isolated: 100, debug: 1_000 };

/** The critical ring is read each time that so many records of another ring have been copied. */
const RECORDS_BETWEEN_LOOKS = 64;

/** Records of a ring, but for the critical one, that are read in one turn: between turns the worker takes requests. */
const RECORDS_A_TURN_MAX = 4_096;

/** After the pipeline had no room for a record, how soon the ring is read again. */
const BEHIND_MS = 2;

/** Processes in a report that were rate limited most. */
const HELD_PIDS_MAX = 20;
const NS_PER_MS = 1_000_000n;

const main = new WorkerMain<RouterRequest, Run>();

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  readonly #options: RouterOptions;
  readonly #owned: DisposableStack;
  readonly #probe: RouterProbe;
  readonly #feed: Feed;
  readonly #sizes: Record<SharedRing, RingSize>;
  readonly #dueMs = { critical: Infinity, normal: 0, isolated: 0, debug: 0, health: 0 };
  #droppedByType: bigint[] = EVENT_TYPES.map(() => 0n);
  #notices: string[] = [];
  #stopping = false;
  /** Resolves when the loop has ended. */
  readonly ended: Promise<void>;

  private constructor(
    options: RouterOptions,
    held: { owned: DisposableStack; probe: RouterProbe; feed: Feed },
  ) {
    this.#options = options;
    this.#owned = held.owned;
    this.#probe = held.probe;
    this.#feed = held.feed;
    const sizeOf = (ring: SharedRing) =>
      new RingSize(this.#probe.rings.state(ring).capacityBytes, options.ringBytesMax);
    this.#sizes = { critical: sizeOf("critical"), normal: sizeOf("normal"), debug: sizeOf("debug") };
    const now = performance.now();
    this.#dueMs.normal = now + PERIOD_MS.normal;
    this.#dueMs.isolated = this.#probe.rings.names.includes("isolated") ? now + PERIOD_MS.isolated : Infinity;
    this.#dueMs.debug = now + PERIOD_MS.debug;
    this.#dueMs.health = now + options.healthMs;
    this.ended = main.guarded(() => this.#loop());
  }

  static start(options: RouterOptions): Run {
    using stack = new DisposableStack();
    requireCapabilities("watch events");
    const libbpf = stack.use(openLibbpf({ path: options.libbpfPath, embeddedDir: `${options.assetsDir}/lib` }));
    const probe = stack.use(new RouterProbe(libbpf, readRouterElfs(options.assetsDir), options));
    const feed = new Feed(openSenders(stack, options.output, SOURCE_WORKER));
    probe.attach();
    const { sources, notices } = probe;
    const { version, source } = libbpf;
    report({ kind: "ready", sources: [...sources], notices: [...notices], libbpf: { version, source } });
    return new Run(options, { owned: stack.move(), probe, feed });
  }

  /** Puts rules in force and reports their generation, or why they cannot be. */
  setRules(ruleSet: RuleSet): void {
    try {
      report({ kind: "rules", result: { generation: this.#probe.setRules(ruleSet) } });
    } catch (error) {
      report({ kind: "rules", result: { error: (error as Error).message } });
    }
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const now = performance.now();
      const dueMs = Math.min(...Object.values(this.#dueMs)) - now;
      const woken = await this.#probe.rings.wait(Math.max(0, Math.ceil(dueMs)));
      this.#drain("critical");
      this.#drainWhenDue("isolated", woken);
      this.#drainWhenDue("normal", woken);
      this.#drainDebug(woken);
      if (performance.now() >= this.#dueMs.health) {
        this.#dueMs.health += this.#options.healthMs;
        report({ kind: "health", health: this.#health() });
        this.#resize();
      }
    }
  }

  #drainWhenDue(ring: Exclude<RingName, "critical">, woken: RingName[]): void {
    const now = performance.now();
    if (now < this.#dueMs[ring] && !woken.includes(ring)) return;
    // Debug events stay in their ring, so that normal ones keep room: a full ring makes its programs sample.
    if (ring === "debug" && this.#feed.bulkIsHalfFull) {
      this.#dueMs[ring] = now + BEHIND_MS;
      return;
    }
    const { records, refused } = this.#drain(ring, RECORDS_A_TURN_MAX);
    const next = refused ? BEHIND_MS : records >= RECORDS_A_TURN_MAX ? 0 : PERIOD_MS[ring];
    this.#dueMs[ring] = now + next;
  }

  /** Reads the debug ring. An error becomes a notice and does not end the run, as debug events are best effort. */
  #drainDebug(woken: RingName[]): void {
    try {
      if (performance.now() >= this.#dueMs.debug) this.#probe.flushRepeats(false);
      this.#drainWhenDue("debug", woken);
    } catch (error) {
      // Without a new time the loop would try again at once, without end.
      this.#dueMs.debug = performance.now() + PERIOD_MS.debug;
      this.#notices.push(`debug events: ${(error as Error).message}`);
    }
  }

  /**
   * Copies a ring's records into the pipeline. `refused`: the pipeline had no room for some, which stay in the ring.
   */
  #drain(ring: RingName, recordsMax?: number): { records: number; refused: boolean } {
    if (ring !== "isolated") this.#sizes[ring].observe(this.#probe.rings.state(ring).fill);
    let refused = false;
    let sinceLook = 0;
    const records = this.#probe.rings.read(ring, (data, offset, lengthBytes) => {
      if (!this.#feed.take(ring, data, offset, lengthBytes)) {
        refused = true;
        return false;
      }
      if (ring !== "critical" && ++sinceLook % RECORDS_BETWEEN_LOOKS === 0) this.#drain("critical");
    }, recordsMax);
    if (ring === "critical") this.#dueMs.critical = refused ? performance.now() + BEHIND_MS : Infinity;
    this.#feed.flush(laneOf(ring));
    return { records, refused };
  }

  /** Copies all that is left in the rings, and waits for room where the pipeline has none. */
  async #drainAll(): Promise<void> {
    for (const ring of this.#probe.rings.names) {
      while (this.#drain(ring).refused || this.#feed.unsent(ring) > 0) await this.#feed.waitWritable(ring, BEHIND_MS);
    }
  }

  #resize(): void {
    const { dropped, spilled } = this.#probe.counters();
    SHARED_RINGS.forEach((ring, i) => {
      const { capacityBytes } = this.#probe.rings.state(ring);
      const bytes = this.#sizes[ring].next(dropped[i] + spilled[i]);
      if (bytes === capacityBytes) return;
      try {
        this.#probe.rings.resize(
          ring,
          bytes,
          (data, offset, length) => this.#feed.takeLast(ring, data, offset, length),
        );
      } catch (error) {
        // Mostly there is no memory for it. The old ring stays in use, and drops are counted as before.
        if (refusalOf(error) === null) throw error;
        this.#notices.push(`ring ${ring} keeps its ${capacityBytes / 1024} KiB: ${(error as Error).message}`);
        return;
      }
      this.#feed.flush(laneOf(ring));
      this.#notices.push(`ring ${ring} now has ${bytes / 1024} KiB, it had ${capacityBytes / 1024}`);
    });
  }

  #health(): HealthReport {
    const counters = this.#probe.counters();
    const droppedByType = EVENT_TYPES
      .map((event, i) => ({ event, count: counters.droppedByType[i] - this.#droppedByType[i] }))
      .filter(({ count }) => count > 0n);
    this.#droppedByType = counters.droppedByType;
    const rateLimitedByPid = [...this.#probe.held().rateLimited]
      .map(([pid, count]) => ({ pid, count }))
      .sort((a, b) => a.count < b.count ? 1 : a.count > b.count ? -1 : a.pid - b.pid)
      .slice(0, HELD_PIDS_MAX);
    const health: HealthReport = {
      unixNs: BigInt(Date.now()) * NS_PER_MS,
      rings: this.#probe.rings.names.map((ring, i) => {
        const { consumed, fill, capacityBytes } = this.#probe.rings.state(ring);
        return {
          ring,
          submitted: counters.submitted[i],
          dropped: counters.dropped[i],
          failures: counters.failures[i],
          spilled: counters.spilled[i],
          consumed: BigInt(consumed),
          fill,
          capacityBytes,
        };
      }),
      droppedByType,
      rateLimited: counters.rateLimited,
      rateLimitedByPid,
      sampledOut: counters.sampledOut,
      repeatsSuppressed: counters.repeatsHeld,
      filtered: counters.filtered,
    };
    if (this.#notices.length > 0) health.notices = this.#notices;
    this.#notices = [];
    return health;
  }

  /** Detaches, reads what is left, and reports the last counters, after which the rings are empty. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.ended;
    // The loop failed in its last round, which is reported: what this run held is disposed of by now.
    if (main.run !== this) return;
    this.#probe.detach();
    // Programs that still run come first: their last records are older than the repeats that they hold back.
    this.#probe.fence();
    await this.#drainAll();
    this.#probe.flushRepeats(true);
    await this.#drainAll();
    report({ kind: "stopped", health: this.#health() });
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

main.serve(async (request) => {
  switch (request.kind) {
    case "start":
      main.run = Run.start(request.options);
      return;
    case "rules":
      main.run?.setRules(request.ruleSet);
      return;
    case "stop":
      await main.run?.stop();
      main.end();
      return;
    default:
      request satisfies never;
  }
});
