import type { FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import type { KernelContext, RangeWindow } from './kernel.ts';

/** The first index in `[from, to)` whose time is after `time`; `to` when there is none. */
export function firstAfter(times: Float64Array, from: number, to: number, time: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What a window holds. */
export type WindowContent = 'floats' | 'histograms' | 'mixed';

/** Costs nothing while the series has floats only. */
export function contentOf({ histograms, from, to }: RangeWindow): WindowContent {
  if (histograms === undefined) return 'floats';
  let count = 0;
  for (let i = from; i < to; i++) if (histograms[i] !== undefined) count++;
  if (count === 0) return 'floats';
  return count === to - from ? 'histograms' : 'mixed';
}

/** The histograms of a window that holds nothing else. */
export function histogramsOf({ histograms, from, to }: RangeWindow): FloatHistogram[] {
  return (histograms ?? []).slice(from, to).filter((histogram) => histogram !== undefined);
}

/** The part of a window that functions of floats look at. */
export type FloatWindow = Pick<RangeWindow, 'times' | 'values' | 'from' | 'to'>;

/** The floats of a window: the window itself while it has no histograms, else a copy. */
export function floatsOf(window: RangeWindow): FloatWindow {
  const { times, values, histograms, from, to } = window;
  if (histograms === undefined) return window;
  const floatTimes = new Float64Array(to - from);
  const floatValues = new Float64Array(to - from);
  let count = 0;
  for (let i = from; i < to; i++) {
    if (histograms[i] !== undefined) continue;
    floatTimes[count] = times[i]!;
    floatValues[count] = values[i]!;
    count++;
  }
  return { times: floatTimes, values: floatValues, from: 0, to: count };
}

/** Tells the user that a function of floats passed over the histograms of a mixed window. */
export function infoIgnoredHistograms({ annotations, metricName, argPosition }: KernelContext) {
  annotations.info(infoTexts.histogramIgnoredInMixedRange(metricName), argPosition);
}

/** Tells the user that a mixed window has no result. */
export function warnMixed({ annotations, metricName, argPosition }: KernelContext): void {
  annotations.warn(warningTexts.mixedFloatsHistograms(metricName), argPosition);
}
