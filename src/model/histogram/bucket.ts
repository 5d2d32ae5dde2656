import { formatG } from '#/lib/float-text.ts';
import { negativeOf, positiveOf } from './arithmetic.ts';
import { exponentialBound } from './exponential-bounds.ts';
import { usesCustomBuckets } from './float-histogram.ts';
import type { FloatHistogram } from './float-histogram.ts';
import { indexesOf } from './sparse-buckets.ts';

/** One bucket with its bounds. */
export interface Bucket {
  lower: number;
  upper: number;
  readonly lowerInclusive: boolean;
  readonly upperInclusive: boolean;
  readonly count: number;
}

/**
 * All buckets from the lowest to the highest: negative ones, the zero bucket if it has counts, and
 * positive ones, empty ones among them. Where a bucket overlaps the zero bucket it ends there.
 */
export function bucketsOf(histogram: FloatHistogram): Bucket[] {
  const buckets = negativeBuckets(histogram).reverse();
  if (histogram.zeroCount > 0 && !usesCustomBuckets(histogram)) buckets.push(zeroBucket(histogram));
  for (const bucket of positiveBuckets(histogram)) buckets.push(bucket);
  const { zeroThreshold } = histogram;
  for (const bucket of buckets) {
    if (bucket.upper < 0 && bucket.upper > -zeroThreshold) bucket.upper = -zeroThreshold;
    if (bucket.lower > 0 && bucket.lower < zeroThreshold) bucket.lower = zeroThreshold;
  }
  return buckets;
}

/** From the lowest up, untrimmed, one for each count. */
export function positiveBuckets(histogram: FloatHistogram): Bucket[] {
  const side = positiveOf(histogram);
  const boundOf = usesCustomBuckets(histogram)
    ? (index: number) => customBound(histogram.customValues, index)
    : (index: number) => exponentialBound(index, histogram.schema);
  return Array.from(indexesOf(side), (index, i) => ({
    lower: boundOf(index - 1),
    upper: boundOf(index),
    lowerInclusive: usesCustomBuckets(histogram) && index === 0,
    upperInclusive: true,
    count: side.counts[i]!,
  }));
}

/** From zero down, untrimmed, one for each count. */
export function negativeBuckets(histogram: FloatHistogram): Bucket[] {
  const side = negativeOf(histogram);
  return Array.from(indexesOf(side), (index, i) => ({
    lower: -exponentialBound(index, histogram.schema),
    upper: -exponentialBound(index - 1, histogram.schema),
    lowerInclusive: true,
    upperInclusive: false,
    count: side.counts[i]!,
  }));
}

export function zeroBucket({ zeroThreshold, zeroCount }: FloatHistogram): Bucket {
  return {
    lower: -zeroThreshold,
    upper: zeroThreshold,
    lowerInclusive: true,
    upperInclusive: true,
    count: zeroCount,
  };
}

function customBound(bounds: Float64Array, index: number): number {
  if (index < 0) return -Infinity;
  return index < bounds.length ? bounds[index]! : Infinity;
}

/**
 * The share of a bucket's width that lies at or below `value`, which is strictly within its finite
 * bounds: linear for custom and zero buckets, on a logarithmic scale for exponential ones.
 */
export function fractionBelow({ lower, upper }: Bucket, value: number, linear: boolean): number {
  if (linear) return (value - lower) / (upper - lower);
  const logLower = Math.log2(Math.abs(lower));
  const logUpper = Math.log2(Math.abs(upper));
  const logValue = Math.log2(Math.abs(value));
  if (value > 0) return (logValue - logLower) / (logUpper - logLower);
  return 1 - (logValue - logUpper) / (logLower - logUpper);
}

/** In mathematical notation with its count: `(0.5,1]:3`. */
export function formatBucket(bucket: Bucket): string {
  const { lower, upper, lowerInclusive, upperInclusive, count } = bucket;
  const open = lowerInclusive ? '[' : '(';
  const close = upperInclusive ? ']' : ')';
  return `${open}${formatG(lower)},${formatG(upper)}${close}:${formatG(count)}`;
}
