/**
 * Flows between the kernel and the aggregator worker: the probe, the reducer over what it drains, and the clock between
 * them. Composes lib/ffi with what is pure.
 */
import { IpfixEncoder, type TickToUnixMs } from "./ipfix_encoder.ts";
import type { DrainedMap } from "./flow_maps.ts";
import { FlowProbe } from "./flow_probe.ts";
import type { GoneInterface } from "./flow_attachments.ts";
import { monotonicNs } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { parseFlowFilter } from "../../filter/language.ts";
import type { ClockSample } from "../../wire/records.ts";
import { drainWindow } from "./drain_window.ts";
import type { FlowOwnerSource } from "../owners/flow_owner_source.ts";
import { FlowReducer } from "./flow_reducer.ts";
import { MapGrowth } from "./overflow_growth.ts";
import type { AttachedInterface, FlowOptions } from "./flow_options.ts";
import type { FlowWindow } from "../windows/flow_window.ts";
import type { RetransmitWatch } from "../retransmits/retransmit_watch.ts";
import { TickClock } from "../windows/tick_clock.ts";
import type { WindowLoad } from "../windows/window_controller.ts";

const MS_PER_S = 1_000;
const NS_PER_MS = 1_000_000n;

/** A complete window, and what was asked for beside it. */
export interface FinishedFlows {
  window: FlowWindow;
  /** IPFIX messages with all flows of the window; null where nobody wants them. */
  flowRecords: ArrayBuffer | null;
  load: WindowLoad;
}

/** Something that an operator should know. */
export interface FlowNotice {
  alert: string;
  message: string;
}

function loadOf({ v4, v6 }: { v4: DrainedMap; v6: DrainedMap }, window: FlowWindow): WindowLoad {
  return {
    durationMs: Number(window.endNs - window.startNs) / 1e6,
    fill: Math.max(v4.entries / v4.entriesMax, v6.entries / v6.entriesMax),
    overflowed: v4.overflowed || v6.overflowed,
    drainMs: (window.swapSeconds + window.drainSeconds) * MS_PER_S,
  };
}

/** What flows are joined with is the caller's, and outlives the watch. */
export interface FlowWatchOptions {
  options: FlowOptions;
  /** null: nobody asks whose flow it is. */
  owners: FlowOwnerSource | null;
  /** null: nobody asks what was sent again. Its windows are the flows'. */
  retransmits: RetransmitWatch | null;
}

export class FlowWatch implements Disposable {
  readonly #options: FlowOptions;
  readonly #probe: FlowProbe;
  readonly #reducer: FlowReducer;
  readonly #clock: TickClock;
  /** null: nobody wants all flows. */
  readonly #ipfix: IpfixEncoder | null;
  readonly #retransmits: RetransmitWatch | null;
  readonly #growth: { v4: MapGrowth; v6: MapGrowth };
  /** Maps of other sizes are being made. */
  #resizing: Promise<void> | null = null;
  #hasGrown = false;
  #detached = false;
  #notices: FlowNotice[] = [];
  #sequence = 0;
  #startNs = 0n;

  private constructor(probe: FlowProbe, { options, owners, retransmits }: FlowWatchOptions) {
    this.#options = options;
    this.#probe = probe;
    this.#retransmits = retransmits;
    this.#clock = new TickClock(probe.sampleClock());
    const growth = () => new MapGrowth(options.flowsMax, options.flowsLimit ?? options.flowsMax);
    this.#growth = { v4: growth(), v6: growth() };
    const interfaceOfSlot: (string | undefined)[] = [];
    const ifindexOfSlot: number[] = [];
    probe.attachments.interfaces.forEach(({ name, ifindex }, i) => {
      interfaceOfSlot[probe.slotOf[i]] = name;
      ifindexOfSlot[probe.slotOf[i]] = ifindex;
    });
    const valuesPerEntry = options.values === "percpu" ? probe.cpus : 1;
    this.#ipfix = options.allFlows === true ? new IpfixEncoder({ ifindexOfSlot, valuesPerEntry }) : null;
    this.#reducer = new FlowReducer({
      interfaceOfSlot,
      valuesPerEntry,
      topMax: options.topMax,
      order: options.order,
      filter: options.filter === "" ? null : parseFlowFilter(options.filter),
      owners,
      retransmits: retransmits?.table,
    });
  }

  /** Loads the programs; attaches to nothing yet. */
  static async open(
    libbpf: Libbpf,
    interfaces: { name: string; ifindex: number }[],
    watched: FlowWatchOptions,
  ): Promise<FlowWatch> {
    const { options } = watched;
    using stack = new DisposableStack();
    const elf = Deno.readFileSync(`${options.assetsDir}/bpf/flow.bpf.o`);
    const probe = stack.use(await FlowProbe.open(libbpf, elf, interfaces, options));
    const watch = new FlowWatch(probe, watched);
    stack.move();
    return watch;
  }

  /** Starts counting; the first window starts now. */
  attach(): { interfaces: AttachedInterface[]; notices: string[] } {
    this.#startNs = monotonicNs();
    return this.#probe.attachments.attach(this.#options);
  }

  /** Makes what the first window's end needs. */
  async prepare(): Promise<void> {
    await this.#probe.prepareSpare();
  }

  /** Stops counting; a window that is ended afterwards has the rest. */
  detach(): void {
    this.#detached = true;
    this.#probe.attachments.detach();
  }

  /** Interfaces that are watched no more since the last call, and how many are left. */
  takeGone(): { gone: GoneInterface[]; remaining: number } {
    const { gone, notices } = this.#probe.attachments.takeChanges();
    this.#notices.push(...notices);
    return { gone, remaining: this.#probe.attachments.watched };
  }

  endWindow(): FinishedFlows {
    const swapStart = performance.now();
    const { side, atNs } = this.#probe.swap(() => this.#retransmits?.flip());
    const endUnixNs = BigInt(Date.now()) * NS_PER_MS;
    const drainStart = performance.now();
    const sample = this.#probe.sampleClock();
    this.#clock.addSample(sample);
    const toUnixMs = this.#tickToUnixMs(sample, endUnixNs + sample.monotonicNs - atNs);
    this.#retransmits?.take();
    const drained = drainWindow(this.#probe, side, {
      reducer: this.#reducer,
      alsoTake: (family, batch) => this.#ipfix?.addBatch(family, batch, toUnixMs),
    });
    const flowRecords = this.#ipfix?.take() ?? null;
    const window: FlowWindow = {
      sequence: this.#sequence++,
      startNs: this.#startNs,
      endNs: atNs,
      endUnixNs,
      capacity: this.#probe.capacityOf(side),
      ...this.#reducer.finish(this.#clock),
      ...this.#retransmits?.finish(),
      swapSeconds: (drainStart - swapStart) / MS_PER_S,
      drainSeconds: (performance.now() - drainStart) / MS_PER_S,
      programs: this.#probe.programStats(),
    };
    this.#startNs = atNs;
    if (!this.#detached) this.#resize(drained, window);
    return { window, flowRecords, load: loadOf(drained, window) };
  }

  /** Starts to make the spare maps as large as they should be; the next windows go on meanwhile. */
  #resize(drained: { v4: DrainedMap; v6: DrainedMap }, { startNs, endNs }: FlowWindow): void {
    const durationNs = endNs - startNs;
    const wanted = {
      v4: this.#growth.v4.observe({ ...drained.v4, durationNs }),
      v6: this.#growth.v6.observe({ ...drained.v6, durationNs }),
    };
    if (this.#resizing !== null || (wanted.v4 === drained.v4.entriesMax && wanted.v6 === drained.v6.entriesMax)) return;
    const grows = wanted.v4 > drained.v4.entriesMax || wanted.v6 > drained.v6.entriesMax;
    this.#resizing = this.#probe.resizeSpare(wanted).then(
      () => {
        if (grows && !this.#hasGrown) {
          this.#hasGrown = true;
          const limit = this.#options.flowsLimit!;
          const message = `flow map full: it grows from window to window, to ${limit} flows at most`;
          this.#notices.push({ alert: "flow_map_grown", message });
        }
      },
      (error) => {
        // Without memory for more, what there is has to do.
        this.#growth.v4.giveUp(drained.v4.entriesMax);
        this.#growth.v6.giveUp(drained.v6.entriesMax);
        this.#notices.push({
          alert: "flow_map_limit",
          message: `the flow maps cannot grow: ${(error as Error).message}`,
        });
      },
    ).finally(() => this.#resizing = null);
  }

  /** What happened since the last call. */
  takeNotices(): FlowNotice[] {
    return this.#notices.splice(0);
  }

  /** Returns when nothing is being made any more. */
  async settle(): Promise<void> {
    await this.#resizing;
  }

  /** @param sampleUnixNs when the sample was taken, on the wall clock */
  #tickToUnixMs(sample: ClockSample, sampleUnixNs: bigint): TickToUnixMs {
    const sampleMs = Number(sampleUnixNs) / 1e6;
    const sampleJiffies = Number(sample.jiffies);
    const tickMs = Number(this.#clock.tickNs) / 1e6;
    return (jiffies) => sampleMs - (sampleJiffies - jiffies) * tickMs;
  }

  [Symbol.dispose](): void {
    this.#probe[Symbol.dispose]();
  }
}
