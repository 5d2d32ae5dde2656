import { CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Labels } from '#/model/labels.ts';
import type { MatrixSeries, QueryValue } from '#/promql/value.ts';
import type { Histogram, TimeSeries } from '#/proto/remote.ts';

/** The series that stand for an instant query's value; strings and matrices have none. */
export function instantSeries(value: QueryValue): TimeSeries[] {
  switch (value.kind) {
    case 'scalar':
      return [floatSeries([], value.timeMs, value.value)];
    case 'vector':
      return value.samples.map(({ labels, timeMs, value: float, histogram }) =>
        histogram === undefined
          ? floatSeries([...labels], timeMs, float)
          : { ...bare(labels), histograms: [histogramOf(histogram, timeMs)] },
      );
    case 'string':
    case 'matrix':
      return [];
  }
}

/** The series of a range query's value. */
export function rangeSeries(value: QueryValue): TimeSeries[] {
  return value.kind === 'matrix' ? value.series.map(matrixSeries) : instantSeries(value);
}

function matrixSeries({
  labels,
  times,
  values,
  histogramTimes,
  histograms,
}: MatrixSeries): TimeSeries {
  return {
    ...bare(labels),
    samples: Array.from(times, (timestamp, i) => ({ timestamp, value: values[i]! })),
    histograms: histograms.map((histogram, i) => histogramOf(histogram, histogramTimes[i]!)),
  };
}

function bare(labels: Labels): TimeSeries {
  return { labels: [...labels], samples: [], exemplars: [], histograms: [] };
}

function floatSeries(labels: TimeSeries['labels'], timestamp: number, value: number): TimeSeries {
  return { labels, samples: [{ timestamp, value }], exemplars: [], histograms: [] };
}

function histogramOf(histogram: FloatHistogram, timestamp: number): Histogram {
  const { schema, zeroThreshold, sum, positiveSpans, negativeSpans } = histogram;
  return {
    count: { $case: 'countFloat', value: histogram.count },
    zeroCount: { $case: 'zeroCountFloat', value: histogram.zeroCount },
    sum,
    schema,
    zeroThreshold,
    positiveSpans,
    positiveDeltas: [],
    positiveCounts: [...histogram.positiveBuckets],
    negativeSpans,
    negativeDeltas: [],
    negativeCounts: [...histogram.negativeBuckets],
    resetHint: histogram.counterReset,
    timestamp,
    customValues: schema === CUSTOM_BUCKETS_SCHEMA ? [...histogram.customValues] : [],
  };
}
