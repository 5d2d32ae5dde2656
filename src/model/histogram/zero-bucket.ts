import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { exponentialBound } from './exponential-bounds.ts';
import { indexesOf } from './sparse-buckets.ts';
import type { SparseBuckets } from './sparse-buckets.ts';

/** A zero bucket: its width and its count, the latter with what rounding cut off. */
export interface ZeroBucket {
  readonly threshold: number;
  readonly count: number;
  readonly rest: number;
}

/** The parts of an exponential histogram that a wider zero bucket takes from. */
export interface AroundZero {
  readonly schema: number;
  readonly zero: ZeroBucket;
  readonly positive: SparseBuckets;
  readonly negative: SparseBuckets;
}

/**
 * The zero buckets of both sides widened to one threshold that cuts through no populated bucket of
 * either. Source: reconcileZeroBuckets in model/histogram/float_histogram.go of Prometheus.
 */
export function reconcileZeroBuckets(
  a: AroundZero,
  b: AroundZero,
): { readonly a: ZeroBucket; readonly b: ZeroBucket } {
  let left = a.zero;
  let right = b.zero;
  while (left.threshold !== right.threshold) {
    if (left.threshold > right.threshold) right = widened(b, left.threshold);
    if (right.threshold > left.threshold) left = widened(a, right.threshold);
  }
  return { a: left, b: right };
}

/**
 * The zero bucket at a larger threshold: it takes the buckets that lie within. Where the threshold
 * cuts through a populated bucket it moves up to that bucket's end.
 */
export function widened(histogram: AroundZero, threshold: number): ZeroBucket {
  if (threshold === histogram.zero.threshold) return histogram.zero;
  let reached = threshold;
  for (;;) {
    const count = new CompensatedSum(histogram.zero.count, histogram.zero.rest);
    reached = takeWithin(histogram.positive, histogram.schema, reached, count);
    const further = takeWithin(histogram.negative, histogram.schema, reached, count);
    // The negative buckets moved the threshold: the positive ones must be looked at again.
    if (further === reached) return { threshold: reached, count: count.total, rest: count.rest };
    reached = further;
  }
}

/** Adds the buckets that begin below `threshold` to `count`; returns where the last of them ends. */
function takeWithin(
  buckets: SparseBuckets,
  schema: number,
  threshold: number,
  count: CompensatedSum,
): number {
  const indexes = indexesOf(buckets);
  for (let i = 0; i < indexes.length; i++) {
    const index = indexes[i]!;
    if (exponentialBound(index - 1, schema) >= threshold) break;
    count.add(buckets.counts[i]!);
    if (buckets.rests !== undefined) count.add(buckets.rests[i]!);
    const end = exponentialBound(index, schema);
    if (end > threshold) return buckets.counts[i] === 0 ? threshold : end;
  }
  return threshold;
}
