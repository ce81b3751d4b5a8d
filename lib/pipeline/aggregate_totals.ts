/** The sum of what the aggregate stages of all workers have counted since the start. */
import type { EventCount } from "../events/event_count.ts";
import { EVENT_TYPES, SEVERITIES } from "../events/event.ts";
import { type AggregateDelta, type ContainerLabel, COUNT_CELLS, type ProcessLabel } from "./aggregate_stage.ts";
import { BoundedCounts, type CountTable } from "./bounded_counts.ts";
import { CATEGORIES, type Category } from "../events/types/category.ts";
import { LatencyHistogram } from "./latency_histogram.ts";

export class AggregateTotals {
  /** Time from the kernel's timestamp to the end of the last stage. */
  readonly latency = new LatencyHistogram();
  readonly #categories = new Float64Array(CATEGORIES.length);
  readonly #records = new Float64Array(COUNT_CELLS);
  readonly #estimated = new Float64Array(COUNT_CELLS);
  readonly #processes: BoundedCounts<ProcessLabel>;
  readonly #containers: BoundedCounts<ContainerLabel>;

  /** @param limits processes and containers that are counted one by one at least; further ones may go to `other` */
  constructor(limits: { processesMax: number; containersMax: number }) {
    this.#processes = new BoundedCounts(limits.processesMax);
    this.#containers = new BoundedCounts(limits.containersMax);
  }

  add(delta: AggregateDelta): void {
    addTo(this.#categories, delta.categories);
    addTo(this.#records, delta.records);
    addTo(this.#estimated, delta.estimated);
    this.latency.merge(delta.latency);
    addTable(this.#processes, delta.processes, ({ pid, name, exe }) => `${pid}\0${name}\0${exe}`);
    addTable(this.#containers, delta.containers, ({ containerId, podUid }) => `${containerId}\0${podUid}`);
  }

  /** Events aggregated. */
  get records(): number {
    return this.#records.reduce((sum, records) => sum + records, 0);
  }

  /** Counts by type and severity, those that are not 0; in the order of the types, the most severe first. */
  counts(): EventCount[] {
    return EVENT_TYPES.flatMap((event, type) =>
      SEVERITIES.map((severity, i) => {
        const cell = type * SEVERITIES.length + i;
        return { event, severity, records: this.#records[cell], estimated: this.#estimated[cell] };
      })
    ).filter(({ records }) => records > 0);
  }

  /** Records by category. */
  categories(): Record<Category, number> {
    return Object.fromEntries(CATEGORIES.map((category, i) => [category, this.#categories[i]])) as Record<
      Category,
      number
    >;
  }

  topProcesses(rowsMax: number): CountTable<ProcessLabel> {
    return this.#processes.top(rowsMax);
  }

  topContainers(rowsMax: number): CountTable<ContainerLabel> {
    return this.#containers.top(rowsMax);
  }
}

function addTo(totals: Float64Array, deltas: Float64Array): void {
  for (let i = 0; i < totals.length; i++) totals[i] += deltas[i];
}

function addTable<Label>(counts: BoundedCounts<Label>, table: CountTable<Label>, keyOf: (label: Label) => string) {
  for (const { label, records, estimated } of table.rows) {
    const count = counts.countOf(keyOf(label), label);
    count.records += records;
    count.estimated += estimated;
  }
  counts.addOther(table.other);
}
