import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { bucketsOf, fractionBelow, usesCustomBuckets } from '#/model/histogram.ts';
import type { Bucket, FloatHistogram } from '#/model/histogram.ts';
import type { PointKernel } from './kernel.ts';

/** A function of one histogram to a float. Floats have no result. */
export function ofHistogram(compute: (histogram: FloatHistogram) => number): PointKernel {
  return (column) => {
    const { histograms, present } = column;
    for (let step = 0; step < column.steps; step++) {
      if (present[step] === 0) continue;
      const histogram = histograms?.[step];
      if (histogram === undefined) column.remove(step);
      else column.setFloat(step, compute(histogram));
    }
    column.histograms = undefined;
  };
}

/** Population variance, all observations of a bucket taken to be at its middle. */
export function histogramVariance(histogram: FloatHistogram): number {
  const mean = histogram.sum / histogram.count;
  const sum = new CompensatedSum();
  for (const bucket of bucketsOf(histogram)) {
    if (bucket.count === 0) continue;
    const distance = middleOf(bucket, usesCustomBuckets(histogram)) - mean;
    sum.add(bucket.count * distance * distance);
  }
  return sum.value / histogram.count;
}

/** Arithmetic for custom buckets, geometric for exponential ones, 0 in the zero bucket. */
function middleOf({ lower, upper }: Bucket, isCustom: boolean): number {
  if (isCustom) return (upper + lower) / 2;
  if (lower <= 0 && upper >= 0) return 0;
  const middle = Math.sqrt(upper * lower);
  return upper < 0 ? -middle : middle;
}

/** What observations of NaN did to a quantile: they count as above everything. */
export type NaNEffect = 'none' | 'result-is-nan' | 'skewed-higher';

export interface NativeQuantile {
  readonly quantile: number;
  readonly nanEffect: NaNEffect;
}

/**
 * The q-quantile. Within an exponential bucket observations are taken to be spread evenly on a
 * logarithmic scale, within custom buckets and the zero bucket on a linear one. NaN for no
 * observations or q = NaN, −Inf below 0 and +Inf above 1.
 * Source: HistogramQuantile in promql/quantile.go of Prometheus.
 */
export function nativeQuantile(q: number, histogram: FloatHistogram): NativeQuantile {
  if (q < 0) return exact(-Infinity);
  if (q > 1) return exact(Infinity);
  if (histogram.count === 0 || q !== q) return exact(NaN);
  const hasNaN = histogram.sum !== histogram.sum;
  // The upper half is counted from the top, since rounding adds up over the buckets passed.
  const fromBelow = hasNaN || q < 0.5;
  const buckets = bucketsOf(histogram);
  if (!fromBelow) buckets.reverse();
  const rank = (fromBelow ? q : 1 - q) * histogram.count;
  const found = findRank(buckets, rank);
  const bucket = boundedBucket(found.bucket, histogram);
  if (usesCustomBuckets(histogram)) {
    const { lower, upper } = found.bucket;
    if (lower === -Infinity && upper <= 0) return exact(upper);
    if (lower !== -Infinity && upper === Infinity) return exact(lower);
  }
  const counted = Math.min(found.counted, histogram.count);
  if (counted < rank) {
    return hasNaN ? { quantile: NaN, nanEffect: 'result-is-nan' } : exact(bucket.upper);
  }
  const within = fromBelow ? rank - (counted - bucket.count) : counted - rank;
  const isSkewed = hasNaN && countFrom(buckets, found.next, counted) < histogram.count;
  // Upstream loses the bucket while it counts those after it, and interpolates in the last one.
  const last = hasNaN && found.next < buckets.length ? buckets.at(-1)! : bucket;
  return {
    quantile: interpolate(last, within / last.count, usesCustomBuckets(histogram)),
    nanEffect: isSkewed ? 'skewed-higher' : 'none',
  };
}

function exact(quantile: number): NativeQuantile {
  return { quantile, nanEffect: 'none' };
}

const noBucket: Bucket = {
  lower: 0,
  upper: 0,
  lowerInclusive: false,
  upperInclusive: false,
  count: 0,
};

/** The populated bucket in which the running count reaches `rank`, or else the last bucket. */
function findRank(buckets: readonly Bucket[], rank: number) {
  let counted = 0;
  let next = 0;
  let bucket = noBucket;
  while (next < buckets.length) {
    bucket = buckets[next++]!;
    counted += bucket.count;
    if (bucket.count !== 0 && counted >= rank) break;
  }
  return { bucket, counted, next };
}

function countFrom(buckets: readonly Bucket[], from: number, counted: number): number {
  let total = counted;
  for (let i = from; i < buckets.length; i++) total += buckets[i]!.count;
  return total;
}

/**
 * The zero bucket ends at 0 on the side where the histogram has no buckets, and a custom bucket that
 * begins at −Inf begins at 0 if it ends above that.
 */
function boundedBucket(bucket: Bucket, histogram: FloatHistogram): Bucket {
  if (usesCustomBuckets(histogram)) {
    const isLowest = bucket.lower === -Infinity && bucket.upper > 0;
    return isLowest ? { ...bucket, lower: 0 } : bucket;
  }
  return bucket.lower < 0 && bucket.upper > 0 ? boundedZeroBucket(bucket, histogram) : bucket;
}

function boundedZeroBucket(bucket: Bucket, histogram: FloatHistogram): Bucket {
  const hasPositive = histogram.positiveBuckets.length > 0;
  const hasNegative = histogram.negativeBuckets.length > 0;
  if (hasPositive && !hasNegative) return { ...bucket, lower: 0 };
  if (hasNegative && !hasPositive) return { ...bucket, upper: 0 };
  return bucket;
}

/** The value at `fraction` of the way through a bucket. */
function interpolate({ lower, upper }: Bucket, fraction: number, isCustom: boolean): number {
  if (isCustom || (lower <= 0 && upper >= 0)) return lower + (upper - lower) * fraction;
  const logLower = Math.log2(Math.abs(lower));
  const logUpper = Math.log2(Math.abs(upper));
  return lower > 0
    ? 2 ** (logLower + (logUpper - logLower) * fraction)
    : -(2 ** (logUpper + (logLower - logUpper) * (1 - fraction)));
}

export interface NativeFraction {
  readonly fraction: number;
  /** Some observations were NaN and are in no fraction. */
  readonly excludesNaN: boolean;
}

/**
 * The share of observations between two values, with the interpolation of `nativeQuantile`. NaN for
 * no observations or a bound that is NaN, 0 when `lower` ≥ `upper`.
 * Source: HistogramFraction in promql/quantile.go of Prometheus.
 */
export function nativeFraction(
  lower: number,
  upper: number,
  histogram: FloatHistogram,
): NativeFraction {
  if (histogram.count === 0 || lower !== lower || upper !== upper) {
    return { fraction: NaN, excludesNaN: false };
  }
  if (lower >= upper) return { fraction: 0, excludesNaN: false };
  const buckets = bucketsOf(histogram);
  const mayHaveNaN = histogram.sum !== histogram.sum;
  const counted = mayHaveNaN ? countFrom(buckets, 0, 0) : histogram.count;
  const between =
    rankOf(upper, buckets, counted, histogram) - rankOf(lower, buckets, counted, histogram);
  return { fraction: between / histogram.count, excludesNaN: counted < histogram.count };
}

/** How many observations are at or below `value`, at most `counted`. */
function rankOf(
  value: number,
  buckets: readonly Bucket[],
  counted: number,
  histogram: FloatHistogram,
): number {
  const isCustom = usesCustomBuckets(histogram);
  let rank = 0;
  for (const full of buckets) {
    const isZero = full.lower <= 0 && full.upper >= 0;
    const bucket = isZero ? boundedZeroBucket(full, histogram) : full;
    if (bucket.lower >= value) return Math.min(rank, counted);
    if (bucket.upper > value) {
      // Nothing is known of where the observations of an endless bucket lie.
      const isEndless = bucket.lower === -Infinity && (isCustom || isZero);
      const within = isEndless
        ? bucket.count
        : rank + bucket.count * fractionBelow(bucket, value, isCustom || isZero);
      return Math.min(within, counted);
    }
    rank += bucket.count;
  }
  return counted;
}
