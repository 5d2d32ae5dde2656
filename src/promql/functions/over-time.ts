import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { HistogramMean, HistogramSum, scaleHistogram } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import { warnMixedBuckets } from './histogram-rate.ts';
import { setFloat, setHistogram } from './kernel.ts';
import type { KernelContext, KernelResult, RangeKernel, RangeWindow } from './kernel.ts';
import { quantileOf } from './quantile.ts';
import { contentOf, floatsOf, infoIgnoredHistograms, warnMixed } from './window.ts';
import type { FloatWindow } from './window.ts';

/** `sum_over_time`, compensated. */
export const sumOverTime: RangeKernel = (window, result, context) => {
  switch (contentOf(window)) {
    case 'floats':
      return setFloat(result, sum(window.values, window.from, window.to));
    case 'histograms':
      return accumulate(window, result, context, (first) => new HistogramSum(first));
    case 'mixed':
      return warnMixed(context);
  }
};

/** `avg_over_time`, compensated. Of downsampled samples each counts as often as it was scraped. */
export const avgOverTime: RangeKernel = (window, result, context) => {
  const { values, counts, from, to } = window;
  switch (contentOf(window)) {
    case 'floats':
      return setFloat(
        result,
        counts === undefined ? mean(values, from, to) : weightedMean(values, counts, from, to),
      );
    case 'histograms':
      return counts === undefined
        ? accumulate(window, result, context, (first) => new HistogramMean(first))
        : accumulate(weighted(window, counts), result, context, (first) => new HistogramSum(first));
    case 'mixed':
      return warnMixed(context);
  }
};

/** Adds up all histograms of a window and passes on what is to be said of that. */
function accumulate(
  { histograms, from, to }: RangeWindow,
  result: KernelResult,
  context: KernelContext,
  start: (first: FloatHistogram) => HistogramSum | HistogramMean,
): void {
  const { annotations, argPosition } = context;
  const total = start(histograms![from]!);
  for (let i = from + 1; i < to; i++) {
    if (!total.add(histograms![i]!)) return warnMixedBuckets(context);
  }
  if (total.counterResetCollision) {
    annotations.warn(warningTexts.counterResetCollision('aggregation'), argPosition);
  }
  if (total.boundsReconciled) {
    annotations.info(infoTexts.mismatchedCustomBuckets('aggregation'), argPosition);
  }
  setHistogram(result, total.result());
}

/** `count_over_time`: of scraped samples, whether they are there one by one or downsampled. */
export const countOverTime: RangeKernel = ({ counts, from, to }, result) => {
  setFloat(result, counts === undefined ? to - from : sum(counts, from, to));
};

export const presentOverTime: RangeKernel = (_window, result) => setFloat(result, 1);

/** One a step where the series has samples; the engine turns that into the series of the absent. */
export const absentOverTime = presentOverTime;

export const firstOverTime: RangeKernel = (window, result) => {
  const histogram = window.histograms?.[window.from];
  if (histogram !== undefined) setHistogram(result, histogram);
  else setFloat(result, window.values[window.from]!);
};

export const lastOverTime: RangeKernel = (window, result) => {
  const histogram = window.histograms?.[window.to - 1];
  if (histogram !== undefined) setHistogram(result, histogram);
  else setFloat(result, window.values[window.to - 1]!);
};

export const tsOfFirstOverTime: RangeKernel = ({ times, from }, result) => {
  setFloat(result, times[from]! / 1000);
};

export const tsOfLastOverTime: RangeKernel = ({ times, to }, result) => {
  setFloat(result, times[to - 1]! / 1000);
};

export const maxOverTime = ofFloats(({ values, from, to }) => {
  let max = values[from]!;
  for (let i = from + 1; i < to; i++) {
    const value = values[i]!;
    if (value > max || max !== max) max = value;
  }
  return max;
});

export const minOverTime = ofFloats(({ values, from, to }) => {
  let min = values[from]!;
  for (let i = from + 1; i < to; i++) {
    const value = values[i]!;
    if (value < min || min !== min) min = value;
  }
  return min;
});

/** When the maximum was last reached, in seconds. */
export const tsOfMaxOverTime = ofFloats(({ times, values, from, to }) => {
  let best = from;
  for (let i = from + 1; i < to; i++) {
    if (values[i]! >= values[best]! || Number.isNaN(values[best]!)) best = i;
  }
  return times[best]! / 1000;
});

export const tsOfMinOverTime = ofFloats(({ times, values, from, to }) => {
  let best = from;
  for (let i = from + 1; i < to; i++) {
    if (values[i]! <= values[best]! || Number.isNaN(values[best]!)) best = i;
  }
  return times[best]! / 1000;
});

export const stdvarOverTime = ofFloats(variance);
export const stddevOverTime = ofFloats((floats) => Math.sqrt(variance(floats)));

/** Median of the distances to the median; NaN when any value is. */
export const madOverTime = ofFloats(({ values, from, to }) => {
  const window = values.slice(from, to);
  if (window.some(Number.isNaN)) return NaN;
  const median = quantileOf(0.5, window);
  return quantileOf(
    0.5,
    window.map((value) => Math.abs(value - median)),
  );
});

const quantileOfWindow = ofFloats(({ values, from, to }, args) =>
  quantileOf(args[0]!, values.slice(from, to)),
);

export const quantileOverTime: RangeKernel = (window, result, context) => {
  quantileOfWindow(window, result, context);
  if (result.present) warnInvalidQuantile(window.args[0]!, context);
};

export function warnInvalidQuantile(q: number, { annotations, argPosition }: KernelContext): void {
  if (!(q >= 0 && q <= 1)) annotations.warn(warningTexts.invalidQuantile(q), argPosition);
}

/** A function of a window's floats. Histograms among them are passed over with an info. */
function ofFloats(compute: (floats: FloatWindow, args: readonly number[]) => number): RangeKernel {
  return (window, result: KernelResult, context) => {
    const floats = floatsOf(window);
    if (floats.from === floats.to) return;
    if (floats.to - floats.from < window.to - window.from) infoIgnoredHistograms(context);
    setFloat(result, compute(floats, window.args));
  };
}

/**
 * Sum of `values[from, to)`, compensated. Knuth's TwoSum finds the same rounding errors as Neumaier's
 * comparison, without a branch; only where the sum leaves the finite numbers do they differ.
 */
export function sum(values: Float64Array, from: number, to: number): number {
  let total = 0;
  let rest = 0;
  for (let i = from; i < to; i++) {
    const value = values[i]!;
    const next = total + value;
    const part = next - total;
    rest += total - (next - part) + (value - part);
    total = next;
  }
  return isFinite(total) ? total + rest : sumPastFinite(values, from, to);
}

/** An overflow stays infinite, and infinities of both signs make NaN. */
function sumPastFinite(values: Float64Array, from: number, to: number): number {
  const sum = new CompensatedSum();
  for (let i = from; i < to; i++) sum.add(values[i]!);
  return isFinite(sum.total) ? sum.value : sum.total;
}

/** Mean of `values[from, to)`: the compensated sum divided, as long as the sum does not overflow. */
export function mean(values: Float64Array, from: number, to: number): number {
  let total = values[from]!;
  let rest = 0;
  for (let i = from + 1; i < to; i++) {
    const value = values[i]!;
    const next = total + value;
    const part = next - total;
    rest += total - (next - part) + (value - part);
    total = next;
  }
  const count = to - from;
  return isFinite(total) ? total / count + rest / count : meanPastFinite(values, from, to);
}

/** The window with each histogram scaled by its share of the counts: their sum is the mean. */
function weighted(window: RangeWindow, counts: Float64Array): RangeWindow {
  const { histograms, from, to } = window;
  const total = sum(counts, from, to);
  const share = (histogram: FloatHistogram | undefined, i: number) =>
    histogram && scaleHistogram(histogram, counts[from + i]! / total);
  return { ...window, histograms: histograms!.slice(from, to).map(share), from: 0, to: to - from };
}

/** Mean of `values[from, to)` where value i counts `counts[i]` times. */
function weightedMean(
  values: Float64Array,
  counts: Float64Array,
  from: number,
  to: number,
): number {
  const total = new CompensatedSum();
  const weight = new CompensatedSum();
  for (let i = from; i < to; i++) {
    total.add(values[i]! * counts[i]!);
    weight.add(counts[i]!);
  }
  return total.value / weight.value;
}

function meanPastFinite(values: Float64Array, from: number, to: number): number {
  const sum = new CompensatedSum(values[from]!);
  for (let i = from + 1; i < to; i++) {
    const next = sum.total + values[i]!;
    if (next === Infinity || next === -Infinity) {
      return incrementalMean(values, from, to, i, sum.total, sum.rest);
    }
    sum.add(values[i]!);
  }
  const count = to - from;
  return sum.total / count + sum.rest / count;
}

/** Goes on at `index`, where the sum would overflow: from there the mean itself is moved along. */
function incrementalMean(
  values: Float64Array,
  from: number,
  to: number,
  index: number,
  total: number,
  totalCompensation: number,
): number {
  let average = total / (index - from);
  let compensation = totalCompensation / (index - from);
  for (let i = index; i < to; i++) {
    const count = i - from + 1;
    const share = (count - 1) / count;
    const part = values[i]! / count;
    const kept = share * average;
    compensation *= share;
    average = kept + part;
    if (average === Infinity || average === -Infinity) compensation = 0;
    else if (Math.abs(kept) >= Math.abs(part)) compensation += kept - average + part;
    else compensation += part - average + kept;
  }
  return average + compensation;
}

/** Population variance by Welford, both running values compensated. */
function variance({ values, from, to }: FloatWindow): number {
  const average = new CompensatedSum();
  const squares = new CompensatedSum();
  for (let i = from; i < to; i++) {
    const value = values[i]!;
    const distance = value - average.value;
    average.add(distance / (i - from + 1));
    squares.add(distance * (value - average.value));
  }
  return squares.value / (to - from);
}
