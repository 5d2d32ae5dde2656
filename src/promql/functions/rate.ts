import { isStartTimeReset, startsOverlap } from './counter-start.ts';
import { setFloat } from './kernel.ts';
import type { KernelContext, KernelResult, RangeKernel, RangeWindow } from './kernel.ts';
import { contentOf, warnMixed } from './window.ts';

/** `rate`: per-second increase of a counter, extrapolated to the whole range. */
export const rate = extrapolated({ isCounter: true, isRate: true });
/** `increase`: rate times the range. */
export const increase = extrapolated({ isCounter: true, isRate: false });
/** `delta`: last minus first of a gauge, extrapolated. */
export const delta = extrapolated({ isCounter: false, isRate: false });

export interface RateKind {
  /** Falls are counter resets, and the counter was never below zero. */
  readonly isCounter: boolean;
  /** Per second instead of over the range. */
  readonly isRate: boolean;
}

function extrapolated(kind: RateKind): RangeKernel {
  return (window, result, context) => {
    switch (contentOf(window)) {
      case 'floats':
        return floatRate(window, result, context, kind);
      case 'histograms':
        return;
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

/** `change` plus the value before every fall in `[first, last]`: what the counter rose in truth. */
function withDrops(change: number, values: Float64Array, first: number, last: number): number {
  let previous = values[first]!;
  for (let i = first + 1; i <= last; i++) {
    const value = values[i]!;
    if (value < previous) change += previous;
    previous = value;
  }
  return change;
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

export function warnOverlap({ annotations, metricName, argPosition }: KernelContext): void {
  annotations.startTimeOverlap(metricName, argPosition);
}

/**
 * The start timestamp of the first sample if it lies within the range before that sample: then the
 * counter was zero there, and nothing need be guessed on the left side. 0 when there is none.
 */
export function startTimeInRange({ times, startTimes, from, rangeStart }: RangeWindow): number {
  const startTime = startTimes === undefined ? 0 : startTimes[from]!;
  return startTime > rangeStart && startTime < times[from]! ? startTime : 0;
}

/** The factor where the range begins at a known zero: only the right side is extrapolated. */
export function factorFromStart(
  startTime: number,
  lastTime: number,
  intervals: number,
  firstTime: number,
  rangeEnd: number,
): number {
  const sampled = (lastTime - startTime) / 1000;
  const average = intervals > 0 ? (lastTime - firstTime) / 1000 / intervals : 0;
  const toEnd = extension((rangeEnd - lastTime) / 1000, average);
  return sampled === 0 ? 1 : (sampled + toEnd) / sampled;
}

/**
 * What the change between the first and last sample is multiplied with to stand for the whole range.
 * A side is extended to the range's end when the gap is below 1.1 average intervals, else by half an
 * interval, and to the left never past where a counter would be zero: `zeroRatio` is its first value
 * divided by its change, Infinity when there is no such point.
 * Source: extrapolatedRate in promql/functions.go of Prometheus.
 */
export function extrapolationFactor(
  firstTime: number,
  lastTime: number,
  intervals: number,
  rangeStart: number,
  rangeEnd: number,
  zeroRatio: number,
): number {
  const sampled = (lastTime - firstTime) / 1000;
  if (sampled === 0) return 1;
  const average = sampled / intervals;
  let toStart = extension((firstTime - rangeStart) / 1000, average);
  const toZero = sampled * zeroRatio;
  if (toZero < toStart) toStart = toZero;
  return (sampled + toStart + extension((rangeEnd - lastTime) / 1000, average)) / sampled;
}

function extension(gap: number, average: number): number {
  return gap >= average * 1.1 ? average / 2 : gap;
}

/** Milliseconds as seconds, rounded as Go's Duration.Seconds does. */
export function secondsOf(durationMs: number): number {
  const whole = Math.trunc(durationMs / 1000);
  return whole + (durationMs - whole * 1000) / 1000;
}
