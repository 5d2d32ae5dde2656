import { aroundZero, negativeOf, positiveOf } from './arithmetic.ts';
import { countsAt, intersectBounds } from './custom-buckets.ts';
import { CounterReset, equalBounds, usesCustomBuckets } from './float-histogram.ts';
import type { FloatHistogram } from './float-histogram.ts';
import { countWithinZero, indexesOf, reduceBuckets, sameSpans } from './sparse-buckets.ts';
import type { SparseBuckets } from './sparse-buckets.ts';
import { widened } from './zero-bucket.ts';

/**
 * Whether a counter histogram began anew after `previous`: any of its counts fell, a populated bucket
 * is gone, its resolution rose, or its zero bucket shrank or now cuts through a populated bucket. The
 * sum does not matter. What the histogram itself says of a reset goes before all that.
 * Source: DetectReset in model/histogram/float_histogram.go of Prometheus.
 */
export function detectReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  if (current.counterReset === CounterReset.Yes) return true;
  if (current.counterReset === CounterReset.No) return false;
  if (current.count < previous.count) return true;
  if (usesCustomBuckets(current)) return customReset(current, previous);
  // Custom buckets have the lowest schema of all, so changing from them counts as a rise.
  if (current.schema > previous.schema) return true;
  return exponentialReset(current, previous);
}

function customReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  if (!usesCustomBuckets(previous)) return true;
  if (equalBounds(current.customValues, previous.customValues)) {
    return anyFell(positiveOf(current), positiveOf(previous));
  }
  const bounds = intersectBounds(current.customValues, previous.customValues);
  const now = countsAt({ buckets: positiveOf(current), bounds: current.customValues }, bounds);
  const before = countsAt({ buckets: positiveOf(previous), bounds: previous.customValues }, bounds);
  return now.some((count, i) => count < before[i]!);
}

function exponentialReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  const { schema, zeroThreshold } = current;
  if (zeroThreshold < previous.zeroThreshold) return true;
  const zero = widened(aroundZero(previous), zeroThreshold);
  if (zero.threshold !== zeroThreshold || current.zeroCount < zero.count) return true;
  return [positiveOf, negativeOf].some((side) => {
    const before = reduceBuckets(side(previous), previous.schema, schema);
    const now = side(current);
    return anyFell(
      now,
      before,
      countWithinZero(now, schema, zeroThreshold),
      countWithinZero(before, schema, zeroThreshold),
    );
  });
}

/** Whether a bucket has fewer counts than before, or is gone though it had some. */
function anyFell(now: SparseBuckets, before: SparseBuckets, skipNow = 0, skipBefore = 0): boolean {
  if (skipNow === skipBefore && sameSpans(now.spans, before.spans)) {
    return fellInPlace(now.counts, before.counts, skipNow);
  }
  const present = indexesOf(now);
  const former = indexesOf(before);
  let i = skipNow;
  for (let j = skipBefore; j < former.length; j++) {
    while (i < present.length && present[i]! < former[j]!) i++;
    const isGone = i === present.length || present[i] !== former[j];
    if (isGone ? before.counts[j] !== 0 : now.counts[i]! < before.counts[j]!) return true;
  }
  return false;
}

function fellInPlace(now: Float64Array, before: Float64Array, skip: number): boolean {
  for (let i = skip; i < before.length; i++) if (now[i]! < before[i]!) return true;
  return false;
}
