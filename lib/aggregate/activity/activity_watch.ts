/**
 * Process activity between the kernel and the aggregator worker: the probe, the reducer over what it drains, and how the
 * map grows. Composes lib/ffi with what is pure.
 */
import { PrivilegeError } from "../../runtime/errors.ts";
import type { Side } from "../../ffi/side.ts";
import { PROCESS_VALUE } from "../../wire/layouts.gen.ts";
import { monotonicNs } from "../../ffi/libc.ts";
import type { Libbpf } from "../../ffi/libbpf.ts";
import { type ProcessObject, ProcessProbe } from "./process_probe.ts";
import type { Machine } from "../../wire/syscalls.ts";
import type { ProcessDetails } from "../../processes/process_details.ts";
import type { ActivityArrangement, ActivityOptions } from "./activity_options.ts";
import type { ProcessWindow } from "./process_window.ts";
import { ProcessReducer } from "./process_reducer.ts";
import { ProcessTotals } from "./process_totals.ts";

const NS_PER_MS = 1_000_000n;
/** Of one side's values, which grow with the CPUs: 17,000 entries on 64 of them. */
const SIDE_BYTES_MAX = 256 * 2 ** 20;

export interface ActivityWatchOptions {
  options: { activity?: ActivityOptions | null; assetsDir: string };
  details: ProcessDetails;
  /** Takes what an operator should know. */
  notice(text: string): void;
  /** Whether nothing goes on without it: then a failure is thrown. */
  needed: boolean;
}

/**
 * Loads what was asked for.
 *
 * @returns null where nothing was, and where the kernel lacks what it takes, which is then a notice
 * @throws {PrivilegeError}
 */
export function tryActivity(libbpf: Libbpf, watch: ActivityWatchOptions): ActivityWatch | null {
  const { options: { activity, assetsDir }, details, needed, notice } = watch;
  if (activity === null || activity === undefined) return null;
  try {
    const objects = (name: ProcessObject) => Deno.readFileSync(`${assetsDir}/bpf/${name}.bpf.o`);
    const activityWatch = new ActivityWatch(libbpf, objects, { activity, details });
    const { way, limits } = activityWatch;
    if (limits.length > 0) notice(`system calls are counted by ${way}: ${limits.join("; ")}`);
    return activityWatch;
  } catch (error) {
    if (needed || error instanceof PrivilegeError) throw error;
    notice(`system calls are not counted: ${(error as Error).message}`);
    return null;
  }
}

export class ActivityWatch implements Disposable {
  readonly #activity: ActivityOptions;
  readonly #details: ProcessDetails;
  readonly #probe: ProcessProbe;
  readonly #reducer: ProcessReducer;
  readonly #totals: ProcessTotals | null;
  #sequence = 0;
  #startNs = 0n;
  readonly #limit: number;
  /** Entries that both sides are to have. */
  #wanted: number;
  /** A side that is given more room; what comes of it changes nothing for a window. */
  #growing: Promise<void> | null = null;

  /** Loads the programs; attaches to nothing yet. @throws as ProcessProbe does */
  constructor(
    libbpf: Libbpf,
    objects: (name: ProcessObject) => Uint8Array<ArrayBuffer>,
    { activity, details }: { activity: ActivityOptions; details: ProcessDetails },
  ) {
    this.#activity = activity;
    this.#details = details;
    const entryBytes = PROCESS_VALUE.size * libbpf.symbols.libbpf_num_possible_cpus();
    this.#limit = Math.min(activity.entriesMaxLimit, Math.floor(SIDE_BYTES_MAX / entryBytes));
    this.#wanted = Math.min(activity.entriesMax, this.#limit);
    this.#probe = new ProcessProbe(libbpf, objects, { entriesMax: this.#wanted, sampling: activity.sampling });
    const { order, by, syscall, comm, pid, uid } = activity;
    const totals = activity.totalsMax > 0 ? new ProcessTotals() : null;
    this.#totals = totals;
    this.#reducer = new ProcessReducer({
      machine: Deno.build.arch as Machine,
      valuesPerEntry: this.#probe.cpus,
      topMax: activity.topMax,
      arrangement: { order, by, syscall, comm, pid, uid },
      labelOf: (by, process) =>
        by === "container" ? details.containerOf(process).containerId : details.userOf(process.uid) || `${process.uid}`,
      ...totals !== null && { observe: (process) => totals.add(process) },
    });
  }

  /** How calls are counted on this kernel. */
  get way(): string {
    return this.#probe.way;
  }

  /** What that way cannot do, a sentence each. */
  get limits(): readonly string[] {
    return this.#probe.limits;
  }

  /** Starts counting; the first window starts now. */
  attach(): void {
    this.#startNs = monotonicNs();
    this.#probe.attach();
  }

  /** Stops counting; a window that is ended afterwards has the rest. */
  detach(): void {
    this.#probe.detach();
  }

  /** From the next window on. */
  arrange(arrangement: ActivityArrangement): void {
    this.#reducer.arrange(arrangement);
  }

  endWindow(): ProcessWindow {
    const { side, atNs } = this.#probe.swap();
    const endUnixNs = BigInt(Date.now()) * NS_PER_MS;
    const capacity = this.#probe.capacityOf(side);
    this.#probe.drain(side, (batch) => this.#reducer.addBatch(batch));
    this.#reducer.addCounters(this.#probe.takeCounters(side));
    const finished = this.#reducer.finish();
    const describe = <Row extends ProcessWindow["top"][number]>(row: Row) =>
      Object.assign(row, this.#details.describe({ ...row, notedNs: atNs }));
    finished.top.forEach(describe);
    for (const { top } of finished.groups) top.forEach(describe);
    const window: ProcessWindow = {
      sequence: this.#sequence++,
      startNs: this.#startNs,
      endNs: atNs,
      endUnixNs,
      sampling: this.#activity.sampling,
      missedRuns: this.#probe.missedRuns,
      capacity,
      ...finished,
      totals: this.#totals?.top(this.#activity.totalsMax) ?? [],
    };
    this.#startNs = atNs;
    this.#growAfter(side, window);
    return window;
  }

  /** A side that was too small is doubled, up to the limit; the other one follows a window later. */
  #growAfter(side: Side, { overflow, capacity }: ProcessWindow): void {
    if (overflow.calls > 0) {
      this.#wanted = Math.max(this.#wanted, Math.min(this.#limit, capacity * 2));
    }
    if (this.#growing !== null || this.#probe.capacityOf(side) >= this.#wanted) return;
    this.#growing = this.#probe.growSpare(this.#wanted)
      // Without memory for more, what finds no room stays in overflow, which says so.
      .catch(() => void (this.#wanted = 0))
      .finally(() => this.#growing = null);
  }

  /** Waits for what is under way, so that it may be disposed of. */
  async settle(): Promise<void> {
    await this.#growing;
  }

  [Symbol.dispose](): void {
    this.#probe[Symbol.dispose]();
  }
}
