/**
 * A histogram of latencies whose buckets grow with the value, like those of HdrHistogram (http://hdrhistogram.org): 64
 * for each power of two, so that a bucket's middle is within 1/128 of every value in it. Recording is a shift and an
 * add.
 */
import { SECONDS_BOUNDS } from "../metrics/histogram.ts";
import type { HistogramCounts } from "../metrics/prometheus.ts";

/** Each power of two has 2^BUCKET_BITS buckets. */
const BUCKET_BITS = 6;
const BUCKETS_PER_OCTAVE = 2 ** BUCKET_BITS;
/** Below this value each bucket holds one value. */
const EXACT_BELOW = 2 * BUCKETS_PER_OCTAVE;
const TWO_31 = 2 ** 31;
/** Values from 2^31 on are divided by 2^24 first, so that 32-bit shifts can be used. */
const COARSE_BITS = 24;
const COARSE = 2 ** COARSE_BITS;

/**
 * The largest value of the buckets, about 18 minutes. Larger ones count as this, but enter `max` and the mean
 * unchanged.
 */
export const LATENCY_MAX_NS = 2 ** 40 - 1;
const BUCKETS = bucketOf(LATENCY_MAX_NS) + 1;
/** Cells behind the buckets: the sum of all values, and the largest value. */
const SUM_AT = BUCKETS;
const MAX_AT = BUCKETS + 1;
const CELLS = BUCKETS + 2;

/** Upper bounds of the Prometheus buckets: 1 µs to 10 s. */
export const LATENCY_SECONDS_BOUNDS: readonly number[] = [0.000001, 0.000005, 0.00001, 0.00005, ...SECONDS_BOUNDS];

/** The cells of a histogram: the buckets, the sum and the largest value. The buffer may be transferred. */
export type LatencySnapshot = Float64Array<ArrayBuffer>;

/** Percentiles, maximum and mean in nanoseconds; all 0 before the first value. */
export interface LatencySummary {
  count: number;
  p50Ns: number;
  p90Ns: number;
  p99Ns: number;
  p999Ns: number;
  maxNs: number;
  meanNs: number;
}

export class LatencyHistogram {
  #cells = new Float64Array(CELLS);

  /** Adds `count` observations. A negative latency, which clocks of two CPUs can make, counts as 0. */
  record(valueNs: number, count = 1): void {
    const cells = this.#cells;
    const value = valueNs > 0 ? valueNs : 0;
    cells[bucketOf(value < LATENCY_MAX_NS ? value : LATENCY_MAX_NS)] += count;
    cells[SUM_AT] += value * count;
    if (value > cells[MAX_AT]) cells[MAX_AT] = value;
  }

  get count(): number {
    let sum = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) sum += this.#cells[bucket];
    return sum;
  }

  get maxNs(): number {
    return this.#cells[MAX_AT];
  }

  get meanNs(): number {
    const count = this.count;
    return count === 0 ? 0 : this.#cells[SUM_AT] / count;
  }

  /**
   * The value that a share of the observations does not exceed, to 1 %; 0 before the first one.
   *
   * @param share 0 to 1: 0.99 for the 99th percentile
   */
  percentileNs(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    let sum = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      sum += this.#cells[bucket];
      if (sum < rank) continue;
      // The last bucket also holds what is beyond it.
      return bucket === BUCKETS - 1 ? this.maxNs : Math.min(middleOf(bucket), this.maxNs);
    }
    return 0;
  }

  summary(): LatencySummary {
    return {
      count: this.count,
      p50Ns: this.percentileNs(0.5),
      p90Ns: this.percentileNs(0.9),
      p99Ns: this.percentileNs(0.99),
      p999Ns: this.percentileNs(0.999),
      maxNs: this.maxNs,
      meanNs: this.meanNs,
    };
  }

  /** Adds the cells that another histogram has handed out by `take`. */
  merge(snapshot: LatencySnapshot): void {
    const cells = this.#cells;
    for (let i = 0; i < MAX_AT; i++) cells[i] += snapshot[i];
    cells[MAX_AT] = Math.max(cells[MAX_AT], snapshot[MAX_AT]);
  }

  /** Hands out the cells, and starts anew. */
  take(): LatencySnapshot {
    const cells = this.#cells;
    this.#cells = new Float64Array(CELLS);
    return cells;
  }

  /**
   * Converts to a Prometheus histogram in seconds. A bucket that a bound cuts is not counted below that bound, so
   * bounds are exact to 1.6 % of their value.
   *
   * @param bounds upper bounds in seconds, ascending
   */
  toPrometheus(bounds = LATENCY_SECONDS_BOUNDS): HistogramCounts {
    const cumulative: number[] = [];
    let sum = 0;
    let bucket = 0;
    for (const bound of bounds) {
      // Values are whole nanoseconds.
      const boundNs = Math.round(bound * 1e9);
      while (bucket < BUCKETS - 1 && lowestOf(bucket + 1) - 1 <= boundNs) sum += this.#cells[bucket++];
      cumulative.push(sum);
    }
    return { bounds, cumulative: () => cumulative, count: this.count, sum: this.#cells[SUM_AT] / 1e9 };
  }
}

/** Each power of two above EXACT_BELOW is split alike: its upper bits choose the bucket. */
function bucketOf(valueNs: number): number {
  if (valueNs < EXACT_BELOW) return valueNs | 0;
  if (valueNs < TWO_31) return bucketOfShort(valueNs);
  return (COARSE_BITS << BUCKET_BITS) + bucketOfShort(valueNs / COARSE);
}

function bucketOfShort(value: number): number {
  const shift = 31 - BUCKET_BITS - Math.clz32(value);
  return (shift << BUCKET_BITS) + (value >>> shift);
}

function lowestOf(bucket: number): number {
  if (bucket < EXACT_BELOW) return bucket;
  const shift = (bucket >> BUCKET_BITS) - 1;
  return (bucket - (shift << BUCKET_BITS)) * 2 ** shift;
}

function middleOf(bucket: number): number {
  const width = lowestOf(bucket + 1) - lowestOf(bucket);
  return lowestOf(bucket) + (width - 1) / 2;
}
