import { formatG } from '#/lib/float-text.ts';
import { compactHistogram, equalBounds } from '#/model/histogram.ts';
import type { FloatHistogram, Span } from '#/model/histogram.ts';
import { compareLabels } from '#/model/labels.ts';
import { isStaleNaN } from '#/model/stale.ts';
import type { MatrixSeries, QueryValue, VectorSample } from '../value.ts';
import type { EvalCommand, ExpectedSeries, SequenceValue } from './commands.ts';
import { formatHistogramLiteral } from './histogram-literal.ts';

/** Relative error allowed for sample values. */
const EPSILON = 0.000001;
const MIN_NORMAL = 2 ** -1022;

/** What is wrong with the value of a query; `undefined` when it is as expected. */
export function compareValue(command: EvalCommand, value: QueryValue): string | undefined {
  const { expected } = command;
  switch (value.kind) {
    case 'string':
      if (value.value === expected.string) return undefined;
      return `expected string ${JSON.stringify(expected.string)} but got ${JSON.stringify(value.value)}`;
    case 'scalar':
      if (expected.scalar === undefined) return `expected series, but got scalar ${value.value}`;
      if (almostEqual(expected.scalar, value.value)) return undefined;
      return `expected scalar ${formatG(expected.scalar)} but got ${formatG(value.value)}`;
    case 'vector':
      if (expected.scalar !== undefined) return 'expected scalar result, but got a vector';
      return compareVector(command, value.samples);
    case 'matrix':
      if (expected.ordered) return 'expected ordered result, but query returned a matrix';
      if (expected.scalar !== undefined) return 'expected scalar result, but got a matrix';
      return compareMatrix(command, value.series);
  }
}

function compareVector(
  { expected }: EvalCommand,
  samples: readonly VectorSample[],
): string | undefined {
  const seen = new Set<string>();
  for (const [i, { labels, value, histogram }] of samples.entries()) {
    const series = expected.series.get(labels.key);
    if (series === undefined) {
      return `unexpected metric ${labels.toMetricString()} in result, has value ${describe(value, histogram)}`;
    }
    if (expected.ordered && series.position !== i + 1) {
      return `expected metric ${labels.toMetricString()} at position ${series.position} but was at ${i + 1}`;
    }
    const want = series.values[0] ?? { kind: 'omitted' };
    if (!equalsValue(want, value, histogram)) {
      return `expected ${describeValue(want)} for ${labels.toMetricString()} but got ${describe(value, histogram)}`;
    }
    seen.add(labels.key);
  }
  return missing(expected.series, seen);
}

function compareMatrix(command: EvalCommand, result: readonly MatrixSeries[]): string | undefined {
  const { expected } = command;
  const seen = new Set<string>();
  const unsorted = whyUnsorted(result);
  if (unsorted !== undefined) return unsorted;
  for (const series of result) {
    const want = expected.series.get(series.labels.key);
    if (want === undefined) {
      return `unexpected metric ${series.labels.toMetricString()} in result, has ${describeSeries(series)}`;
    }
    const problem = comparePoints(command, want, series);
    if (problem !== undefined) {
      return `${problem} for ${series.labels.toMetricString()} (result has ${describeSeries(series)})`;
    }
    seen.add(series.labels.key);
  }
  return missing(expected.series, seen);
}

export function whyUnsorted(result: readonly MatrixSeries[]): string | undefined {
  for (let i = 1; i < result.length; i++) {
    if (compareLabels(result[i - 1]!.labels, result[i]!.labels) <= 0) continue;
    return `series ${result[i]!.labels.toString()} is not in the order of labels`;
  }
  return undefined;
}

function comparePoints(
  { steps }: EvalCommand,
  { values }: ExpectedSeries,
  series: MatrixSeries,
): string | undefined {
  const floats: { timeMs: number; value: number }[] = [];
  const histograms: { timeMs: number; value: SequenceValue }[] = [];
  for (const [i, value] of values.entries()) {
    const timeMs = steps.startMs + i * steps.stepMs;
    if (timeMs > steps.endMs) return `${values.length} values are more than the range has steps`;
    if (value.kind === 'float') floats.push({ timeMs, value: value.value });
    else if (value.kind === 'histogram') histograms.push({ timeMs, value });
  }
  if (floats.length !== series.times.length || histograms.length !== series.histograms.length) {
    return `expected ${floats.length} float points and ${histograms.length} histogram points`;
  }
  for (const [i, { timeMs, value }] of floats.entries()) {
    if (series.times[i] === timeMs && almostEqual(value, series.values[i]!)) continue;
    return `expected float ${formatG(value)} at ${timeMs} but got ${formatG(series.values[i]!)} at ${series.times[i]}`;
  }
  for (const [i, { timeMs, value }] of histograms.entries()) {
    const actual = series.histograms[i]!;
    if (series.histogramTimes[i] === timeMs && equalsValue(value, 0, actual)) continue;
    return `expected histogram ${describeValue(value)} at ${timeMs} but got ${formatHistogramLiteral(actual)} at ${series.histogramTimes[i]}`;
  }
  return undefined;
}

function missing(
  expected: ReadonlyMap<string, ExpectedSeries>,
  seen: ReadonlySet<string>,
): string | undefined {
  for (const [key, { labels }] of expected) {
    if (!seen.has(key)) return `expected metric ${labels.toMetricString()} not found`;
  }
  return undefined;
}

function equalsValue(
  want: SequenceValue,
  value: number,
  histogram: FloatHistogram | undefined,
): boolean {
  if (want.kind === 'histogram') {
    return histogram !== undefined && equalsHistogram(want, histogram);
  }
  return histogram === undefined && almostEqual(want.kind === 'float' ? want.value : 0, value);
}

/** Counts may differ a little, layout and bounds may not. Hints count only where they are written. */
function equalsHistogram(
  want: Extract<SequenceValue, { kind: 'histogram' }>,
  actual: FloatHistogram,
): boolean {
  const a = compactHistogram(want.histogram);
  const b = compactHistogram(actual);
  return (
    a.schema === b.schema &&
    almostEqual(a.count, b.count) &&
    almostEqual(a.sum, b.sum) &&
    equalBounds(a.customValues, b.customValues) &&
    a.zeroThreshold === b.zeroThreshold &&
    almostEqual(a.zeroCount, b.zeroCount) &&
    equalSpans(a.positiveSpans, b.positiveSpans) &&
    equalCounts(a.positiveBuckets, b.positiveBuckets) &&
    equalSpans(a.negativeSpans, b.negativeSpans) &&
    equalCounts(a.negativeBuckets, b.negativeBuckets) &&
    (!want.hasHint || a.counterReset === b.counterReset)
  );
}

function equalSpans(a: readonly Span[], b: readonly Span[]): boolean {
  return (
    a.length === b.length &&
    a.every((span, i) => span.offset === b[i]!.offset && span.length === b[i]!.length)
  );
}

function equalCounts(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((count, i) => almostEqual(count, b[i]!));
}

/** Source: util/almost in Prometheus. */
function almostEqual(a: number, b: number): boolean {
  if (isStaleNaN(a) || isStaleNaN(b)) return isStaleNaN(a) && isStaleNaN(b);
  if ((Number.isNaN(a) && Number.isNaN(b)) || a === b) return true;
  const sum = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || sum < MIN_NORMAL) return difference < EPSILON * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < EPSILON;
}

function describeValue(value: SequenceValue): string {
  if (value.kind === 'omitted') return 'nothing';
  return value.kind === 'float' ? formatG(value.value) : formatHistogramLiteral(value.histogram);
}

function describe(value: number, histogram: FloatHistogram | undefined): string {
  return histogram === undefined ? formatG(value) : formatHistogramLiteral(histogram);
}

function describeSeries({ times, values, histogramTimes, histograms }: MatrixSeries): string {
  const floats = Array.from(times, (time, i) => `${formatG(values[i]!)} @${time}`);
  const literals = histograms.map((h, i) => `${formatHistogramLiteral(h)} @${histogramTimes[i]}`);
  return `[${[...floats, ...literals].join(' ')}]`;
}
