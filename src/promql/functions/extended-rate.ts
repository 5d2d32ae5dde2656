import {
  addHistograms,
  compactHistogram,
  CounterReset,
  detectReset,
  divideHistogram,
  scaleHistogram,
  subtractHistograms,
  usesCustomBuckets,
  withCounterReset,
} from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { warningTexts } from '../annotation-texts.ts';
import { secondsOf } from './extrapolate.ts';
import { combined, histogramAt, warnMixedBuckets } from './histogram-rate.ts';
import { setFloat, setHistogram } from './kernel.ts';
import type { KernelContext, KernelResult, RangeWindow } from './kernel.ts';
import type { RateKind } from './rate-kind.ts';
import { firstAfter } from './window.ts';

/**
 * Rates over `anchored` and `smoothed` selectors: the difference between the values at both ends of
 * the range, without extrapolation. Anchored, those are the last samples at or before each end;
 * smoothed, they are interpolated between the samples around it.
 * Source: extendedRate and extendedHistogramRate in promql/functions.go of Prometheus.
 */

/** The samples that stand for the ends of the range; `undefined` when they cannot. */
interface Ends {
  readonly first: number;
  readonly last: number;
  readonly smoothed: boolean;
}

function endsOf({ times, from, to, rangeStart, rangeEnd, extension }: RangeWindow) {
  const smoothed = extension === 'smoothed';
  let last = to - 1;
  const first = Math.max(from, firstAfter(times, from, last, rangeStart) - 1);
  // The first sample at or after the end; times are whole milliseconds.
  if (smoothed) last = firstAfter(times, from, last, rangeEnd - 1);
  if (times[last]! <= rangeStart) return undefined;
  if (smoothed && times[first]! > rangeEnd) return undefined;
  return { first, last, smoothed };
}

export function extendedFloatRate(
  window: RangeWindow,
  result: KernelResult,
  { isCounter, isRate }: RateKind,
): void {
  const ends = endsOf(window);
  if (ends === undefined) return;
  const { times, values, rangeStart, rangeEnd } = window;
  const left = leftValue(window, ends, isCounter);
  const right = rightValue(window, ends, isCounter);
  let change = right - left;
  if (isCounter) {
    const inside = times[ends.first]! <= rangeStart ? ends.first + 1 : ends.first;
    const end = times[ends.last]! >= rangeEnd ? ends.last : ends.last + 1;
    change += lostInResets(left, right, values, inside, end);
  }
  setFloat(result, isRate ? change / secondsOf(rangeEnd - rangeStart) : change);
}

function leftValue(window: RangeWindow, { first, smoothed }: Ends, isCounter: boolean): number {
  const { times, values, rangeStart } = window;
  return smoothed && times[first]! < rangeStart
    ? interpolated(window, first, rangeStart, isCounter)
    : values[first]!;
}

function rightValue(window: RangeWindow, { last, smoothed }: Ends, isCounter: boolean): number {
  const { times, values, from, rangeEnd } = window;
  return smoothed && last > from && times[last]! > rangeEnd
    ? interpolated(window, last - 1, rangeEnd, isCounter)
    : values[last]!;
}

/** The value at `time` between samples `index` and `index + 1`; a reset counter rises from zero. */
function interpolated(
  { times, values }: RangeWindow,
  index: number,
  time: number,
  isCounter: boolean,
): number {
  const to = values[index + 1]!;
  const from = isCounter && to < values[index]! ? 0 : values[index]!;
  return from + ((to - from) * (time - times[index]!)) / (times[index + 1]! - times[index]!);
}

/** The sum of the values before every fall from `left` over the samples `[from, to)` to `right`. */
function lostInResets(
  left: number,
  right: number,
  values: Float64Array,
  from: number,
  to: number,
): number {
  let lost = 0;
  let previous = left;
  for (let i = from; i < to; i++) {
    if (values[i]! < previous) lost += previous;
    previous = values[i]!;
  }
  return right < previous ? lost + previous : lost;
}

export function extendedHistogramRate(
  window: RangeWindow,
  result: KernelResult,
  context: KernelContext,
  { isCounter, isRate }: RateKind,
): void {
  const ends = endsOf(window);
  if (ends === undefined || !fitTogether(window, ends, context, isCounter)) return;
  const left = leftHistogram(window, ends, isCounter, context);
  const right = left && rightHistogram(window, ends, isCounter, context);
  if (left === undefined || right === undefined) return;
  if (!isCounter) warnUnlessGauges([left, right], context);
  let change = combined(subtractHistograms(right, left), 'subtraction', context);
  if (isCounter && change !== undefined) {
    change = withResets(change, window, ends, { left, right }, context);
  }
  if (change === undefined) return;
  if (isRate) change = divideHistogram(change, secondsOf(window.rangeEnd - window.rangeStart));
  setHistogram(result, compactHistogram(withCounterReset(change, CounterReset.Gauge)));
}

/** False, with a warning, for a mix of exponential and custom buckets. */
function fitTogether(
  window: RangeWindow,
  { first, last }: Ends,
  context: KernelContext,
  isCounter: boolean,
): boolean {
  const { annotations, metricName, argPosition } = context;
  const isCustom = usesCustomBuckets(histogramAt(window, first));
  for (let i = first; i <= last; i++) {
    const histogram = histogramAt(window, i);
    if (usesCustomBuckets(histogram) !== isCustom) {
      warnMixedBuckets(context);
      return false;
    }
    if (isCounter && histogram.counterReset === CounterReset.Gauge) {
      annotations.warn(warningTexts.nativeHistogramNotCounter(metricName), argPosition);
    }
  }
  return true;
}

function warnUnlessGauges(
  histograms: readonly FloatHistogram[],
  { annotations, metricName, argPosition }: KernelContext,
): void {
  if (histograms.every(({ counterReset }) => counterReset === CounterReset.Gauge)) return;
  annotations.warn(warningTexts.nativeHistogramNotGauge(metricName), argPosition);
}

function leftHistogram(
  window: RangeWindow,
  { first, smoothed }: Ends,
  isCounter: boolean,
  context: KernelContext,
): FloatHistogram | undefined {
  const { times, rangeStart } = window;
  return smoothed && times[first]! < rangeStart
    ? interpolatedHistogram(window, first, rangeStart, isCounter, context)
    : histogramAt(window, first);
}

function rightHistogram(
  window: RangeWindow,
  { last, smoothed }: Ends,
  isCounter: boolean,
  context: KernelContext,
): FloatHistogram | undefined {
  const { times, from, rangeEnd } = window;
  return smoothed && last > from && times[last]! > rangeEnd
    ? interpolatedHistogram(window, last - 1, rangeEnd, isCounter, context)
    : histogramAt(window, last);
}

function interpolatedHistogram(
  window: RangeWindow,
  index: number,
  time: number,
  isCounter: boolean,
  context: KernelContext,
): FloatHistogram | undefined {
  const { times } = window;
  const from = histogramAt(window, index);
  const to = histogramAt(window, index + 1);
  const fraction = (time - times[index]!) / (times[index + 1]! - times[index]!);
  return interpolateHistograms({ from, to, fraction, isCounter }, context);
}

/** Two neighbouring histograms of a series and where between them to look: 0 is `from`, 1 is `to`. */
export interface Interpolation {
  readonly from: FloatHistogram;
  readonly to: FloatHistogram;
  readonly fraction: number;
  /** After a reset a counter is taken to have begun at zero. */
  readonly isCounter: boolean;
}

/** The histogram in between; `undefined`, with a warning, where the two do not go together. */
export function interpolateHistograms(
  { from, to, fraction, isCounter }: Interpolation,
  context: KernelContext,
): FloatHistogram | undefined {
  if (fraction === 0) return from;
  if (fraction === 1) return to;
  if (isCounter && detectReset(to, from)) return scaleHistogram(to, fraction);
  const difference = combined(subtractHistograms(to, from), 'subtraction', context);
  if (difference === undefined) return undefined;
  return combined(addHistograms(scaleHistogram(difference, fraction), from), 'addition', context);
}

/** Adds what stood before every reset between the ends; resets within an end's interpolation are in it. */
function withResets(
  start: FloatHistogram,
  window: RangeWindow,
  { first, last, smoothed }: Ends,
  { left, right }: { readonly left: FloatHistogram; readonly right: FloatHistogram },
  context: KernelContext,
): FloatHistogram | undefined {
  let previous = left;
  let next = first + 1;
  if (
    smoothed &&
    window.times[first]! < window.rangeStart &&
    detectReset(histogramAt(window, first + 1), histogramAt(window, first))
  ) {
    previous = histogramAt(window, first + 1);
    next++;
  }
  if (next > last) return start;
  let lost: FloatHistogram | undefined;
  const lose = (histogram: FloatHistogram): boolean => {
    lost =
      lost === undefined
        ? histogram
        : combined(addHistograms(lost, histogram), 'addition', context);
    return lost !== undefined;
  };
  for (; next < last; next++) {
    const histogram = histogramAt(window, next);
    if (detectReset(histogram, previous) && !lose(previous)) return undefined;
    previous = histogram;
  }
  if (detectReset(right, previous) && !lose(previous)) return undefined;
  return lost === undefined ? start : combined(addHistograms(start, lost), 'addition', context);
}
