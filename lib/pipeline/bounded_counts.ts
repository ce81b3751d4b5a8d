/**
 * Counts by label in bounded memory. As long as the labels fit, all counts are exact. When they no longer do, the
 * largest are kept and the others' counts go to `other`: the sum stays exact, and a label's own count is a lower bound
 * that lacks at most `other`, because the label may have been among those folded before it came back.
 */

/** Records, and the events that they stand for. */
export interface Count {
  records: number;
  estimated: number;
}

/** A label with its count; the holder may add to it until the next fold. */
export interface LabelCount<Label> extends Count {
  readonly key: string;
  readonly label: Label;
}

/** A table of counts as plain data. `other` is 0 as long as every count is exact. */
export interface CountTable<Label> {
  rows: (Count & { label: Label })[];
  other: Count;
}

export class BoundedCounts<Label> {
  readonly #labelsMax: number;
  readonly #counts = new Map<string, LabelCount<Label>>();
  #other: Count = { records: 0, estimated: 0 };
  #folds = 0;

  /** @param labelsMax labels that stay after a fold; the table folds when it would hold more than twice as many */
  constructor(labelsMax: number) {
    this.#labelsMax = labelsMax;
  }

  /** Number of folds and `take`s so far. When it has grown, counts of `countOf` may no longer belong to the table. */
  get folds(): number {
    return this.#folds;
  }

  /**
   * The count of a label, made where it is missing. Making one may fold: check `folds` before adding to an earlier
   * count.
   */
  countOf(key: string, label: Label): LabelCount<Label> {
    let count = this.#counts.get(key);
    if (count === undefined) {
      if (this.#counts.size >= 2 * this.#labelsMax) this.#fold();
      count = { key, label, records: 0, estimated: 0 };
      this.#counts.set(key, count);
    }
    return count;
  }

  /** Adds to `other`. */
  addOther({ records, estimated }: Count): void {
    this.#other.records += records;
    this.#other.estimated += estimated;
  }

  /** The `rowsMax` largest counts, the largest first; the rest is summed up in `other`. */
  top(rowsMax: number): CountTable<Label> {
    const ranked = this.#ranked();
    const rows = ranked.slice(0, rowsMax).map(({ label, records, estimated }) => ({ label, records, estimated }));
    const other = { ...this.#other };
    for (const { records, estimated } of ranked.slice(rowsMax)) {
      other.records += records;
      other.estimated += estimated;
    }
    return { rows, other };
  }

  /** Hands out every count, in no order, and empties the table. */
  take(): CountTable<Label> {
    const rows = Array.from(this.#counts.values(), ({ label, records, estimated }) => ({ label, records, estimated }));
    const table = { rows, other: this.#other };
    this.#counts.clear();
    this.#other = { records: 0, estimated: 0 };
    this.#folds++;
    return table;
  }

  #fold(): void {
    for (const count of this.#ranked().slice(this.#labelsMax)) {
      this.addOther(count);
      this.#counts.delete(count.key);
    }
    this.#folds++;
  }

  /** Equal counts rank by key, so that the same traffic ranks the same each time. */
  #ranked(): LabelCount<Label>[] {
    return [...this.#counts.values()].sort((a, b) =>
      b.estimated - a.estimated || b.records - a.records || (a.key < b.key ? -1 : 1)
    );
  }
}
