import type { FloatHistogram } from '#/model/histogram.ts';
import { changes, resets } from './functions/changes.ts';
import * as date from './functions/date.ts';
import type { PointKernel, RangeKernel } from './functions/kernel.ts';
import * as math from './functions/math.ts';
import { histogramVariance, ofHistogram } from './functions/native-histogram.ts';
import * as overTime from './functions/over-time.ts';
import { delta, idelta, increase, irate, rate } from './functions/rate.ts';
import { extremeOfSeries, quantileOfSeries } from './functions/sliding.ts';
import { rateOfSeries } from './functions/rate-series.ts';
import type { SeriesKernel } from './functions/rate-series.ts';
import { deriv, doubleExponentialSmoothing, predictLinear } from './functions/regression.ts';
import { X_LOOKBEHIND_MS, xdelta, xincrease, xrate } from './functions/x-rate.ts';

export type {
  KernelContext,
  KernelResult,
  PointKernel,
  RangeKernel,
  RangeWindow,
} from './functions/kernel.ts';
export { maxOf, minOf } from './functions/math.ts';

/** How a function of a range vector is computed. */
export interface RangeFunction {
  readonly kernel: RangeKernel;
  /** The same for a whole series of floats at once, over plain windows without start times. */
  readonly ofSeries: SeriesKernel | undefined;
  /** The result keeps the metric name. */
  readonly keepsName: boolean;
  /** Wants samples up to this much before the range, the one exactly there included. */
  readonly lookbehindMs: number;
  /** Wants `RangeWindow.startTimes` when the engine's option `useStartTimestamps` is on. */
  readonly readsStartTimes: boolean;
}

/** How a function of an instant vector is computed that looks at each sample by itself. */
export interface PointFunction {
  readonly kernel: PointKernel;
  /**
   * What the result loses: the metric name with its metadata labels (`__type__`, `__unit__`), or, a
   * quirk of upstream's histogram_count and its kin, the name alone.
   */
  readonly drops: 'metadata' | 'name';
  /** Without arguments it works on the evaluation time in seconds, as a series without labels. */
  readonly ofTimeByDefault: boolean;
}

/** Functions of a range vector by name. The engine inverts what `absent_over_time` yields. */
export const rangeFunctions: ReadonlyMap<string, RangeFunction> = new Map([
  ['absent_over_time', range(overTime.absentOverTime)],
  ['avg_over_time', range(overTime.avgOverTime)],
  ['changes', range(changes)],
  ['count_over_time', range(overTime.countOverTime)],
  ['delta', range(delta, { ofSeries: rateOfSeries({ isCounter: false, isRate: false }) })],
  ['deriv', range(deriv)],
  ['double_exponential_smoothing', range(doubleExponentialSmoothing)],
  ['first_over_time', range(overTime.firstOverTime, { keepsName: true })],
  ['idelta', range(idelta)],
  [
    'increase',
    range(increase, {
      readsStartTimes: true,
      ofSeries: rateOfSeries({ isCounter: true, isRate: false }),
    }),
  ],
  ['irate', range(irate, { readsStartTimes: true })],
  ['last_over_time', range(overTime.lastOverTime, { keepsName: true })],
  ['mad_over_time', range(overTime.madOverTime)],
  ['max_over_time', range(overTime.maxOverTime, { ofSeries: extremeOfSeries('max') })],
  ['min_over_time', range(overTime.minOverTime, { ofSeries: extremeOfSeries('min') })],
  ['predict_linear', range(predictLinear)],
  ['present_over_time', range(overTime.presentOverTime)],
  ['quantile_over_time', range(overTime.quantileOverTime, { ofSeries: quantileOfSeries() })],
  [
    'rate',
    range(rate, {
      readsStartTimes: true,
      ofSeries: rateOfSeries({ isCounter: true, isRate: true }),
    }),
  ],
  ['resets', range(resets, { readsStartTimes: true })],
  ['stddev_over_time', range(overTime.stddevOverTime)],
  ['stdvar_over_time', range(overTime.stdvarOverTime)],
  ['sum_over_time', range(overTime.sumOverTime)],
  ['ts_of_first_over_time', range(overTime.tsOfFirstOverTime)],
  ['ts_of_last_over_time', range(overTime.tsOfLastOverTime)],
  ['ts_of_max_over_time', range(overTime.tsOfMaxOverTime)],
  ['ts_of_min_over_time', range(overTime.tsOfMinOverTime)],
  ['xdelta', range(xdelta, { lookbehindMs: X_LOOKBEHIND_MS })],
  ['xincrease', range(xincrease, { lookbehindMs: X_LOOKBEHIND_MS })],
  ['xrate', range(xrate, { lookbehindMs: X_LOOKBEHIND_MS })],
]);

/** Functions of an instant vector by name, where each sample is looked at by itself. */
export const pointFunctions: ReadonlyMap<string, PointFunction> = new Map([
  ...Object.entries({
    abs: Math.abs,
    acos: Math.acos,
    acosh: Math.acosh,
    asin: Math.asin,
    asinh: Math.asinh,
    atan: Math.atan,
    atanh: Math.atanh,
    ceil: Math.ceil,
    cos: Math.cos,
    cosh: math.cosh,
    deg: math.deg,
    exp: Math.exp,
    floor: Math.floor,
    ln: Math.log,
    log10: Math.log10,
    log2: Math.log2,
    rad: math.rad,
    sgn: math.sgn,
    sin: Math.sin,
    sinh: math.sinh,
    sqrt: Math.sqrt,
    tan: Math.tan,
    tanh: Math.tanh,
  }).map(([name, compute]) => [name, point(math.ofFloat(compute))] as const),
  ...Object.entries({
    day_of_month: date.dayOfMonth,
    day_of_week: date.dayOfWeek,
    day_of_year: date.dayOfYear,
    days_in_month: date.daysInMonth,
    hour: date.hour,
    minute: date.minute,
    month: date.month,
    year: date.year,
  }).map(
    ([name, compute]) => [name, point(math.ofFloat(compute), { ofTimeByDefault: true })] as const,
  ),
  ['clamp', point(math.clamp)],
  ['clamp_max', point(math.clampMax)],
  ['clamp_min', point(math.clampMin)],
  ['round', point(math.round)],
  ...Object.entries({
    histogram_avg: ({ sum, count }: FloatHistogram) => sum / count,
    histogram_count: ({ count }: FloatHistogram) => count,
    histogram_stddev: (histogram: FloatHistogram) => Math.sqrt(histogramVariance(histogram)),
    histogram_stdvar: histogramVariance,
    histogram_sum: ({ sum }: FloatHistogram) => sum,
  }).map(([name, compute]) => [name, point(ofHistogram(compute), { drops: 'name' })] as const),
]);

function range(
  kernel: RangeKernel,
  {
    keepsName = false,
    readsStartTimes = false,
    lookbehindMs = 0,
    ofSeries,
  }: Partial<RangeFunction> = {},
): RangeFunction {
  return { kernel, ofSeries, keepsName, readsStartTimes, lookbehindMs };
}

function point(
  kernel: PointKernel,
  { drops = 'metadata', ofTimeByDefault = false }: Partial<PointFunction> = {},
): PointFunction {
  return { kernel, drops, ofTimeByDefault };
}
