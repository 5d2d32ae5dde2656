import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { combineCounterResets, divideHistogram, negativeOf, positiveOf } from './arithmetic.ts';
import { mergeCustomBuckets } from './custom-buckets.ts';
import { CounterReset, equalBounds, usesCustomBuckets } from './float-histogram.ts';
import type { FloatHistogram } from './float-histogram.ts';
import {
  addInPlace,
  countWithinZero,
  mergeBuckets,
  outsideZero,
  reduceBuckets,
  sameSpans,
} from './sparse-buckets.ts';
import type { SparseBuckets } from './sparse-buckets.ts';
import { reconcileZeroBuckets } from './zero-bucket.ts';
import type { AroundZero } from './zero-bucket.ts';

/**
 * The compensated sum of histograms (KahanAdd in model/histogram/float_histogram.go of Prometheus).
 * It owns its counts: adding a histogram of the layout that the sum already has allocates nothing.
 */
export class HistogramSum {
  #counterReset: CounterReset;
  #schema: number;
  #zeroThreshold: number;
  #zero: CompensatedSum;
  #count: CompensatedSum;
  #sum: CompensatedSum;
  #positive: SparseBuckets;
  #negative: SparseBuckets;
  #customValues: Float64Array;
  #sawReset: boolean;
  #sawNoReset: boolean;
  #boundsReconciled = false;

  constructor(first: FloatHistogram) {
    this.#counterReset = first.counterReset;
    this.#schema = first.schema;
    this.#zeroThreshold = first.zeroThreshold;
    this.#zero = new CompensatedSum(first.zeroCount);
    this.#count = new CompensatedSum(first.count);
    this.#sum = new CompensatedSum(first.sum);
    this.#positive = ownCopy(positiveOf(first));
    this.#negative = ownCopy(negativeOf(first));
    this.#customValues = first.customValues;
    this.#sawReset = first.counterReset === CounterReset.Yes;
    this.#sawNoReset = first.counterReset === CounterReset.No;
  }

  /** Some histogram said that its counter was reset, and some that it was not. */
  get counterResetCollision(): boolean {
    return this.#sawReset && this.#sawNoReset;
  }

  /** Custom bounds differed and the sum has those that all had. */
  get boundsReconciled(): boolean {
    return this.#boundsReconciled;
  }

  /**
   * False, and the sum means nothing any more, when one has exponential and the other custom
   * buckets.
   */
  add(other: FloatHistogram): boolean {
    this.#sawReset ||= other.counterReset === CounterReset.Yes;
    this.#sawNoReset ||= other.counterReset === CounterReset.No;
    if (usesCustomBuckets(other) !== usesCustomBuckets({ schema: this.#schema })) return false;
    this.#counterReset = combineCounterResets(this.#counterReset, other.counterReset).hint;
    this.#count.add(other.count);
    this.#sum.add(other.sum);
    if (usesCustomBuckets(other)) this.#addCustom(other);
    else this.#addExponential(other);
    return true;
  }

  #addCustom(other: FloatHistogram): void {
    const added = positiveOf(other);
    if (equalBounds(this.#customValues, other.customValues)) {
      this.#positive = accumulated(this.#positive, added, 0);
      return;
    }
    this.#boundsReconciled = true;
    const { buckets, bounds } = mergeCustomBuckets(
      { buckets: this.#positive, bounds: this.#customValues },
      { buckets: added, bounds: other.customValues },
      1,
    );
    this.#positive = buckets;
    this.#customValues = bounds;
  }

  #addExponential(other: FloatHistogram): void {
    if (other.zeroThreshold === this.#zeroThreshold) this.#zero.add(other.zeroCount);
    else this.#addZeroBucket(other);
    const schema = Math.min(this.#schema, other.schema);
    const threshold = this.#zeroThreshold;
    const side = (sum: SparseBuckets, added: SparseBuckets): SparseBuckets => {
      const reduced =
        other.schema === schema ? added : reduceBuckets(ownCopy(added), other.schema, schema);
      const skip = countWithinZero(reduced, schema, threshold);
      return accumulated(reduceBuckets(sum, this.#schema, schema), reduced, skip);
    };
    this.#positive = side(this.#positive, positiveOf(other));
    this.#negative = side(this.#negative, negativeOf(other));
    this.#schema = schema;
  }

  #addZeroBucket(other: FloatHistogram): void {
    const zero = reconcileZeroBuckets(this.#aroundZero(), {
      schema: other.schema,
      zero: { threshold: other.zeroThreshold, count: other.zeroCount, rest: 0 },
      positive: positiveOf(other),
      negative: negativeOf(other),
    });
    const { threshold } = zero.a;
    if (threshold !== this.#zeroThreshold) {
      this.#positive = outsideZero(this.#positive, this.#schema, threshold);
      this.#negative = outsideZero(this.#negative, this.#schema, threshold);
      this.#zeroThreshold = threshold;
    }
    this.#zero = new CompensatedSum(zero.a.count, zero.a.rest);
    this.#zero.add(zero.b.count);
    this.#zero.add(zero.b.rest);
  }

  #aroundZero(): AroundZero {
    const zero = {
      threshold: this.#zeroThreshold,
      count: this.#zero.total,
      rest: this.#zero.rest,
    };
    return { schema: this.#schema, zero, positive: this.#positive, negative: this.#negative };
  }

  /** Multiplies what was added so far. */
  scale(factor: number): void {
    this.#transform((value) => value * factor);
  }

  divide(divisor: number): void {
    this.#transform((value) => value / divisor);
  }

  #transform(change: (value: number) => number): void {
    for (const sum of [this.#zero, this.#count, this.#sum]) {
      sum.total = change(sum.total);
      sum.rest = change(sum.rest);
    }
    for (const { counts, rests } of [this.#positive, this.#negative]) {
      counts.forEach((count, i) => (counts[i] = change(count)));
      rests?.forEach((rest, i) => (rests[i] = change(rest)));
    }
  }

  /** The sum so far, its compensation added. With a divisor, both are divided first. */
  result(divisor = 1): FloatHistogram {
    return {
      counterReset: this.#counterReset,
      schema: this.#schema,
      zeroThreshold: this.#zeroThreshold,
      zeroCount: quotient(this.#zero, divisor),
      count: quotient(this.#count, divisor),
      sum: quotient(this.#sum, divisor),
      positiveSpans: this.#positive.spans,
      positiveBuckets: quotients(this.#positive, divisor),
      negativeSpans: this.#negative.spans,
      negativeBuckets: quotients(this.#negative, divisor),
      customValues: this.#customValues,
    };
  }

  /** An independent sum of the same value. */
  clone(): HistogramSum {
    const copy = new HistogramSum(this.result());
    copy.#counterReset = this.#counterReset;
    copy.#zero = new CompensatedSum(this.#zero.total, this.#zero.rest);
    copy.#count = new CompensatedSum(this.#count.total, this.#count.rest);
    copy.#sum = new CompensatedSum(this.#sum.total, this.#sum.rest);
    copy.#positive = ownCopy(this.#positive);
    copy.#negative = ownCopy(this.#negative);
    copy.#sawReset = this.#sawReset;
    copy.#sawNoReset = this.#sawNoReset;
    copy.#boundsReconciled = this.#boundsReconciled;
    return copy;
  }

  /** Whether no value is beyond `limit` in either direction. */
  isWithin(limit: number): boolean {
    return (
      !(Math.abs(this.#zero.total) > limit) &&
      !(Math.abs(this.#count.total) > limit) &&
      !(Math.abs(this.#sum.total) > limit) &&
      allWithin(this.#positive.counts, limit) &&
      allWithin(this.#negative.counts, limit)
    );
  }
}

/** Half of the largest number, so that two such values never overflow together. */
const ROOM = Number.MAX_VALUE / 4;

/**
 * The mean of histograms: their compensated sum divided, and from where that would overflow on, the
 * mean itself moved along.
 */
export class HistogramMean {
  #sum: HistogramSum;
  #count = 1;
  #isIncremental = false;

  constructor(first: FloatHistogram) {
    this.#sum = new HistogramSum(first);
  }

  get counterResetCollision(): boolean {
    return this.#sum.counterResetCollision;
  }

  get boundsReconciled(): boolean {
    return this.#sum.boundsReconciled;
  }

  /** False, and the mean means nothing any more, for a mix of exponential and custom buckets. */
  add(other: FloatHistogram): boolean {
    this.#count++;
    if (!this.#isIncremental) {
      const mayOverflow = !this.#sum.isWithin(ROOM) || !isWithin(other, ROOM);
      const before = mayOverflow ? this.#sum.clone() : undefined;
      if (!this.#sum.add(other)) return false;
      if (before === undefined || this.#sum.isWithin(Number.MAX_VALUE)) return true;
      this.#isIncremental = true;
      before.divide(this.#count - 1);
      this.#sum = before;
    }
    this.#sum.scale((this.#count - 1) / this.#count);
    return this.#sum.add(divideHistogram(other, this.#count));
  }

  result(): FloatHistogram {
    return this.#sum.result(this.#isIncremental ? 1 : this.#count);
  }
}

/** NaN sums are within: they do not overflow. */
function isWithin(histogram: FloatHistogram, limit: number): boolean {
  return (
    !(Math.abs(histogram.sum) > limit) &&
    !(Math.abs(histogram.count) > limit) &&
    !(Math.abs(histogram.zeroCount) > limit) &&
    allWithin(histogram.positiveBuckets, limit) &&
    allWithin(histogram.negativeBuckets, limit)
  );
}

function allWithin(counts: Float64Array, limit: number): boolean {
  for (let i = 0; i < counts.length; i++) if (Math.abs(counts[i]!) > limit) return false;
  return true;
}

/** `sum + added`, in the memory of `sum` when the layouts agree. */
function accumulated(sum: SparseBuckets, added: SparseBuckets, skip: number): SparseBuckets {
  if (!sameSpans(sum.spans, added.spans) || sum.counts.length !== added.counts.length) {
    return mergeBuckets(sum, added, 1, skip);
  }
  addInPlace(sum, added, 1, skip);
  return sum;
}

function ownCopy({ spans, counts, rests }: SparseBuckets): SparseBuckets {
  return {
    spans,
    counts: counts.slice(),
    rests: rests?.slice() ?? new Float64Array(counts.length),
  };
}

function quotient({ total, rest }: CompensatedSum, divisor: number): number {
  return total / divisor + rest / divisor;
}

function quotients({ counts, rests }: SparseBuckets, divisor: number): Float64Array {
  return counts.map(
    (count, i) => count / divisor + (rests === undefined ? 0 : rests[i]!) / divisor,
  );
}
