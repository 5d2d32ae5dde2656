import { mergeCustomBuckets } from './custom-buckets.ts';
import { CounterReset, equalBounds, usesCustomBuckets } from './float-histogram.ts';
import type { FloatHistogram } from './float-histogram.ts';
import {
  compactBuckets,
  countWithinZero,
  indexesOf,
  mergeBuckets,
  outsideZero,
  reduceBuckets,
} from './sparse-buckets.ts';
import type { SparseBuckets } from './sparse-buckets.ts';
import { reconcileZeroBuckets } from './zero-bucket.ts';
import type { AroundZero } from './zero-bucket.ts';

/** A sum or difference and what the user should know of it. */
export interface CombinedHistogram {
  readonly histogram: FloatHistogram;
  /** One side said that a counter was reset, the other that it was not. */
  readonly counterResetCollision: boolean;
  /** The sides had different custom bounds; the result has those that both had. */
  readonly boundsReconciled: boolean;
}

/** `a + b`; `undefined` when one has exponential and the other custom buckets. */
export function addHistograms(a: FloatHistogram, b: FloatHistogram): CombinedHistogram | undefined {
  return combine(a, b, 1);
}

/** `a − b`; `undefined` when one has exponential and the other custom buckets. */
export function subtractHistograms(
  a: FloatHistogram,
  b: FloatHistogram,
): CombinedHistogram | undefined {
  return combine(a, b, -1);
}

function combine(
  a: FloatHistogram,
  b: FloatHistogram,
  sign: 1 | -1,
): CombinedHistogram | undefined {
  if (usesCustomBuckets(a) !== usesCustomBuckets(b)) return undefined;
  const { hint, collision } = combineCounterResets(a.counterReset, b.counterReset);
  const totals = {
    ...a,
    counterReset: hint,
    count: a.count + sign * b.count,
    sum: a.sum + sign * b.sum,
  };
  const boundsReconciled = usesCustomBuckets(a) && !equalBounds(a.customValues, b.customValues);
  const histogram = usesCustomBuckets(a)
    ? combineCustom(totals, a, b, sign, boundsReconciled)
    : combineExponential(totals, a, b, sign);
  return { histogram, counterResetCollision: collision, boundsReconciled };
}

function combineCustom(
  totals: FloatHistogram,
  a: FloatHistogram,
  b: FloatHistogram,
  sign: 1 | -1,
  boundsReconciled: boolean,
): FloatHistogram {
  const left = positiveOf(a);
  const right = positiveOf(b);
  if (!boundsReconciled) return withPositive(totals, mergeBuckets(left, right, sign));
  const { buckets, bounds } = mergeCustomBuckets(
    { buckets: left, bounds: a.customValues },
    { buckets: right, bounds: b.customValues },
    sign,
  );
  return { ...withPositive(totals, buckets), customValues: bounds };
}

function combineExponential(
  totals: FloatHistogram,
  a: FloatHistogram,
  b: FloatHistogram,
  sign: 1 | -1,
): FloatHistogram {
  const zero = reconcileZeroBuckets(aroundZero(a), aroundZero(b));
  const zeroThreshold = zero.a.threshold;
  const schema = Math.min(a.schema, b.schema);
  const side = (of: (histogram: FloatHistogram) => SparseBuckets): SparseBuckets => {
    const trimmed =
      zeroThreshold === a.zeroThreshold ? of(a) : outsideZero(of(a), a.schema, zeroThreshold);
    const added = reduceBuckets(of(b), b.schema, schema);
    const skip = countWithinZero(added, schema, zeroThreshold);
    return mergeBuckets(reduceBuckets(trimmed, a.schema, schema), added, sign, skip);
  };
  const positive = side(positiveOf);
  const negative = side(negativeOf);
  return {
    ...totals,
    schema,
    zeroThreshold,
    zeroCount: zero.a.count + sign * zero.b.count,
    positiveSpans: positive.spans,
    positiveBuckets: positive.counts,
    negativeSpans: negative.spans,
    negativeBuckets: negative.counts,
  };
}

/**
 * What is known of counter resets after adding or subtracting: gauges make gauges, the unknown stays
 * unknown, and a reset against no reset is a collision.
 */
export function combineCounterResets(
  a: CounterReset,
  b: CounterReset,
): { readonly hint: CounterReset; readonly collision: boolean } {
  if (a === b) return { hint: a, collision: false };
  if (a === CounterReset.Gauge || b === CounterReset.Gauge) {
    return { hint: CounterReset.Gauge, collision: false };
  }
  const collision = a !== CounterReset.Unknown && b !== CounterReset.Unknown;
  return { hint: CounterReset.Unknown, collision };
}

/** All counts and the sum times `factor`; a negative one makes a gauge. */
export function scaleHistogram(histogram: FloatHistogram, factor: number): FloatHistogram {
  const hasZeroBucket = !usesCustomBuckets(histogram);
  return {
    ...histogram,
    counterReset: factor < 0 ? CounterReset.Gauge : histogram.counterReset,
    zeroCount: hasZeroBucket ? histogram.zeroCount * factor : 0,
    count: histogram.count * factor,
    sum: histogram.sum * factor,
    positiveBuckets: histogram.positiveBuckets.map((count) => count * factor),
    negativeBuckets: histogram.negativeBuckets.map((count) => count * factor),
  };
}

/** All counts and the sum divided; a negative divisor makes a gauge, and zero leaves no buckets. */
export function divideHistogram(histogram: FloatHistogram, divisor: number): FloatHistogram {
  const hasZeroBucket = !usesCustomBuckets(histogram);
  const totals = {
    ...histogram,
    counterReset: divisor < 0 ? CounterReset.Gauge : histogram.counterReset,
    zeroCount: hasZeroBucket ? histogram.zeroCount / divisor : 0,
    count: histogram.count / divisor,
    sum: histogram.sum / divisor,
  };
  return divisor === 0
    ? { ...totals, ...noBuckets }
    : {
        ...totals,
        positiveBuckets: histogram.positiveBuckets.map((count) => count / divisor),
        negativeBuckets: histogram.negativeBuckets.map((count) => count / divisor),
      };
}

const noBuckets = {
  positiveSpans: [],
  positiveBuckets: new Float64Array(0),
  negativeSpans: [],
  negativeBuckets: new Float64Array(0),
};

/** A histogram of the same layout family without any observation. */
export function emptyLike({ schema, customValues }: FloatHistogram): FloatHistogram {
  return {
    ...noBuckets,
    counterReset: CounterReset.Unknown,
    schema,
    zeroThreshold: 0,
    zeroCount: 0,
    count: 0,
    sum: 0,
    customValues,
  };
}

export function withCounterReset(
  histogram: FloatHistogram,
  counterReset: CounterReset,
): FloatHistogram {
  return histogram.counterReset === counterReset ? histogram : { ...histogram, counterReset };
}

/**
 * Without empty buckets, except runs of up to `maxEmpty` between others; gaps that short are filled
 * instead of told by spans.
 */
export function compactHistogram(histogram: FloatHistogram, maxEmpty = 0): FloatHistogram {
  const positive = positiveOf(histogram);
  const negative = negativeOf(histogram);
  const compactPositive = compactBuckets(positive, maxEmpty);
  const compactNegative = compactBuckets(negative, maxEmpty);
  if (compactPositive === positive && compactNegative === negative) return histogram;
  return withSides(histogram, compactPositive, compactNegative);
}

/** In the coarser exponential schema `schema`. As upstream, what is known of resets is lost then. */
export function reduceResolution(histogram: FloatHistogram, schema: number): FloatHistogram {
  if (schema === histogram.schema) return histogram;
  const positive = reduceBuckets(positiveOf(histogram), histogram.schema, schema);
  const negative = reduceBuckets(negativeOf(histogram), histogram.schema, schema);
  return {
    ...withSides(histogram, positive, negative),
    schema,
    counterReset: CounterReset.Unknown,
  };
}

/** Data equality: equal counts bit for bit in equal buckets, whatever counter resets are known. */
export function equalHistograms(a: FloatHistogram, b: FloatHistogram): boolean {
  return (
    a.schema === b.schema &&
    Object.is(a.count, b.count) &&
    Object.is(a.sum, b.sum) &&
    a.zeroThreshold === b.zeroThreshold &&
    Object.is(a.zeroCount, b.zeroCount) &&
    (!usesCustomBuckets(a) || equalBounds(a.customValues, b.customValues)) &&
    equalBuckets(negativeOf(a), negativeOf(b)) &&
    equalBuckets(positiveOf(a), positiveOf(b))
  );
}

function equalBuckets(a: SparseBuckets, b: SparseBuckets): boolean {
  if (a.counts.length !== b.counts.length) return false;
  const left = indexesOf(a);
  const right = indexesOf(b);
  return a.counts.every((count, i) => Object.is(count, b.counts[i]) && left[i] === right[i]);
}

export function positiveOf(histogram: FloatHistogram): SparseBuckets {
  return { spans: histogram.positiveSpans, counts: histogram.positiveBuckets, rests: undefined };
}

export function negativeOf(histogram: FloatHistogram): SparseBuckets {
  return { spans: histogram.negativeSpans, counts: histogram.negativeBuckets, rests: undefined };
}

export function aroundZero(histogram: FloatHistogram): AroundZero {
  const { schema, zeroThreshold, zeroCount } = histogram;
  const zero = { threshold: zeroThreshold, count: zeroCount, rest: 0 };
  return { schema, zero, positive: positiveOf(histogram), negative: negativeOf(histogram) };
}

function withPositive(histogram: FloatHistogram, { spans, counts }: SparseBuckets): FloatHistogram {
  return { ...histogram, positiveSpans: spans, positiveBuckets: counts };
}

function withSides(
  histogram: FloatHistogram,
  positive: SparseBuckets,
  negative: SparseBuckets,
): FloatHistogram {
  return {
    ...histogram,
    positiveSpans: positive.spans,
    positiveBuckets: positive.counts,
    negativeSpans: negative.spans,
    negativeBuckets: negative.counts,
  };
}
