/**
 * Packets of a capture into windows on the capture's own time line. They begin with its first packet and follow each
 * other without a gap but where nothing was captured for longer than a window: such a silence leaves none.
 */
import { drainWindow } from "../aggregate/flows/drain_window.ts";
import type { FlowReducer } from "../aggregate/flows/flow_reducer.ts";
import { MapGrowth } from "../aggregate/flows/overflow_growth.ts";
import type { FlowWindow } from "../aggregate/windows/flow_window.ts";
import { SIDES } from "../ffi/side.ts";
import type { DrainedMap } from "../aggregate/flows/flow_maps.ts";
import type { FlowProbe } from "../aggregate/flows/flow_probe.ts";
import type { FrameReplay } from "../aggregate/flows/frame_replay.ts";
import type { CaptureFrame } from "./capture_frame.ts";
import { writeEthernet } from "./link_layer.ts";

const NS_PER_MS = 1_000_000n;
const MS_PER_S = 1_000;

/** A flow's ticks are the capture's nanoseconds and one more: zero says that a value was never written. */
const CAPTURE_CLOCK = { toNs: (ticks: bigint) => ticks - 1n };

/** What the capture held, for comparison with what was counted. */
export interface CaptureCounts {
  frames: number;
  /** On the wire. */
  bytes: number;
  /** Shorter in the file than on the wire. */
  cutFrames: number;
}

export interface ReplayedWindowsOptions {
  windowMs: number;
  /** Entries of the IPv4 map, and of the IPv6 map, and how many a map that was full may have; no more where it is absent. */
  flowsMax: number;
  flowsLimit?: number;
}

type WrittenFrame = ReturnType<typeof writeEthernet>;

export class ReplayedWindows {
  readonly counts: CaptureCounts = { frames: 0, bytes: 0, cutFrames: 0 };
  readonly #probe: FlowProbe;
  readonly #replay: FrameReplay;
  readonly #reducer: FlowReducer;
  readonly #windowNs: bigint;
  readonly #growth: { v4: MapGrowth; v6: MapGrowth };
  readonly #take: (window: FlowWindow) => void;
  #growthNotice: string | null = null;
  #sequence = 0;
  /** null: there was no packet yet. */
  #startNs: bigint | null = null;
  #lastNs = 0n;

  /** @param through what counts, all of them still the caller's */
  constructor(
    through: { probe: FlowProbe; replay: FrameReplay; reducer: FlowReducer },
    { windowMs, flowsMax, flowsLimit = flowsMax }: ReplayedWindowsOptions,
    take: (window: FlowWindow) => void,
  ) {
    this.#probe = through.probe;
    this.#replay = through.replay;
    this.#reducer = through.reducer;
    this.#windowNs = BigInt(windowMs) * NS_PER_MS;
    this.#growth = { v4: new MapGrowth(flowsMax, flowsLimit), v6: new MapGrowth(flowsMax, flowsLimit) };
    this.#take = take;
  }

  /** Why the maps could not grow; null where nothing kept them from it. */
  get growthNotice(): string | null {
    return this.#growthNotice;
  }

  /**
   * Counts a packet. One that is earlier than the one before it, as captures of several queues have it, takes its time.
   *
   * @returns undefined; where the packet begins a window, a promise to wait for before the next one is added
   */
  add(frame: CaptureFrame): Promise<void> | undefined {
    const written = writeEthernet(frame, this.#replay.frame);
    if (frame.timeNs > this.#lastNs) this.#lastNs = frame.timeNs;
    this.#startNs ??= this.#lastNs;
    if (this.#lastNs >= this.#startNs + this.#windowNs) return this.#turn(this.#startNs, frame, written);
    this.#count(frame, written);
  }

  /** Ends a window, and counts the packet that was written in the next one, which is as long and on the same grid. */
  async #turn(startNs: bigint, frame: CaptureFrame, written: WrittenFrame): Promise<void> {
    const drained = this.#endWindow(startNs, startNs + this.#windowNs);
    this.#startNs = startNs + (this.#lastNs - startNs) / this.#windowNs * this.#windowNs;
    await this.#resize(drained);
    this.#count(frame, written);
  }

  #count(frame: CaptureFrame, { lenBytes, wireBytes }: WrittenFrame): void {
    this.#replay.add(lenBytes, { wireBytes, ticks: this.#lastNs + 1n });
    this.counts.frames++;
    this.counts.bytes += wireBytes;
    if (frame.bytes.length < frame.wireBytes) this.counts.cutFrames++;
  }

  /** Between two windows both sides are empty and nothing is counted: the next one has maps of the new size already. */
  async #resize({ v4, v6 }: { v4: DrainedMap; v6: DrainedMap }): Promise<void> {
    const durationNs = this.#windowNs;
    const wanted = {
      v4: this.#growth.v4.observe({ ...v4, durationNs }),
      v6: this.#growth.v6.observe({ ...v6, durationNs }),
    };
    try {
      for (const _ of SIDES) {
        const sizes = SIDES.map((side) => this.#probe.flowsMaxOf(side));
        if (sizes.every((size) => size.v4 === wanted.v4 && size.v6 === wanted.v6)) return;
        await this.#probe.resizeSpare(wanted);
        this.#probe.swap();
      }
    } catch (error) {
      // Without memory for more, what there is has to do.
      this.#growth.v4.giveUp(v4.entriesMax);
      this.#growth.v6.giveUp(v6.entriesMax);
      this.#growthNotice ??= (error as Error).message;
    }
  }

  /** Ends the last window with the last packet. @throws {SystemError} what was counted until then is handed out all the same */
  finish(): void {
    const startNs = this.#startNs;
    if (startNs === null) return;
    this.#startNs = null;
    try {
      this.#replay.flush();
    } finally {
      this.#endWindow(startNs, this.#lastNs);
    }
  }

  /** @returns what each family's map held */
  #endWindow(startNs: bigint, endNs: bigint): { v4: DrainedMap; v6: DrainedMap } {
    this.#replay.flush();
    const swapStart = performance.now();
    const { side } = this.#probe.swap();
    const drainStart = performance.now();
    const drained = drainWindow(this.#probe, side, { reducer: this.#reducer });
    this.#take({
      sequence: this.#sequence++,
      startNs,
      endNs,
      endUnixNs: endNs,
      capacity: this.#probe.capacityOf(side),
      ...this.#reducer.finish(CAPTURE_CLOCK),
      swapSeconds: (drainStart - swapStart) / MS_PER_S,
      drainSeconds: (performance.now() - drainStart) / MS_PER_S,
      programs: [],
    });
    return drained;
  }
}
