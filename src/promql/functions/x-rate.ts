import { histogramChange } from './histogram-rate.ts';
import { setFloat, setHistogram } from './kernel.ts';
import type { RangeKernel, RangeWindow } from './kernel.ts';
import { contentOf, firstAfter, warnMixed } from './window.ts';

/**
 * Thanos's x functions: rates that begin at the last sample before the range instead of
 * extrapolating. Source: extendedRate in ringbuffer/functions.go of thanos-io/promql-engine.
 */

/** How much older than the range the sample before it may be. */
export const X_LOOKBEHIND_MS = 3_600_000;

export const xrate = extended('rate');
export const xincrease = extended('increase');
export const xdelta = extended('delta');

function extended(kind: 'rate' | 'increase' | 'delta'): RangeKernel {
  return (window, result, context) => {
    const first = firstSample(window);
    if (first === window.to) return;
    const used = { ...window, from: first };
    switch (contentOf(used)) {
      case 'floats':
        return setFloat(result, floatChange(used, kind));
      case 'histograms': {
        const isLone = first === window.to - 1;
        const change = isLone ? undefined : histogramChange(used, context, kind !== 'delta');
        if (change !== undefined) setHistogram(result, change);
        return;
      }
      case 'mixed':
        return warnMixed(context);
    }
  };
}

/** The last sample at or before the range, if it is near enough, else the first within. */
function firstSample({ times, from, to, rangeStart }: RangeWindow): number {
  const inside = firstAfter(times, from, to, rangeStart);
  const isNear = inside > from && times[inside - 1]! >= rangeStart - X_LOOKBEHIND_MS;
  return isNear ? inside - 1 : inside;
}

function floatChange(window: RangeWindow, kind: 'rate' | 'increase' | 'delta'): number {
  const { times, values, from, rangeStart, rangeEnd } = window;
  const rangeMs = rangeEnd - rangeStart;
  if (kind === 'increase') {
    // A series that has just appeared rose from zero to its first value.
    const isNew = rangeEnd <= times[0]! + rangeMs;
    return isNew && isConstant(window) ? values[from]! : change(window, from, true);
  }
  const last = window.to - 1;
  let first = from;
  if (rangeStart - times[first]! > meanDistance(times, first, last)) {
    if (last - first < 2) return 0;
    first++;
  }
  const rangeSeconds = Math.floor(rangeMs / 1000);
  let result = change(window, first, kind === 'rate');
  const coversRange =
    times[first]! <= rangeStart && rangeEnd - times[last]! < meanDistance(times, first, last);
  if (coversRange) result *= rangeSeconds / ((times[last]! - times[first]!) / 1000);
  return kind === 'rate' ? result / rangeSeconds : result;
}

/** NaN for a lone sample: then no comparison with it holds. */
function meanDistance(times: Float64Array, first: number, last: number): number {
  return (times[last]! - times[first]!) / (last - first);
}

function isConstant({ values, from, to }: RangeWindow): boolean {
  for (let i = from + 1; i < to; i++) if (values[i] !== values[i - 1]) return false;
  return true;
}

/** Last minus first, of a counter plus the value before every fall. */
function change({ values, to }: RangeWindow, first: number, isCounter: boolean): number {
  let lost = 0;
  for (let i = first + 1; i < to && isCounter; i++) {
    if (values[i]! < values[i - 1]!) lost += values[i - 1]!;
  }
  return values[to - 1]! - values[first]! + lost;
}
