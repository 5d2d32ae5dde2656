import { formatG } from '#/lib/float-text.ts';
import { quote } from '#/model/labels.ts';

/**
 * What annotations say, word for word as util/annotations in Prometheus, without the prefix that
 * tells infos from warnings. Where a metric name may be empty, its part of the text falls away.
 */
export const warningTexts = {
  invalidRatio: (got: number, cappedTo: number) =>
    `ratio value should be between -1 and 1, got ${formatG(got)}, capping to ${formatG(cappedTo)}`,
  invalidQuantile: (got: number) => `quantile value should be between 0 and 1, got ${formatG(got)}`,
  badBucketLabel: (metricName: string, label: string) =>
    `bucket label "le" is missing or has a malformed value of ${quote(label)}${forMetric(metricName)}`,
  mixedFloatsHistograms: (metricName: string) =>
    `encountered a mix of histograms and floats for metric name ${quote(metricName)}`,
  mixedFloatsHistogramsInAggregation: () =>
    'encountered a mix of histograms and floats for aggregation',
  mixedClassicNativeHistograms: (metricName: string) =>
    `vector contains a mix of classic and native histograms${forMetric(metricName)}`,
  nativeHistogramNotCounter: (metricName: string) =>
    `this native histogram metric is not a counter: ${quote(metricName)}`,
  nativeHistogramNotGauge: (metricName: string) =>
    `this native histogram metric is not a gauge: ${quote(metricName)}`,
  mixedExponentialCustomHistograms: (metricName: string) =>
    `vector contains a mix of histograms with exponential and custom buckets schemas for metric name ${quote(metricName)}`,
  incompatibleBucketLayout: (operator: string) =>
    `incompatible bucket layout encountered for binary operator ${operator}`,
  sortInRangeQuery: () =>
    'sort is ineffective for range queries since results are always ordered by labels',
  counterResetCollision: (operation: HistogramOperation) =>
    `conflicting counter resets during histogram ${operation}`,
  startTimeOverlap: (metricName: string) =>
    `sample has start time that overlaps with previous sample timestamp for metric ${quote(metricName)}`,
};

export const infoTexts = {
  possibleNonCounter: (metricName: string) =>
    `metric might not be a counter, name does not end in _total/_sum/_count/_bucket: ${quote(metricName)}`,
  possibleNonCounterLabel: (metricName: string, typeLabel: string) =>
    `metric might not be a counter, __type__ label is not set to "counter" or "histogram", got ${quote(typeLabel)}: ${quote(metricName)}`,
  forcedMonotonicity: (metricName: string) =>
    `input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)${forMetric(metricName)}`,
  incompatibleTypes: (left: string, operator: string, right: string) =>
    `incompatible sample types encountered for binary operator ${quote(operator)}: ${left} ${operator} ${right}`,
  histogramIgnoredInAggregation: (aggregation: string) =>
    `ignored histogram in ${aggregation} aggregation`,
  histogramIgnoredInMixedRange: (metricName: string) =>
    `ignored histograms in a range containing both floats and histograms for metric name ${quote(metricName)}`,
  quantileOfNaN: (metricName: string) =>
    `input to histogram_quantile has NaN observations, result is NaN${forMetric(metricName)}`,
  quantileSkewedByNaN: (metricName: string) =>
    `input to histogram_quantile has NaN observations, result is skewed higher${forMetric(metricName)}`,
  fractionWithoutNaN: (metricName: string) =>
    `input to histogram_fraction has NaN observations, which are excluded from all fractions${forMetric(metricName)}`,
  mismatchedCustomBuckets: (operation: HistogramOperation) =>
    `mismatched custom buckets were reconciled during ${operation}`,
};

export type HistogramOperation = 'addition' | 'subtraction' | 'aggregation';

function forMetric(metricName: string): string {
  return metricName === '' ? '' : ` for metric name ${quote(metricName)}`;
}
