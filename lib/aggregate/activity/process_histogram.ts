/**
 * Durations by powers of two, as bpf/process.h has them: what a bucket holds, and percentiles, which are estimates with
 * their bounds.
 */

export const DURATION_BUCKETS = 32;
const FIRST_SHIFT = 6;

/** What a percentile is known to be: at least `lowNs`, below `highNs`. */
export interface Percentile {
  /** Between the bounds, as if the calls of a bucket were spread evenly over the logarithm of their time. */
  estimateNs: number;
  lowNs: number;
  highNs: number;
}

/** The durations of a bucket: from `lowNs` to below `highNs`, which the last one does not have. */
export function durationBounds(bucket: number): { lowNs: number; highNs: number } {
  return {
    lowNs: bucket === 0 ? 0 : 2 ** (bucket + FIRST_SHIFT),
    highNs: bucket === DURATION_BUCKETS - 1 ? Infinity : 2 ** (bucket + FIRST_SHIFT + 1),
  };
}

/**
 * The duration that a share of the calls did not reach.
 *
 * @param share from 0 to 1: 0.99 for the 99th percentile
 * @param known the shortest and the longest call, which narrow the bounds
 * @returns null where nothing was timed
 * @throws {RangeError} for a share outside of that
 *
 * @example
 * ```ts
 * const calls = new Array(DURATION_BUCKETS).fill(0);
 * calls[1] = 100; // a hundred of 128 to 255 ns
 * percentile(calls, 0.5, { minNs: 130n, maxNs: 250n }); // about 180 ns, from 130 to 250
 * ```
 */
export function percentile(
  histogram: readonly number[],
  share: number,
  known: { minNs: bigint | null; maxNs: bigint | null },
): Percentile | null {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`Cannot take a percentile: ${share} is not from 0 to 1`);
  const { minNs, maxNs } = known;
  const calls = histogram.reduce((sum, count) => sum + count, 0);
  if (calls === 0 || minNs === null || maxNs === null) return null;
  const rank = share * calls;
  let below = 0;
  let bucket = 0;
  while (below + histogram[bucket] < rank || histogram[bucket] === 0) below += histogram[bucket++];
  const bounds = durationBounds(bucket);
  const lowNs = Math.max(bounds.lowNs, Number(minNs));
  const highNs = Math.min(bounds.highNs, Number(maxNs));
  const within = Math.max(0, rank - below) / histogram[bucket];
  // The shortest call counts as 1 ns at least.
  return { estimateNs: lowNs * (Math.max(lowNs, highNs) / lowNs) ** within, lowNs, highNs: Math.max(lowNs, highNs) };
}

/**
 * Standard error of a count that was sampled one in `sampling`, as a share of it: of the same count taken many times,
 * about 68 in 100 would be this close, 95 within twice as much.
 */
export function samplingError(count: number, sampling: number): number {
  return count === 0 ? 0 : Math.sqrt((sampling - 1) / count);
}
