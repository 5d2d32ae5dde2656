/** How a counter histogram relates to the sample before it. The numbers are the wire's. */
export const CounterReset = { Unknown: 0, Yes: 1, No: 2, Gauge: 3 } as const;
export type CounterReset = (typeof CounterReset)[keyof typeof CounterReset];

/** Schema of histograms whose bucket bounds are given one by one. */
export const CUSTOM_BUCKETS_SCHEMA = -53;

/** `length` buckets in a row, `offset` after the end of the previous span (the first: absolute). */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/**
 * A native histogram with absolute bucket counts. Integer histograms become this form when they
 * are decoded, since PromQL only knows floats. Values are shared: whoever holds one does not change it.
 *
 * Bucket i of an exponential schema s (−4 … 8) is `(2^((i−1)·2^−s), 2^(i·2^−s)]`, mirrored for the
 * negative ones; the zero bucket is `[−zeroThreshold, zeroThreshold]`. Under schema −53 the positive
 * buckets index `customValues` (upper bounds, the last bucket goes to +Inf).
 *
 * Format: model/histogram/float_histogram.go in Prometheus.
 */
export interface FloatHistogram {
  readonly counterReset: CounterReset;
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly zeroCount: number;
  readonly count: number;
  /** Stale when it is the stale NaN; then nothing else is meaningful. */
  readonly sum: number;
  readonly positiveSpans: readonly Span[];
  readonly positiveBuckets: Float64Array;
  readonly negativeSpans: readonly Span[];
  readonly negativeBuckets: Float64Array;
  /** Empty unless `schema` is `CUSTOM_BUCKETS_SCHEMA`. */
  readonly customValues: Float64Array;
}

export function usesCustomBuckets({ schema }: Pick<FloatHistogram, 'schema'>): boolean {
  return schema === CUSTOM_BUCKETS_SCHEMA;
}

/** Whether two lists of custom bounds are the same. */
export function equalBounds(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((bound, i) => bound === b[i]);
}
