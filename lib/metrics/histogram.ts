/** Upper bounds of buckets for times: 100 µs to 10 s. */
export const SECONDS_BOUNDS: readonly number[] = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

/** A Prometheus histogram: observations are counted in buckets by upper bound. */
export class Histogram {
  /** Upper bounds, ascending; the bucket above the last is implied. */
  readonly bounds: readonly number[];
  #counts: number[];
  #sum = 0;

  /** @throws {RangeError} when the bounds are not finite and strictly ascending */
  constructor(bounds: readonly number[]) {
    if (!bounds.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > bounds[i - 1]))) {
      throw new RangeError(`Cannot make a histogram: bounds ${bounds.join(", ")} do not ascend`);
    }
    this.bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound);
    this.#counts[bucket === -1 ? this.bounds.length : bucket]++;
    this.#sum += value;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** For each bound, the number of observations that are not larger. */
  cumulative(): number[] {
    let sum = 0;
    return this.bounds.map((_, i) => sum += this.#counts[i]);
  }
}
