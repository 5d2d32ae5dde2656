import { CUSTOM_BUCKETS_SCHEMA, CounterReset, compactHistogram } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { LoadCommand, LoadedSeries } from './commands.ts';
import { parseSignedNumber } from './number.ts';

export interface ConvertedSeries {
  readonly labels: Labels;
  /** By time, ascending. */
  readonly histograms: readonly (readonly [number, FloatHistogram])[];
}

/** One classic histogram at one time. */
interface ClassicSample {
  /** Cumulative counts by upper bound. */
  readonly buckets: Map<number, number>;
  count: number | undefined;
  sum: number;
}

interface ClassicSeries {
  readonly labels: Labels;
  readonly samples: Map<number, ClassicSample>;
}

/**
 * Native histograms with custom buckets for the `_bucket`, `_count` and `_sum` series of a load.
 * Source: util/convertnhcb in Prometheus.
 * @throws EvaluationError if counts fall from bucket to bucket or do not add up.
 */
export function convertClassicHistograms(command: LoadCommand): ConvertedSeries[] {
  const byLabels = new Map<string, ClassicSeries>();
  for (const series of command.series) collect(series, command.stepMs, byLabels);
  return Array.from(byLabels.values(), ({ labels, samples }) => ({
    labels,
    histograms: [...samples]
      .sort(([a], [b]) => a - b)
      .map(([timeMs, sample]) => [timeMs, convert(sample)] as const),
  }));
}

function collect(
  { labels, values }: LoadedSeries,
  stepMs: number,
  byLabels: Map<string, ClassicSeries>,
): void {
  const [, name, suffix] = /^(.*)_(bucket|count|sum)$/s.exec(labels.get(METRIC_NAME)) ?? [];
  if (suffix === undefined) return;
  const bound = suffix === 'bucket' ? parseSignedNumber(labels.get('le')) : 0;
  if (bound === undefined || Number.isNaN(bound)) return;
  const base = labels.without(new Set(['le'])).with(METRIC_NAME, name!);
  const series = byLabels.get(base.key) ?? { labels: base, samples: new Map() };
  byLabels.set(base.key, series);
  for (const [i, value] of values.entries()) {
    if (value.kind !== 'float') continue;
    const timeMs = i * stepMs;
    const sample = series.samples.get(timeMs) ?? newSample();
    series.samples.set(timeMs, sample);
    if (suffix === 'count') sample.count = value.value;
    else if (suffix === 'sum') sample.sum = value.value;
    else if (!sample.buckets.has(bound)) sample.buckets.set(bound, value.value);
  }
}

function newSample(): ClassicSample {
  return { buckets: new Map(), count: undefined, sum: 0 };
}

function convert({ buckets, count: given, sum }: ClassicSample): FloatHistogram {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const count = given ?? sorted.at(-1)?.[1] ?? 0;
  if (sorted.at(-1)?.[0] !== Infinity) sorted.push([Infinity, count]);
  const counts = sorted.map(([, cumulative], i) => {
    const before = i === 0 ? 0 : sorted[i - 1]![1];
    if (cumulative < before) {
      throw new EvaluationError(`count is not cumulative: ${cumulative} < ${before}`);
    }
    return cumulative - before;
  });
  if (sorted.at(-1)![1] !== count) {
    throw new EvaluationError(`count mismatch: count=${count} != le=+Inf ${sorted.at(-1)![1]}`);
  }
  return compactHistogram({
    counterReset: CounterReset.Unknown,
    schema: CUSTOM_BUCKETS_SCHEMA,
    zeroThreshold: 0,
    zeroCount: 0,
    count,
    sum,
    positiveSpans: [{ offset: 0, length: counts.length }],
    positiveBuckets: Float64Array.from(counts),
    negativeSpans: [],
    negativeBuckets: new Float64Array(),
    customValues: Float64Array.from(sorted.slice(0, -1), ([bound]) => bound),
  });
}
