import { compactHistogram } from './arithmetic.ts';
import { fractionBelow, negativeBuckets, positiveBuckets, zeroBucket } from './bucket.ts';
import type { Bucket } from './bucket.ts';
import { usesCustomBuckets } from './float-histogram.ts';
import type { FloatHistogram } from './float-histogram.ts';

/** Which observations a trim keeps: those below the bound (`</`) or those above it (`>/`). */
export type TrimSide = 'keep-below' | 'keep-above';

/**
 * Without the observations beyond `bound`. A bucket that it cuts keeps the share that interpolation
 * gives it; the sum is estimated anew from the middles of buckets. Unchanged when nothing is cut.
 * Source: TrimBuckets in model/histogram/float_histogram.go of Prometheus.
 */
export function trimHistogram(
  histogram: FloatHistogram,
  bound: number,
  side: TrimSide,
): FloatHistogram {
  const isCustom = usesCustomBuckets(histogram);
  const positive = trimBuckets(positiveBuckets(histogram), { bound, side, isCustom, sign: 1 });
  const negative = trimBuckets(negativeBuckets(histogram), { bound, side, isCustom, sign: -1 });
  const zero = trimZeroBucket(histogram, bound, side);
  if (!positive.changed && !negative.changed && zero.count === histogram.zeroCount) {
    return histogram;
  }
  return compactHistogram({
    ...histogram,
    zeroCount: zero.count,
    count: positive.total + negative.total + zero.count,
    sum: positive.sum + negative.sum + zero.sum,
    positiveBuckets: positive.counts,
    negativeBuckets: negative.counts,
  });
}

interface Cut {
  readonly bound: number;
  readonly side: TrimSide;
  readonly isCustom: boolean;
  /** 1 for positive buckets, −1 for negative ones. */
  readonly sign: 1 | -1;
}

/** What remains of a bucket, and the value that stands for its observations. */
interface Remainder {
  readonly count: number;
  readonly middle: number;
}

function trimBuckets(buckets: readonly Bucket[], cut: Cut) {
  const counts = new Float64Array(buckets.length);
  let [total, sum, changed] = [0, 0, false];
  for (const [i, bucket] of buckets.entries()) {
    if (bucket.count === 0) continue;
    const { count, middle } = trimBucket(bucket, cut);
    counts[i] = count;
    total += count;
    sum += middle * count;
    changed ||= count !== bucket.count;
  }
  return { counts, total, sum, changed };
}

function trimBucket(bucket: Bucket, cut: Cut): Remainder {
  const { lower, upper, count } = bucket;
  const { bound } = cut;
  const below = cut.side === 'keep-below';
  if (below ? upper <= bound : lower >= bound) {
    return { count, middle: middleOf(lower, upper, cut) };
  }
  // Also where the bound is NaN.
  if (below ? !(lower < bound) : !(upper > bound)) return nothing;
  if (lower === -Infinity) return trimLowest(bucket, bound, below);
  // Of a bucket that ends at +Inf all may lie beyond.
  if (upper === Infinity) return below ? nothing : { count, middle: bound };
  const countBelow = countBelowBound(bucket, cut);
  return below
    ? { count: countBelow, middle: middleOf(lower, bound, cut) }
    : { count: count - countBelow, middle: middleOf(bound, upper, cut) };
}

function countBelowBound(bucket: Bucket, { bound, isCustom }: Cut): number {
  if (bound <= bucket.lower) return 0;
  if (bound >= bucket.upper) return bucket.count;
  return bucket.count * fractionBelow(bucket, bound, isCustom);
}

/**
 * A bucket that begins at −Inf and that `bound` cuts. With a positive upper bound it is taken to begin
 * at zero; otherwise nothing is known of where its observations lie.
 */
function trimLowest({ upper, count }: Bucket, bound: number, below: boolean): Remainder {
  const isFinite = upper !== Infinity;
  if (below) {
    if (bound > 0 && upper > 0 && isFinite) {
      return { count: (count * bound) / upper, middle: bound / 2 };
    }
    return upper <= 0 ? { count, middle: bound } : nothing;
  }
  if (bound >= 0 && isFinite) {
    return { count: count * (1 - bound / upper), middle: (bound + upper) / 2 };
  }
  return nothing;
}

const nothing: Remainder = { count: 0, middle: 0 };

/** The value that stands for the observations between two bounds. */
function middleOf(lower: number, upper: number, { isCustom, sign }: Cut): number {
  const openBelow = lower === -Infinity || lower === Infinity;
  const openAbove = upper === -Infinity || upper === Infinity;
  if (openBelow && openAbove) return 0;
  if (openBelow) return upper > 0 ? upper / 2 : upper;
  if (openAbove) return lower;
  return isCustom ? (lower + upper) / 2 : sign * Math.sqrt(Math.abs(lower * upper));
}

/** Linear; the zero bucket reaches only to where the histogram has populated buckets besides. */
function trimZeroBucket(histogram: FloatHistogram, bound: number, side: TrimSide) {
  if (!(histogram.zeroCount > 0)) return { count: histogram.zeroCount, sum: 0 };
  const { count, lower: from, upper: to } = zeroBucket(histogram);
  const hasPositive = histogram.positiveBuckets.some((bucket) => bucket !== 0);
  const hasNegative = histogram.negativeBuckets.some((bucket) => bucket !== 0);
  const lower = hasPositive && !hasNegative ? 0 : from;
  const upper = hasNegative && !hasPositive ? 0 : to;
  const whole = { count, sum: ((lower + upper) / 2) * count };
  const none = { count: 0, sum: 0 };
  const below = side === 'keep-below';
  if (bound <= lower) return below ? none : whole;
  if (bound >= upper) return below ? whole : none;
  const kept = below ? bound - lower : upper - bound;
  const middle = below ? (lower + bound) / 2 : (bound + upper) / 2;
  const share = count * (kept / (upper - lower));
  return { count: share, sum: middle * share };
}
