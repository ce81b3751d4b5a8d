/**
 * Counts packets of a capture in windows on the capture's own time line. The first window begins with the first packet,
 * and windows follow each other without a gap, but a time of a window or more without packets makes no windows.
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

/** A flow's ticks are the capture's nanoseconds plus one, because 0 means that a value was never written. */
const CAPTURE_CLOCK = { toNs: (ticks: bigint) => ticks - 1n };

/** Totals of the capture's packets, to be compared with what was counted. */
export interface CaptureCounts {
  frames: number;
  /** Bytes on the wire. */
  bytes: number;
  /** Frames that are shorter in the file than on the wire. */
  cutFrames: number;
}

export interface ReplayedWindowsOptions {
  windowMs: number;
  /** Entries of the IPv4 map, and of the IPv6 map, at the start. */
  flowsMax: number;
  /** Entries up to which a map that was full may grow; by default `flowsMax`. */
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
  /** Start of the current window; null before the first packet. */
  #startNs: bigint | null = null;
  #lastNs = 0n;

  /**
   * @param through the probe, its replay and the reducer; the caller disposes of them
   * @param take called with each window
   */
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

  /** Why the maps could not grow; null when they could, or did not have to. */
  get growthNotice(): string | null {
    return this.#growthNotice;
  }

  /**
   * Counts a packet. A packet that is earlier than the one before it, as in captures of several queues, gets the later
   * time.
   *
   * @returns undefined; when the packet begins a window, a promise to await before the next packet is added
   */
  add(frame: CaptureFrame): Promise<void> | undefined {
    const written = writeEthernet(frame, this.#replay.frame);
    if (frame.timeNs > this.#lastNs) this.#lastNs = frame.timeNs;
    this.#startNs ??= this.#lastNs;
    if (this.#lastNs >= this.#startNs + this.#windowNs) return this.#turn(this.#startNs, frame, written);
    this.#count(frame, written);
  }

  /**
   * Ends a window, and counts the packet in the next one. All windows start at multiples of the length after the first.
   */
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

  /** Resizes the maps between two windows. Both sides are empty then, so the next window has the new size already. */
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
      // Mostly there is no memory for larger maps: the replay goes on with those that it has.
      this.#growth.v4.giveUp(v4.entriesMax);
      this.#growth.v6.giveUp(v6.entriesMax);
      this.#growthNotice ??= (error as Error).message;
    }
  }

  /** Ends the last window at the time of the last packet. @throws {SystemError} after the window was handed out */
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
