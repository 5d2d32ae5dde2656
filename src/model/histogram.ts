/**
 * Native histograms: the type, arithmetic on immutable values, sums that own their counts, buckets
 * with bounds, and text forms.
 */
export {
  CounterReset,
  CUSTOM_BUCKETS_SCHEMA,
  equalBounds,
  usesCustomBuckets,
} from './histogram/float-histogram.ts';
export type { FloatHistogram, Span } from './histogram/float-histogram.ts';
export {
  addHistograms,
  compactHistogram,
  divideHistogram,
  emptyLike,
  equalHistograms,
  reduceResolution,
  scaleHistogram,
  subtractHistograms,
  withCounterReset,
} from './histogram/arithmetic.ts';
export type { CombinedHistogram } from './histogram/arithmetic.ts';
export { bucketsOf, formatBucket, fractionBelow } from './histogram/bucket.ts';
export type { Bucket } from './histogram/bucket.ts';
export { exponentialBound } from './histogram/exponential-bounds.ts';
export { detectReset } from './histogram/detect-reset.ts';
export { HistogramMean, HistogramSum } from './histogram/histogram-sum.ts';
export { formatHistogram, histogramToJson } from './histogram/text.ts';
export type { HistogramJson } from './histogram/text.ts';
export { trimHistogram } from './histogram/trim.ts';
