import { formatG, formatSampleValue } from '#/lib/float-text.ts';
import { bucketsOf, formatBucket, negativeBuckets, positiveBuckets, zeroBucket } from './bucket.ts';
import type { Bucket } from './bucket.ts';
import type { FloatHistogram } from './float-histogram.ts';

/** As Prometheus prints a histogram: `{count:3, sum:1.5, (0.5,1]:3}`, empty buckets left out. */
export function formatHistogram(histogram: FloatHistogram): string {
  const buckets = [...negativeBuckets(histogram).reverse()];
  if (histogram.zeroCount !== 0) buckets.push(zeroBucket(histogram));
  buckets.push(...positiveBuckets(histogram));
  const texts = buckets.filter(({ count }) => count !== 0).map(formatBucket);
  return `{${[`count:${formatG(histogram.count)}`, `sum:${formatG(histogram.sum)}`, ...texts].join(', ')}}`;
}

/** A histogram in an answer of the HTTP API; numbers are strings there. */
export interface HistogramJson {
  readonly count: string;
  readonly sum: string;
  /** Boundary rule, lower bound, upper bound and count of each populated bucket, ascending. */
  readonly buckets?: readonly (readonly [number, string, string, string])[];
}

export function histogramToJson(histogram: FloatHistogram): HistogramJson {
  const totals = {
    count: formatSampleValue(histogram.count),
    sum: formatSampleValue(histogram.sum),
  };
  const buckets = bucketsOf(histogram).filter(({ count }) => count !== 0);
  if (buckets.length === 0) return totals;
  return {
    ...totals,
    buckets: buckets.map(
      (bucket) =>
        [
          boundaryRule(bucket),
          formatSampleValue(bucket.lower),
          formatSampleValue(bucket.upper),
          formatSampleValue(bucket.count),
        ] as const,
    ),
  };
}

/** 0: open left, 1: open right, 2: open on both sides, 3: closed on both. */
function boundaryRule({ lowerInclusive, upperInclusive }: Bucket): number {
  if (lowerInclusive) return upperInclusive ? 3 : 1;
  return upperInclusive ? 0 : 2;
}
