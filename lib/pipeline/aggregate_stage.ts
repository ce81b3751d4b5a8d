/**
 * The last stage. It counts events by category, by type and severity, by process and by container, and measures
 * latency.
 */
import { EVENT } from "../wire/layouts.gen.ts";
import { EVENT_TYPES, SEVERITIES } from "../events/event.ts";
import { BoundedCounts, type CountTable, type LabelCount } from "./bounded_counts.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { CATEGORIES } from "../events/types/category.ts";
import { LatencyHistogram, type LatencySnapshot } from "./latency_histogram.ts";
import type { ProcessInfo } from "../processes/process_info.ts";
import type { Stage } from "./stage.ts";

/** The process that caused events. Without enrichment, `name` comes from its first event and `exe` is empty. */
export interface ProcessLabel {
  pid: number;
  name: string;
  exe: string;
}

export interface ContainerLabel {
  containerId: string;
  podUid: string;
}

/** The counts between two calls of `take`, as plain data. */
export interface AggregateDelta {
  /** Records, by index in CATEGORIES. */
  categories: Float64Array<ArrayBuffer>;
  /** Records, at index type * SEVERITIES.length + severity. */
  records: Float64Array<ArrayBuffer>;
  /** The events that those records stand for, at the same index. */
  estimated: Float64Array<ArrayBuffer>;
  processes: CountTable<ProcessLabel>;
  /** Events of processes that are in no container are not counted here. */
  containers: CountTable<ContainerLabel>;
  /** Time from the kernel's timestamp to the end of this stage. */
  latency: LatencySnapshot;
}

export interface AggregateStageOptions {
  /** CLOCK_MONOTONIC in nanoseconds; asked once a batch. */
  nowNs: () => number;
  /**
   * So many processes and containers are counted one by one between two calls of `take`; further ones go to `other`.
   */
  processesMax: number;
  containersMax: number;
}

/** The counts that an event of a pid adds to. */
interface Slot {
  info: ProcessInfo | null;
  process: LabelCount<ProcessLabel>;
  container: LabelCount<ContainerLabel> | null;
}

export const COUNT_CELLS = EVENT_TYPES.length * SEVERITIES.length;

const COMM_AT = EVENT.fields.comm.offset;
const COMM_BYTES = EVENT.fields.comm.size;
const TEXT = new TextDecoder();

export class AggregateStage implements Stage {
  readonly name = "aggregate";
  readonly #nowNs: () => number;
  readonly #latency = new LatencyHistogram();
  readonly #processes: BoundedCounts<ProcessLabel>;
  readonly #containers: BoundedCounts<ContainerLabel>;
  #categories = new Float64Array(CATEGORIES.length);
  #records = new Float64Array(COUNT_CELLS);
  #estimated = new Float64Array(COUNT_CELLS);
  /** A cache of slots by pid, in which most events find their counts. It is emptied when one of the tables folds. */
  readonly #slots = new Map<number, Slot>();
  #folds = 0;

  constructor({ nowNs, processesMax, containersMax }: AggregateStageOptions) {
    this.#nowNs = nowNs;
    this.#processes = new BoundedCounts(processesMax);
    this.#containers = new BoundedCounts(containersMax);
  }

  /** @throws {RangeError} for an unknown type or severity; nothing of that event, at `batch.next`, is counted */
  run(batch: EventBatch): void {
    const nowNs = this.#nowNs();
    let lastPid = -1;
    let slot: Slot | null = null;
    for (; batch.next < batch.count; batch.next++) {
      const i = batch.next;
      if (batch.lengths[i] === 0) continue;
      const type = batch.type(i);
      const severity = batch.severity(i);
      if (type >= EVENT_TYPES.length || severity >= SEVERITIES.length) {
        throw new RangeError(`Cannot count an event: type ${type}, severity ${severity} is unknown`);
      }
      const info = batch.process[i] ?? null;
      const pid = batch.pid(i);
      if (slot === null || pid !== lastPid || info !== slot.info) {
        slot = this.#slotOf(batch, i, { pid, info });
        lastPid = pid;
      }
      const estimated = batch.weight(i) * batch.repeats(i);
      slot.process.records++;
      slot.process.estimated += estimated;
      if (slot.container !== null) {
        slot.container.records++;
        slot.container.estimated += estimated;
      }
      const cell = type * SEVERITIES.length + severity;
      this.#records[cell]++;
      this.#estimated[cell] += estimated;
      this.#categories[batch.category[i]]++;
      this.#latency.record(nowNs - batch.tsNs(i));
    }
  }

  /** Hands out the counts since the last call, and starts anew. The arrays may be transferred. */
  take(): AggregateDelta {
    const delta = {
      categories: this.#categories,
      records: this.#records,
      estimated: this.#estimated,
      processes: this.#processes.take(),
      containers: this.#containers.take(),
      latency: this.#latency.take(),
    };
    this.#categories = new Float64Array(CATEGORIES.length);
    this.#records = new Float64Array(COUNT_CELLS);
    this.#estimated = new Float64Array(COUNT_CELLS);
    return delta;
  }

  #slotOf(batch: EventBatch, i: number, { pid, info }: { pid: number; info: ProcessInfo | null }): Slot {
    if (this.#folds !== this.#tableFolds()) this.#forgetSlots();
    const known = this.#slots.get(pid);
    if (known !== undefined && known.info === info) return known;

    const label = info === null
      ? { pid, name: commOf(batch, i), exe: "" }
      : { pid: info.pid, name: info.name, exe: info.exe };
    const process = this.#processes.countOf(`${label.pid}\0${label.name}\0${label.exe}`, label);
    const container = info === null || info.containerId === ""
      ? null
      : this.#containers.countOf(`${info.containerId}\0${info.podUid}`, {
        containerId: info.containerId,
        podUid: info.podUid,
      });
    // Making a count may have folded counts that the cache still has.
    if (this.#folds !== this.#tableFolds()) this.#forgetSlots();
    const slot = { info, process, container };
    this.#slots.set(pid, slot);
    return slot;
  }

  #tableFolds(): number {
    return this.#processes.folds + this.#containers.folds;
  }

  #forgetSlots(): void {
    this.#slots.clear();
    this.#folds = this.#tableFolds();
  }
}

function commOf(batch: EventBatch, i: number): string {
  const start = batch.offsets[i] + COMM_AT;
  const comm = batch.bytes.subarray(start, start + COMM_BYTES);
  const nul = comm.indexOf(0);
  return TEXT.decode(nul < 0 ? comm : comm.subarray(0, nul));
}
