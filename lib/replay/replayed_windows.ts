/**
 * Packets of a capture into windows on the capture's own time line. They begin with its first packet and follow each
 * other without a gap but where nothing was captured for longer than a window: such a silence leaves none.
 */
import { drainWindow } from "../aggregate/drain_window.ts";
import type { FlowReducer } from "../aggregate/flow_reducer.ts";
import type { FlowWindow } from "../aggregate/protocol.ts";
import type { FlowProbe } from "../ffi/flow_probe.ts";
import type { FrameReplay } from "../ffi/frame_replay.ts";
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

export class ReplayedWindows {
  readonly counts: CaptureCounts = { frames: 0, bytes: 0, cutFrames: 0 };
  readonly #probe: FlowProbe;
  readonly #replay: FrameReplay;
  readonly #reducer: FlowReducer;
  readonly #windowNs: bigint;
  readonly #take: (window: FlowWindow) => void;
  #sequence = 0;
  /** null: there was no packet yet. */
  #startNs: bigint | null = null;
  #lastNs = 0n;

  /** @param through what counts, all of them still the caller's */
  constructor(
    through: { probe: FlowProbe; replay: FrameReplay; reducer: FlowReducer },
    windowMs: number,
    take: (window: FlowWindow) => void,
  ) {
    this.#probe = through.probe;
    this.#replay = through.replay;
    this.#reducer = through.reducer;
    this.#windowNs = BigInt(windowMs) * NS_PER_MS;
    this.#take = take;
  }

  /** Counts a packet. One that is earlier than the one before it, as captures of several queues have it, takes its time. */
  add(frame: CaptureFrame): void {
    const { lenBytes, wireBytes } = writeEthernet(frame, this.#replay.frame);
    if (frame.timeNs > this.#lastNs) this.#lastNs = frame.timeNs;
    this.#startNs ??= this.#lastNs;
    if (this.#lastNs >= this.#startNs + this.#windowNs) {
      this.#endWindow(this.#startNs, this.#startNs + this.#windowNs);
      this.#startNs += (this.#lastNs - this.#startNs) / this.#windowNs * this.#windowNs;
    }
    this.#replay.run(lenBytes, { wireBytes, ticks: this.#lastNs + 1n });
    this.counts.frames++;
    this.counts.bytes += wireBytes;
    if (frame.bytes.length < frame.wireBytes) this.counts.cutFrames++;
  }

  /** Ends the last window with the last packet. */
  finish(): void {
    if (this.#startNs !== null) this.#endWindow(this.#startNs, this.#lastNs);
    this.#startNs = null;
  }

  #endWindow(startNs: bigint, endNs: bigint): void {
    const swapStart = performance.now();
    const { side } = this.#probe.swap();
    const drainStart = performance.now();
    drainWindow(this.#probe, side, { reducer: this.#reducer });
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
  }
}
