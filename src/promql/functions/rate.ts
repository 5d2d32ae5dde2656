import { extendedFloatRate, extendedHistogramRate } from './extended-rate.ts';
import { isStartTimeReset, startsOverlap } from './counter-start.ts';
import {
  extrapolationFactor,
  factorFromStart,
  secondsOf,
  startTimeInRange,
} from './extrapolate.ts';
import { histogramRate, instantHistogramChange } from './histogram-rate.ts';
import { setFloat, setHistogram } from './kernel.ts';
import type { KernelContext, KernelResult, RangeKernel, RangeWindow } from './kernel.ts';
import type { RateKind } from './rate-kind.ts';
import { contentOf, warnMixed } from './window.ts';
import { withDrops } from './with-drops.ts';

/** `rate`: per-second increase of a counter, extrapolated to the whole range. */
export const rate = extrapolated({ isCounter: true, isRate: true });
/** `increase`: rate times the range. */
export const increase = extrapolated({ isCounter: true, isRate: false });
/** `delta`: last minus first of a gauge, extrapolated. */
export const delta = extrapolated({ isCounter: false, isRate: false });
/** `irate`: per-second increase between the last two samples of a counter. */
export const irate = instantaneous(true);
/** `idelta`: difference of the last two samples of a gauge. */
export const idelta = instantaneous(false);

function extrapolated(kind: RateKind): RangeKernel {
  return (window, result, context) => {
    const isExtended = window.extension !== 'none';
    switch (contentOf(window)) {
      case 'floats':
        return isExtended
          ? extendedFloatRate(window, result, kind)
          : floatRate(window, result, context, kind);
      case 'histograms':
        return isExtended
          ? extendedHistogramRate(window, result, context, kind)
          : histogramRate(window, result, context, kind);
      case 'mixed':
        return warnMixed(context);
    }
  };
}

function floatRate(
  window: RangeWindow,
  result: KernelResult,
  context: KernelContext,
  { isCounter, isRate }: RateKind,
): void {
  const { times, values, startTimes, from, rangeStart, rangeEnd } = window;
  const last = window.to - 1;
  const firstValue = values[from]!;
  let change = values[last]! - firstValue;
  if (isCounter) {
    change =
      startTimes === undefined
        ? withDrops(change, values, from, last)
        : withResets(change, window, context);
  }
  const startTime = isCounter ? startTimeInRange(window) : 0;
  if (startTime !== 0) {
    change += firstValue;
    const factor = factorFromStart(startTime, times[last]!, last - from, times[from]!, rangeEnd);
    setFloat(result, change * (isRate ? factor / secondsOf(rangeEnd - rangeStart) : factor));
    return;
  }
  if (from === last) return;
  const zeroRatio = isCounter && change > 0 && firstValue >= 0 ? firstValue / change : Infinity;
  const factor = extrapolationFactor(
    times[from]!,
    times[last]!,
    last - from,
    rangeStart,
    rangeEnd,
    zeroRatio,
  );
  setFloat(result, change * (isRate ? factor / secondsOf(rangeEnd - rangeStart) : factor));
}

/** As `withDrops`, with start timestamps that may tell of resets too. */
function withResets(change: number, window: RangeWindow, context: KernelContext): number {
  const { values, from, to } = window;
  let overlap = false;
  for (let i = from + 1; i < to; i++) {
    overlap ||= startsOverlap(window, i);
    if (values[i]! < values[i - 1]! || isStartTimeReset(window, i)) change += values[i - 1]!;
  }
  if (overlap) warnOverlap(context);
  return change;
}

function warnOverlap({ annotations, metricName, argPosition }: KernelContext): void {
  annotations.startTimeOverlap(metricName, argPosition);
}

function instantaneous(isRate: boolean): RangeKernel {
  return (window, result, context) => {
    const { times, values, histograms, from, to } = window;
    const last = to - 1;
    if (last === from) return;
    const before = histograms?.[last - 1];
    const after = histograms?.[last];
    if (before === undefined && after === undefined) {
      const isReset =
        isRate && (values[last]! < values[last - 1]! || isStartTimeReset(window, last));
      const change = isReset ? values[last]! : values[last]! - values[last - 1]!;
      setFloat(result, isRate ? change / ((times[last]! - times[last - 1]!) / 1000) : change);
    } else if (before === undefined || after === undefined) {
      warnMixed(context);
    } else {
      const change = instantHistogramChange(window, last, context, isRate);
      if (change !== undefined) setHistogram(result, change);
    }
  };
}
