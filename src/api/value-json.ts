import { formatSampleValue } from '#/lib/float-text.ts';
import { histogramToJson } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Labels } from '#/model/labels.ts';
import type { MatrixSeries, QueryValue, VectorSample } from '#/promql/value.ts';

/** Pieces are handed on at about this many characters, so a large answer is never one string. */
const PIECE = 65_536;

/**
 * The `resultType` and `result` members of a query's answer, in pieces, without the braces around.
 * Times are seconds with three digits when they are not whole, values are strings, as Prometheus
 * writes them. Builds text directly: JSON.stringify over an object per sample takes three times as long.
 */
export function* valueJson(value: QueryValue): Generator<string, void> {
  switch (value.kind) {
    case 'scalar':
      yield `"resultType":"scalar","result":[${scalarTime(value.timeMs)},"${plainDecimal(value.value)}"]`;
      return;
    case 'string':
      yield `"resultType":"string","result":[${scalarTime(value.timeMs)},${JSON.stringify(value.value.toWellFormed())}]`;
      return;
    case 'vector':
      yield '"resultType":"vector","result":';
      yield* listJson(value.samples, vectorSampleJson);
      return;
    case 'matrix':
      yield '"resultType":"matrix","result":';
      yield* matrixJson(value.series);
  }
}

function* listJson<T>(items: readonly T[], print: (item: T) => string): Generator<string, void> {
  let piece = '[';
  for (const [i, item] of items.entries()) {
    piece += (i === 0 ? '' : ',') + print(item);
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  yield `${piece}]`;
}

function vectorSampleJson({ labels, timeMs, value, histogram }: VectorSample): string {
  const sample =
    histogram === undefined
      ? `"value":[${secondsJson(timeMs)},"${formatSampleValue(value)}"]`
      : `"histogram":[${secondsJson(timeMs)},${histogramJson(histogram)}]`;
  return `{"metric":${labelsJson(labels)},${sample}}`;
}

function* matrixJson(series: readonly MatrixSeries[]): Generator<string, void> {
  const times = new TimeTexts();
  let piece = '[';
  for (const [i, { labels, ...samples }] of series.entries()) {
    piece += `${i === 0 ? '' : ','}{"metric":${labelsJson(labels)}`;
    if (samples.times.length > 0) {
      piece += ',"values":[';
      for (let k = 0; k < samples.times.length; k++) {
        if (k > 0) piece += ',';
        piece += `[${times.of(samples.times[k]!)},"${formatSampleValue(samples.values[k]!)}"]`;
        if (piece.length < PIECE) continue;
        yield piece;
        piece = '';
      }
      piece += ']';
    }
    if (samples.histograms.length > 0) {
      const points = samples.histograms.map((histogram, k) => {
        return `[${times.of(samples.histogramTimes[k]!)},${histogramJson(histogram)}]`;
      });
      piece += `,"histograms":[${points.join(',')}]`;
    }
    piece += '}';
  }
  yield `${piece}]`;
}

/** Bytes of a value that are no UTF-8 are printed as U+FFFD, as Go does. */
function labelsJson(labels: Labels): string {
  const text = JSON.stringify(labels);
  if (!text.includes(String.raw`\ud`)) return text;
  return JSON.stringify(labels, (_, value: unknown) => {
    return typeof value === 'string' ? value.toWellFormed() : value;
  });
}

function histogramJson(histogram: FloatHistogram): string {
  return JSON.stringify(histogramToJson(histogram));
}

/** The series of a matrix share their steps, so a time is printed once for all of them. */
class TimeTexts {
  readonly #texts = new Map<number, string>();

  of(timeMs: number): string {
    let text = this.#texts.get(timeMs);
    if (text === undefined) {
      text = secondsJson(timeMs);
      if (this.#texts.size < 100_000) this.#texts.set(timeMs, text);
    }
    return text;
  }
}

/** `1435781451` or `1435781451.781`. */
export function secondsJson(timeMs: number): string {
  const sign = timeMs < 0 ? '-' : '';
  const whole = Math.abs(timeMs);
  const rest = whole % 1000;
  const seconds = `${sign}${Math.trunc(whole / 1000)}`;
  return rest === 0 ? seconds : `${seconds}.${String(rest).padStart(3, '0')}`;
}

/** A scalar's time is an ordinary JSON number of seconds. */
function scalarTime(timeMs: number): string {
  return String(timeMs / 1000);
}

/** A scalar's value never has an exponent. */
function plainDecimal(value: number): string {
  const text = formatSampleValue(value);
  if (!text.includes('e')) return text;
  const [mantissa = '', exponent = '0'] = text.split('e');
  return shiftPoint(mantissa, Number(exponent));
}

/** `1.5` shifted by -7 is `0.00000015`. */
function shiftPoint(mantissa: string, by: number): string {
  const sign = mantissa.startsWith('-') ? '-' : '';
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = whole + fraction;
  const point = whole.length + by;
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return (
    sign +
    digits.padEnd(point, '0').slice(0, point) +
    (digits.length > point ? `.${digits.slice(point)}` : '')
  );
}
