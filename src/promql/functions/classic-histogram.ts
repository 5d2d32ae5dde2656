/**
 * The buckets of one classic histogram at one step, for reuse from step to step: `counts[i]` is the
 * number of observations up to `bounds[i]`. Only the first `length` entries count. Bounds rise and
 * may repeat; the functions below join repeated ones and mend falling counts in place.
 */
export interface ClassicBuckets {
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  length: number;
}

/** How far counts had to be changed until they no longer fell. */
export interface ForcedMonotonicity {
  readonly minBucket: number;
  readonly maxBucket: number;
  readonly maxDiff: number;
}

export interface ClassicQuantile {
  readonly quantile: number;
  /** Set when counts fell by more than rounding explains; the user should know. */
  readonly forced: ForcedMonotonicity | undefined;
}

/**
 * The q-quantile, linear within a bucket. The lowest bucket begins at 0 if it ends above that, and a
 * quantile in the highest is the bound below it. NaN without observations, with fewer than two
 * buckets or without one that ends at +Inf. `buckets` has at least one entry.
 * Source: BucketQuantile in promql/quantile.go of Prometheus.
 */
export function classicQuantile(q: number, buckets: ClassicBuckets): ClassicQuantile {
  if (q !== q) return { quantile: NaN, forced: undefined };
  if (q < 0) return { quantile: -Infinity, forced: undefined };
  if (q > 1) return { quantile: Infinity, forced: undefined };
  if (buckets.bounds[buckets.length - 1] !== Infinity) return { quantile: NaN, forced: undefined };
  coalesce(buckets);
  const forced = forceMonotonicity(buckets);
  return { quantile: quantileOfSound(q, buckets), forced };
}

function quantileOfSound(q: number, { bounds, counts, length }: ClassicBuckets): number {
  const observations = counts[length - 1]!;
  if (length < 2 || observations === 0) return NaN;
  const rank = q * observations;
  const index = firstAtLeast(counts, length - 1, rank);
  if (index === length - 1) return bounds[length - 2]!;
  if (index === 0 && bounds[0]! <= 0) return bounds[0]!;
  const below = index === 0 ? 0 : counts[index - 1]!;
  const start = index === 0 ? 0 : bounds[index - 1]!;
  return start + (bounds[index]! - start) * ((rank - below) / (counts[index]! - below));
}

/** The first index in `[0, length)` whose count is at least `rank`; `length` when there is none. */
function firstAtLeast(counts: Float64Array, length: number, rank: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (counts[middle]! >= rank) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Adds up the counts of equal bounds. */
function coalesce(buckets: ClassicBuckets): void {
  const { bounds, counts } = buckets;
  let kept = 0;
  for (let i = 1; i < buckets.length; i++) {
    if (bounds[i] === bounds[kept]) {
      counts[kept]! += counts[i]!;
      continue;
    }
    kept++;
    bounds[kept] = bounds[i]!;
    counts[kept] = counts[i]!;
  }
  buckets.length = kept + 1;
}

/** Relative differences below this come from rounding. */
const TOLERANCE = 1e-12;

/** Lifts counts that are below the one before; differences within rounding are evened out silently. */
function forceMonotonicity({
  bounds,
  counts,
  length,
}: ClassicBuckets): ForcedMonotonicity | undefined {
  let [minBucket, maxBucket, maxDiff] = [Infinity, -Infinity, 0];
  let isForced = false;
  let previous = counts[0]!;
  for (let i = 1; i < length; i++) {
    const count = counts[i]!;
    const isRounding = almostEqual(previous, count, TOLERANCE);
    if (!isRounding && count < previous) {
      isForced = true;
      minBucket = Math.min(minBucket, bounds[i]!);
      maxBucket = Math.max(maxBucket, bounds[i]!);
      maxDiff = Math.max(maxDiff, previous - count);
    }
    if (isRounding || count < previous) counts[i] = previous;
    else previous = count;
  }
  return isForced ? { minBucket, maxBucket, maxDiff } : undefined;
}

/** The smallest normal number. */
const MIN_NORMAL = 2 ** -1022;

/** Whether two numbers differ by less than their sum times `tolerance`; NaNs are alike. */
export function almostEqual(a: number, b: number, tolerance: number): boolean {
  if (a === b || (a !== a && b !== b)) return true;
  const sum = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || sum < MIN_NORMAL) return difference < tolerance * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < tolerance;
}

/**
 * The share of observations between two values, as `nativeFraction` has it. `buckets` has at least
 * one entry. Source: BucketFraction in promql/quantile.go of Prometheus.
 */
export function classicFraction(lower: number, upper: number, buckets: ClassicBuckets): number {
  if (buckets.bounds[buckets.length - 1] !== Infinity) return NaN;
  coalesce(buckets);
  const total = buckets.counts[buckets.length - 1]!;
  if (total === 0 || lower !== lower || upper !== upper) return NaN;
  if (lower >= upper) return 0;
  return (rankOf(upper, buckets, total) - rankOf(lower, buckets, total)) / total;
}

/** How many observations are at or below `value`, by linear interpolation. */
function rankOf(value: number, { bounds, counts, length }: ClassicBuckets, total: number): number {
  let rank = 0;
  let start = bounds[0]! <= 0 ? -Infinity : 0;
  for (let i = 0; i < length; i++) {
    const end = bounds[i]!;
    const count = counts[i]!;
    if (start >= value) return Math.min(rank, total);
    if (end > value) {
      // Nothing is known of where the observations of an endless bucket lie.
      if (start === -Infinity) return Math.min(count, total);
      return Math.min(rank + ((count - rank) * (value - start)) / (end - start), total);
    }
    rank = count;
    start = end;
  }
  return total;
}
