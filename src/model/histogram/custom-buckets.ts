import { addCompensated, BucketBuilder, indexesOf } from './sparse-buckets.ts';
import type { SparseBuckets } from './sparse-buckets.ts';

/** Custom buckets with their upper bounds. */
export interface CustomBuckets {
  readonly buckets: SparseBuckets;
  readonly bounds: Float64Array;
}

/** The bounds that both lists have; both are rising. */
export function intersectBounds(a: Float64Array, b: Float64Array): Float64Array {
  const others = new Set(b);
  return a.filter((bound) => others.has(bound));
}

/**
 * `a + sign × b` over the bounds that both have: a bucket goes to the first common bound at or above
 * its own. Buckets that come out empty are left out.
 */
export function mergeCustomBuckets(
  a: CustomBuckets,
  b: CustomBuckets,
  sign: 1 | -1,
): CustomBuckets {
  const bounds = intersectBounds(a.bounds, b.bounds);
  const counts = new Float64Array(bounds.length + 1);
  const rests = new Float64Array(bounds.length + 1);
  addMapped(a, 1, bounds, counts, rests);
  addMapped(b, sign, bounds, counts, rests);
  const builder = new BucketBuilder(counts.length, a.buckets.rests !== undefined);
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] !== 0 || rests[i] !== 0) builder.push(i, counts[i]!, rests[i]);
  }
  return { buckets: builder.build(), bounds };
}

function addMapped(
  { buckets, bounds }: CustomBuckets,
  sign: 1 | -1,
  target: Float64Array,
  counts: Float64Array,
  rests: Float64Array,
): void {
  const indexes = indexesOf(buckets);
  let common = 0;
  for (let i = 0; i < indexes.length; i++) {
    const index = indexes[i]!;
    const isLast = index >= bounds.length;
    while (common < target.length && (isLast || target[common]! < bounds[index]!)) common++;
    addCompensated(counts, rests, common, sign * buckets.counts[i]!);
    if (buckets.rests !== undefined) addCompensated(counts, rests, common, buckets.rests[i]!);
  }
}

/** Counts over the common bounds of two histograms of custom buckets. */
export function countsAt({ buckets, bounds }: CustomBuckets, target: Float64Array): Float64Array {
  const counts = new Float64Array(target.length + 1);
  addMapped({ buckets, bounds }, 1, target, counts, new Float64Array(counts.length));
  return counts;
}
