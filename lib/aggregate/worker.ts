/**
 * The aggregator worker: owns libbpf, the flow programs and their maps, ends a window when it is due and posts what was
 * in it. Composition root of lib/ffi and the pure reducer; the protocol is in protocol.ts.
 */
/// <reference lib="deno.worker" />
import { requireCapabilities } from "../ffi/capabilities.ts";
import { FlowProbe, resolveInterfaces } from "../ffi/flow_probe.ts";
import { monotonicNs } from "../ffi/libc.ts";
import { openLibbpf } from "../ffi/libbpf.ts";
import { WorkerMain } from "../worker_main.ts";
import { parseFilter } from "./filter.ts";
import { FlowReducer } from "./flow_reducer.ts";
import { TickClock } from "./tick_clock.ts";
import type { AggregatorOptions, AggregatorReport, AggregatorRequest, FlowWindow } from "./protocol.ts";

function report(message: AggregatorReport): void {
  self.postMessage(message);
}

const MS_PER_S = 1_000;
const NS_PER_MS = 1_000_000n;

const main = new WorkerMain<AggregatorRequest, Run>();

/** One run: from `start` to `stop`. */
class Run implements Disposable {
  readonly #windowNs: bigint;
  readonly #owned: DisposableStack;
  readonly #probe: FlowProbe;
  readonly #reducer: FlowReducer;
  readonly #clock: TickClock;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sequence = 0;
  #startNs: bigint;
  /** When the current window is due; windows stay on this grid even when a drain takes long. */
  #dueNs: bigint;

  /** @param held an attached probe, and what to dispose of in the end */
  private constructor(
    options: AggregatorOptions,
    held: { owned: DisposableStack; probe: FlowProbe; clock: TickClock; startNs: bigint },
  ) {
    this.#windowNs = BigInt(options.windowMs) * NS_PER_MS;
    this.#owned = held.owned;
    this.#probe = held.probe;
    this.#clock = held.clock;
    this.#startNs = held.startNs;
    this.#dueNs = held.startNs + this.#windowNs;
    const interfaceOfSlot: (string | undefined)[] = [];
    this.#probe.interfaces.forEach(({ name }, i) => interfaceOfSlot[this.#probe.slotOf[i]] = name);
    this.#reducer = new FlowReducer({
      interfaceOfSlot,
      valuesPerEntry: options.values === "percpu" ? this.#probe.cpus : 1,
      topMax: options.topMax,
      filter: options.filter === "" ? null : parseFilter(options.filter),
    });
  }

  static async start(options: AggregatorOptions): Promise<Run> {
    using stack = new DisposableStack();
    const interfaces = resolveInterfaces(options.interfaces);
    requireCapabilities(`watch ${options.interfaces.join(", ")}`);
    const libbpf = stack.use(openLibbpf({ path: options.libbpfPath, embeddedDir: `${options.assetsDir}/lib` }));
    const elf = Deno.readFileSync(`${options.assetsDir}/bpf/flow.bpf.o`);
    const probe = stack.use(await FlowProbe.open(libbpf, elf, interfaces, options));
    const clock = new TickClock(probe.sampleClock());
    const startNs = monotonicNs();
    const attached = probe.attach(options);
    report({ kind: "ready", ...attached, startNs, libbpf: { version: libbpf.version, source: libbpf.source } });
    await probe.prepareSpare();
    const run = new Run(options, { owned: stack.move(), probe, clock, startNs });
    run.#schedule();
    return run;
  }

  #schedule(): void {
    const now = monotonicNs();
    while (this.#dueNs <= now) this.#dueNs += this.#windowNs;
    this.#timer = setTimeout(() => main.guarded(() => this.#tick()), Number((this.#dueNs - now) / NS_PER_MS) + 1);
  }

  #tick(): void {
    // A timer may fire early by a fraction of a millisecond.
    if (monotonicNs() >= this.#dueNs) {
      this.#endWindow();
      for (const iface of this.#probe.takeGone()) {
        report({ kind: "interface_gone", iface: iface.name, remaining: this.#probe.watched });
      }
    }
    this.#schedule();
  }

  #endWindow(): void {
    const swapStart = performance.now();
    const { side, atNs } = this.#probe.swap();
    const endUnixNs = BigInt(Date.now()) * NS_PER_MS;
    const drainStart = performance.now();
    this.#probe.drain(side, (family, batch) => this.#reducer.addBatch(family, batch));
    this.#probe.takeCounters(side, (block) => this.#reducer.addCounters(block));
    this.#clock.addSample(this.#probe.sampleClock());
    const window: FlowWindow = {
      sequence: this.#sequence++,
      startNs: this.#startNs,
      endNs: atNs,
      endUnixNs,
      capacity: this.#probe.capacity,
      ...this.#reducer.finish(this.#clock),
      swapSeconds: (drainStart - swapStart) / MS_PER_S,
      drainSeconds: (performance.now() - drainStart) / MS_PER_S,
      programs: this.#probe.programStats(),
    };
    this.#startNs = atNs;
    report({ kind: "window", window });
  }

  /** Detaches, then drains what was counted until then: the last window, shorter than the others. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#probe.detach();
    this.#endWindow();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#owned[Symbol.dispose]();
  }
}

main.serve(async (request) => {
  switch (request.kind) {
    case "start":
      main.run = await Run.start(request.options);
      return;
    case "stop":
      main.run?.stop();
      main.end();
      report({ kind: "stopped" });
      return;
    default:
      request satisfies never;
  }
});
