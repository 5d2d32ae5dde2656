import {
  addHistograms,
  compactHistogram,
  CounterReset,
  detectReset,
  divideHistogram,
  emptyLike,
  reduceResolution,
  scaleHistogram,
  subtractHistograms,
  usesCustomBuckets,
  withCounterReset,
} from '#/model/histogram.ts';
import type { CombinedHistogram, FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import { isStartTimeReset, startsOverlap } from './counter-start.ts';
import {
  extrapolationFactor,
  factorFromStart,
  secondsOf,
  startTimeInRange,
} from './extrapolate.ts';
import { setHistogram } from './kernel.ts';
import type { KernelContext, KernelResult, RangeWindow } from './kernel.ts';
import type { RateKind } from './rate-kind.ts';

/** `rate`, `increase` or `delta` over a window that holds only histograms. */
export function histogramRate(
  window: RangeWindow,
  result: KernelResult,
  context: KernelContext,
  { isCounter, isRate }: RateKind,
): void {
  const { times, from, rangeStart, rangeEnd } = window;
  const last = window.to - 1;
  const first = histogramAt(window, from);
  let change = from === last ? undefined : histogramChange(window, context, isCounter);
  if (change === undefined && from !== last) return;
  const startTime = isCounter ? startTimeInRange(window) : 0;
  let factor: number;
  if (startTime !== 0) {
    change =
      change === undefined ? first : combined(addHistograms(change, first), 'addition', context);
    factor = factorFromStart(startTime, times[last]!, last - from, times[from]!, rangeEnd);
  } else {
    const isRising = isCounter && change !== undefined && change.count > 0 && first.count >= 0;
    const zeroRatio = isRising ? first.count / change!.count : Infinity;
    factor = extrapolationFactor(
      times[from]!,
      times[last]!,
      last - from,
      rangeStart,
      rangeEnd,
      zeroRatio,
    );
  }
  if (change === undefined) return;
  if (isRate) factor /= secondsOf(rangeEnd - rangeStart);
  setHistogram(result, scaleHistogram(change, factor));
}

export function histogramAt({ histograms }: RangeWindow, index: number): FloatHistogram {
  return histograms![index]!;
}

/**
 * Last minus first, for a counter plus what stood before every reset, as a gauge. `undefined` when
 * exponential and custom buckets meet. At least two histograms are needed.
 * Source: histogramRate in promql/functions.go of Prometheus.
 */
export function histogramChange(
  window: RangeWindow,
  context: KernelContext,
  isCounter: boolean,
): FloatHistogram | undefined {
  const { from, to } = window;
  const last = histogramAt(window, to - 1);
  const base = isCounter ? firstOfCounter(window) : histogramAt(window, from);
  const isCustom = usesCustomBuckets(base);
  let schema = Math.min(last.schema, base.schema);
  for (let i = from + 1; i < to && isCounter; i++) {
    const histogram = histogramAt(window, i);
    if (usesCustomBuckets(histogram) !== isCustom) return warnMixedBuckets(context);
    schema = Math.min(schema, histogram.schema);
  }
  if (usesCustomBuckets(last) !== isCustom) return warnMixedBuckets(context);
  warnOfKind(window, context, isCounter);
  const start = reduceResolution(last, schema);
  let change = combined(subtractHistograms(start, base), 'subtraction', context);
  if (isCounter) change = withResets(change, base, window, context);
  return change && compactHistogram(withCounterReset(change, CounterReset.Gauge));
}

/**
 * The first histogram, or nothing in its place when the counter was reset right after it: then its
 * buckets need not fit the others.
 */
function firstOfCounter(window: RangeWindow): FloatHistogram {
  const first = histogramAt(window, window.from);
  const second = histogramAt(window, window.from + 1);
  const isReset = isStartTimeReset(window, window.from + 1) || detectReset(second, first);
  return isReset ? emptyLike(second) : first;
}

function withResets(
  start: FloatHistogram | undefined,
  base: FloatHistogram,
  window: RangeWindow,
  context: KernelContext,
): FloatHistogram | undefined {
  let change = start;
  let previous = base;
  let overlap = false;
  for (let i = window.from + 1; i < window.to && change !== undefined; i++) {
    const histogram = histogramAt(window, i);
    overlap ||= startsOverlap(window, i);
    if (isStartTimeReset(window, i) || detectReset(histogram, previous)) {
      change = combined(addHistograms(change, previous), 'addition', context);
    }
    previous = histogram;
  }
  if (overlap) context.annotations.startTimeOverlap(context.metricName, context.argPosition);
  return change;
}

/** Counters are expected by `rate`, gauges at both ends by `delta`. */
function warnOfKind(window: RangeWindow, context: KernelContext, isCounter: boolean): void {
  const { annotations, metricName, argPosition } = context;
  const isGauge = (index: number) => histogramAt(window, index).counterReset === CounterReset.Gauge;
  if (!isCounter) {
    if (isGauge(window.from) && isGauge(window.to - 1)) return;
    annotations.warn(warningTexts.nativeHistogramNotGauge(metricName), argPosition);
    return;
  }
  for (let i = window.from; i < window.to; i++) {
    if (!isGauge(i)) continue;
    annotations.warn(warningTexts.nativeHistogramNotCounter(metricName), argPosition);
    return;
  }
}

/** Warns that histograms with exponential and custom buckets do not go together. */
export function warnMixedBuckets({
  annotations,
  metricName,
  argPosition,
}: KernelContext): undefined {
  annotations.warn(warningTexts.mixedExponentialCustomHistograms(metricName), argPosition);
}

/** The result of an operation, its infos and warnings passed on. */
export function combined(
  outcome: CombinedHistogram | undefined,
  operation: 'addition' | 'subtraction',
  context: KernelContext,
): FloatHistogram | undefined {
  if (outcome === undefined) return warnMixedBuckets(context);
  if (outcome.boundsReconciled) {
    context.annotations.info(infoTexts.mismatchedCustomBuckets(operation), context.argPosition);
  }
  return outcome.histogram;
}

/** `irate` (of a counter, per second) or `idelta` over two neighbouring histograms. */
export function instantHistogramChange(
  window: RangeWindow,
  index: number,
  context: KernelContext,
  isRate: boolean,
): FloatHistogram | undefined {
  const { annotations, metricName, argPosition } = context;
  const [before, after] = [histogramAt(window, index - 1), histogramAt(window, index)];
  const gauges = [before, after].filter((h) => h.counterReset === CounterReset.Gauge).length;
  if (isRate && gauges > 0) {
    annotations.warn(warningTexts.nativeHistogramNotCounter(metricName), argPosition);
  }
  if (!isRate && gauges < 2) {
    annotations.warn(warningTexts.nativeHistogramNotGauge(metricName), argPosition);
  }
  const isReset = isRate && (isStartTimeReset(window, index) || detectReset(after, before));
  const change = isReset
    ? after
    : combined(subtractHistograms(after, before), 'subtraction', context);
  if (change === undefined) return undefined;
  const compact = compactHistogram(withCounterReset(change, CounterReset.Gauge));
  if (!isRate) return compact;
  return divideHistogram(compact, (window.times[index]! - window.times[index - 1]!) / 1000);
}
