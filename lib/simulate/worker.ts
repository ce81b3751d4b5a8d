/**
 * The worker that makes up events. A BPF program puts them into rings, from which they take the path of real events;
 * without a kernel they are sent into the first channel.
 */
/// <reference lib="deno.worker" />
import { breathe } from "../runtime/breathe.ts";
import { requireCapabilities } from "../ffi/capabilities.ts";
import { EventSimulator, SIMULATED_BURST_MAX } from "./event_simulator.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { monotonicNs } from "../ffi/libc.ts";
import { SOURCE_WORKER } from "../pipeline/channel/channel.ts";
import { Feed, laneOf } from "../pipeline/channel/feed.ts";
import { openSenders } from "../pipeline/channel/open_channel.ts";
import { SHARED_RINGS, type SharedRing } from "../events/event.ts";
import { WorkerMain } from "../runtime/worker_main.ts";
import type { SimulateOptions, SimulateReport, SimulateRequest } from "./simulate_messages.ts";
import { SyntheticEvents } from "./synthetic_events.ts";

/** Upper bound of synthetic events between two looks at messages. */
const BURST_MAX = 4_096;
/** How long to wait for room before messages are looked at. */
const FULL_MS = 5;
/** Pause between two bursts when a rate is given. */
const PACE_MS = 1;

const RING_BYTES: Record<SharedRing, number> = { critical: 1_048_576, normal: 1_048_576, debug: 1_048_576 };

const main = new WorkerMain<SimulateRequest, Run>();

function report(message: SimulateReport): void {
  self.postMessage(message);
}

/** A source of events, which sends them into the pipeline. */
interface Source {
  /** Makes events, at most `events`, and sends those for which there is room. @returns events made */
  burst(events: number): Promise<number>;
  /** Sends all events that have not been sent yet. */
  finish(): Promise<void>;
  readonly rings: ReturnType<EventSimulator["rings"]>;
}

class KernelSource implements Source {
  readonly #simulator: EventSimulator;
  readonly #feed: Feed;

  constructor(stack: DisposableStack, feed: Feed, assetsDir: string) {
    requireCapabilities("simulate events in the kernel");
    const libbpf = stack.use(openLibbpf({ embeddedDir: `${assetsDir}/lib` }));
    const elf = Deno.readFileSync(`${assetsDir}/bpf/simulate.bpf.o`);
    this.#simulator = stack.use(new EventSimulator(libbpf, elf, RING_BYTES));
    this.#feed = feed;
  }

  async burst(wanted: number): Promise<number> {
    const events = Math.min(wanted, SIMULATED_BURST_MAX, this.#simulator.room);
    if (events === 0) {
      await this.#drain();
      return 0;
    }
    let made = false;
    const making = this.#simulator.produce(events).finally(() => made = true);
    // The program runs on another thread; this one empties the rings meanwhile.
    while (!made) {
      await this.#drain();
      await breathe();
    }
    await making;
    return events;
  }

  /**
   * Empties the rings into the pipeline; waits a moment when it has no room.
   *
   * @returns true when it had none for an event
   */
  async #drain(): Promise<boolean> {
    let full: SharedRing | null = null;
    for (const ring of SHARED_RINGS) {
      this.#simulator.read(ring, (data, offset, lengthBytes) => {
        if (this.#feed.take(ring, data, offset, lengthBytes)) return true;
        full = ring;
        return false;
      });
      this.#feed.flush(laneOf(ring));
    }
    // Waits for the lane that is full: the other one may have room, and the wait would end at once.
    if (full !== null) await this.#feed.waitWritable(full, FULL_MS);
    return full !== null;
  }

  async finish(): Promise<void> {
    while (await this.#drain());
  }

  get rings(): ReturnType<EventSimulator["rings"]> {
    return this.#simulator.rings();
  }
}

class SyntheticSource implements Source {
  readonly #events = new SyntheticEvents(monotonicNs);
  readonly #feed: Feed;
  readonly rings = [];

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  async burst(wanted: number): Promise<number> {
    const events = Math.min(wanted, BURST_MAX);
    for (let i = 0; i < events; i++) {
      const { ring, data, lengthBytes } = this.#events.next();
      while (!this.#feed.take(ring, data, 0, lengthBytes)) {
        this.#feed.flush(laneOf(ring));
        await this.#feed.waitWritable(ring, FULL_MS);
      }
    }
    await this.finish();
    await breathe();
    return events;
  }

  finish(): Promise<void> {
    this.#feed.flush("urgent");
    this.#feed.flush("bulk");
    return Promise.resolve();
  }
}

class Run implements Disposable {
  readonly #options: SimulateOptions;
  readonly #owned: DisposableStack;
  readonly #source: Source;
  #stopping = false;

  constructor(options: SimulateOptions) {
    using stack = new DisposableStack();
    this.#options = options;
    const feed = new Feed(openSenders(stack, options.output, SOURCE_WORKER));
    this.#source = options.kernel ? new KernelSource(stack, feed, options.assetsDir) : new SyntheticSource(feed);
    this.#owned = stack.move();
    report({ kind: "ready" });
    void main.guarded(() => this.#run());
  }

  stop(): void {
    this.#stopping = true;
  }

  async #run(): Promise<void> {
    const { events: wanted, rate } = this.#options;
    const startMs = performance.now();
    let events = 0;
    while (events < wanted && !this.#stopping) {
      const due = rate === 0 ? wanted : Math.min(wanted, Math.floor((performance.now() - startMs) / 1000 * rate));
      if (due <= events) {
        await new Promise((resolve) => setTimeout(resolve, PACE_MS));
        continue;
      }
      events += await this.#source.burst(due - events);
    }
    await this.#source.finish();
    const seconds = (performance.now() - startMs) / 1000;
    report({ kind: "stopped", result: { events, rings: this.#source.rings, seconds } });
    main.end();
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}

main.serve((request) => {
  switch (request.kind) {
    case "start":
      main.run = new Run(request.options);
      return;
    case "stop":
      main.run?.stop();
      return;
    default:
      request satisfies never;
  }
});
