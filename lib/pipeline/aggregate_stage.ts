/** The last stage: counts by category, type and severity, process and container, and how long events were on their way. */
import { EVENT } from "../wire/layouts.gen.ts";
import { EVENT_TYPES, SEVERITIES } from "../events/event.ts";
import { BoundedCounts, type CountTable, type LabelCount } from "./bounded_counts.ts";
import type { EventBatch } from "../events/event_batch.ts";
import { CATEGORIES } from "../events/types/category.ts";
import { LatencyHistogram, type LatencySnapshot } from "./latency_histogram.ts";
import type { ProcessInfo } from "../processes/process_info.ts";
import type { Stage } from "./stage.ts";

/** Who caused events. Without enrichment, `name` is that of the first event and `exe` is empty. */
export interface ProcessLabel {
  pid: number;
  name: string;
  exe: string;
}

export interface ContainerLabel {
  containerId: string;
  podUid: string;
}

/** What was aggregated between two calls of `take`: plain data. */
export interface AggregateDelta {
  /** By index in CATEGORIES. */
  categories: Float64Array<ArrayBuffer>;
  /** By type * SEVERITIES.length + severity. */
  records: Float64Array<ArrayBuffer>;
  estimated: Float64Array<ArrayBuffer>;
  processes: CountTable<ProcessLabel>;
  /** Events from outside of containers are in none of them. */
  containers: CountTable<ContainerLabel>;
  /** From the kernel's timestamp to here. */
  latency: LatencySnapshot;
}

export interface AggregateStageOptions {
  /** CLOCK_MONOTONIC in nanoseconds; asked once a batch. */
  nowNs: () => number;
  /** Labels of which no count is folded into `other` between two calls of `take`. */
  processesMax: number;
  containersMax: number;
}

/** Where the events of a pid are counted. */
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
  /** By pid: most events find their counts here. Valid until one of the tables folds. */
  readonly #slots = new Map<number, Slot>();
  #folds = 0;

  constructor({ nowNs, processesMax, containersMax }: AggregateStageOptions) {
    this.#nowNs = nowNs;
    this.#processes = new BoundedCounts(processesMax);
    this.#containers = new BoundedCounts(containersMax);
  }

  /** @throws {RangeError} where type or severity is none: it is the event at `batch.next`, and nothing of it is counted */
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

  /** Hands out what was counted since the last call, and starts anew. Its arrays may be transferred. */
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
    // Making these may have folded others.
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
