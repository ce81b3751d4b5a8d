/**
 * The router worker: owns libbpf, the router's programs and the three rings, reads each in its own time and posts what
 * was in it. Composition root of lib/ffi and the decoder; the protocol is in protocol.ts.
 */
/// <reference lib="deno.worker" />
import { requireCapabilities } from "../ffi/capabilities.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { RouterProbe } from "../ffi/router_probe.ts";
import type { TakeSample } from "../ffi/ring_cursor.ts";
import type { Machine } from "../ffi/syscalls.ts";
import { WorkerMain } from "../worker_main.ts";
import { EventDecoder } from "./event_decoder.ts";
import {
  EVENT_TYPES,
  type HealthReport,
  type RingName,
  type RouterEvent,
  type RouterOptions,
  type RouterReport,
  type RouterRequest,
  SHARED_RINGS,
  type SharedRing,
} from "./protocol.ts";
import { RingSize } from "./ring_size.ts";

function report(message: RouterReport): void {
  self.postMessage(message);
}

/** How long records of a ring may wait for company. */
const PERIOD_MS: Record<Exclude<RingName, "critical">, number> = { normal: 100, isolated: 100, debug: 1_000 };

/** While records of another ring are decoded, critical is looked at this often. */
const RECORDS_BETWEEN_LOOKS = 64;

/** Records of a ring that is not critical in one report: how long a critical one may stand behind it. */
const RECORDS_A_REPORT_MAX = 64;

/** Reports that may wait for the main thread; further ones stay in their rings, which count what they cannot take. */
const REPORTS_AHEAD_MAX = 2;
/** How soon to look whether the main thread has caught up. */
const BEHIND_MS = 5;

const HELD_PIDS_MAX = 20;
const NS_PER_MS = 1_000_000n;

const main = new WorkerMain<RouterRequest, Run>();

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  readonly #options: RouterOptions;
  readonly #owned: DisposableStack;
  readonly #probe: RouterProbe;
  readonly #decoder = new EventDecoder(Deno.build.arch as Machine);
  readonly #sizes: Record<SharedRing, RingSize>;
  readonly #dueMs = { normal: 0, isolated: 0, debug: 0, health: 0 };
  #droppedByType: bigint[] = EVENT_TYPES.map(() => 0n);
  #undecodable = 0n;
  #notices: string[] = [];
  #reportsAhead = 0;
  #stopping = false;
  /** Ends when the loop has. */
  readonly ended: Promise<void>;

  private constructor(options: RouterOptions, held: { owned: DisposableStack; probe: RouterProbe }) {
    this.#options = options;
    this.#owned = held.owned;
    this.#probe = held.probe;
    const sizeOf = (ring: SharedRing) => new RingSize(this.#probe.ringState(ring).capacityBytes, options.ringBytesMax);
    this.#sizes = { critical: sizeOf("critical"), normal: sizeOf("normal"), debug: sizeOf("debug") };
    const now = performance.now();
    this.#dueMs.normal = now + PERIOD_MS.normal;
    this.#dueMs.isolated = this.#probe.ringNames.includes("isolated") ? now + PERIOD_MS.isolated : Infinity;
    this.#dueMs.debug = now + PERIOD_MS.debug;
    this.#dueMs.health = now + options.healthMs;
    this.ended = main.guarded(() => this.#loop());
  }

  static start(options: RouterOptions): Run {
    using stack = new DisposableStack();
    requireCapabilities("watch events");
    const libbpf = stack.use(openLibbpf({ path: options.libbpfPath, embeddedDir: `${options.assetsDir}/lib` }));
    const elf = Deno.readFileSync(`${options.assetsDir}/bpf/router.bpf.o`);
    const probe = stack.use(new RouterProbe(libbpf, elf, options));
    probe.attach();
    const { sources, notices } = probe;
    const { version, source } = libbpf;
    report({ kind: "ready", sources: [...sources], notices: [...notices], libbpf: { version, source } });
    return new Run(options, { owned: stack.move(), probe });
  }

  taken(reports: number): void {
    this.#reportsAhead -= reports;
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const now = performance.now();
      const dueMs = Math.min(...Object.values(this.#dueMs)) - now;
      const woken = await this.#probe.wait(Math.max(0, Math.ceil(dueMs)));
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
    if (this.#reportsAhead >= REPORTS_AHEAD_MAX) {
      this.#dueMs[ring] = now + BEHIND_MS;
      return;
    }
    const records = this.#drain(ring, RECORDS_A_REPORT_MAX);
    // There may be more, for which critical, and requests to this worker, are not kept waiting.
    this.#dueMs[ring] = records >= RECORDS_A_REPORT_MAX ? now : now + PERIOD_MS[ring];
  }

  /** Best effort: whatever goes wrong with debug events is told and does not touch the others. */
  #drainDebug(woken: RingName[]): void {
    try {
      if (performance.now() >= this.#dueMs.debug) this.#probe.flushRepeats(false);
      this.#drainWhenDue("debug", woken);
    } catch (error) {
      this.#notices.push(`debug events: ${(error as Error).message}`);
    }
  }

  /** @returns records read */
  #drain(ring: RingName, recordsMax?: number): number {
    if (ring !== "isolated") this.#sizes[ring].observe(this.#probe.ringState(ring).fill);
    return this.#collect(ring, (take) => this.#probe.read(ring, take, recordsMax));
  }

  /** Posts the events that `read` hands out. @returns what it returned */
  #collect(ring: RingName, read: (take: TakeSample) => number): number {
    const events: RouterEvent[] = [];
    let records = 0;
    try {
      return read((data, offset, lengthBytes) => {
        const event = this.#decoder.decode(data, offset, lengthBytes);
        if (event === null) this.#undecodable++;
        else events.push(event);
        if (ring !== "critical" && ++records % RECORDS_BETWEEN_LOOKS === 0) this.#drain("critical");
      });
    } finally {
      if (events.length > 0) {
        this.#reportsAhead++;
        report({ kind: "events", ring, events });
      }
    }
  }

  #resize(): void {
    const { dropped, spilled } = this.#probe.counters();
    SHARED_RINGS.forEach((ring, i) => {
      const { capacityBytes } = this.#probe.ringState(ring);
      const bytes = this.#sizes[ring].next(dropped[i] + spilled[i]);
      if (bytes === capacityBytes) return;
      this.#collect(ring, (take) => this.#probe.resize(ring, bytes, take));
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
      rings: this.#probe.ringNames.map((ring, i) => {
        const { consumed, fill, capacityBytes } = this.#probe.ringState(ring);
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
      undecodable: this.#undecodable,
    };
    if (this.#notices.length > 0) health.notices = this.#notices;
    this.#notices = [];
    return health;
  }

  /** Detaches, reads what is left, and answers with the last numbers: nothing is inside any more. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.ended;
    this.#probe.detach();
    // A wait for programs that still run: their last records come before what they held back.
    this.#probe.fence();
    for (const ring of this.#probe.ringNames) this.#drain(ring);
    this.#probe.flushRepeats(true);
    for (const ring of this.#probe.ringNames) this.#drain(ring);
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
