import { formatF } from '#/lib/float-text.ts';
import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { EvaluationError } from '../evaluation-error.ts';
import { setFloat } from './kernel.ts';
import type { KernelContext, RangeKernel, RangeWindow } from './kernel.ts';
import { floatsOf, infoIgnoredHistograms } from './window.ts';
import type { FloatWindow } from './window.ts';

/** `deriv`: slope per second of the least-squares line. */
export const deriv: RangeKernel = (window, result, context) => {
  const floats = atLeastTwoFloats(window, context);
  if (floats === undefined) return;
  // A reference time near the samples keeps the products small and the result accurate.
  setFloat(result, linearRegression(floats, floats.times[floats.from]!).slope);
};

/** `predict_linear`: the least-squares line, so many seconds after the evaluation time. */
export const predictLinear: RangeKernel = (window, result, context) => {
  const floats = atLeastTwoFloats(window, context);
  if (floats === undefined) return;
  const { slope, intercept } = linearRegression(floats, window.stepTime);
  setFloat(result, slope * window.args[0]! + intercept);
};

/** `double_exponential_smoothing` with the smoothing factor and the trend factor as arguments. */
export const doubleExponentialSmoothing: RangeKernel = (window, result, context) => {
  const [smoothing, trend] = [window.args[0]!, window.args[1]!];
  checkFactor('smoothing', 'sf', smoothing);
  checkFactor('trend', 'tf', trend);
  const floats = atLeastTwoFloats(window, context);
  if (floats !== undefined) setFloat(result, smoothed(floats, smoothing, trend));
};

function checkFactor(name: string, short: string, factor: number): void {
  if (factor <= 0 || factor >= 1) {
    throw new EvaluationError(
      `invalid ${name} factor. Expected: 0 < ${short} < 1, got: ${formatF(factor)}`,
    );
  }
}

/** Fewer floats than two have no slope; histograms beside at least one float are told of. */
function atLeastTwoFloats(window: RangeWindow, context: KernelContext): FloatWindow | undefined {
  const floats = floatsOf(window);
  const count = floats.to - floats.from;
  if (count > 0 && count < window.to - window.from) infoIgnoredHistograms(context);
  return count < 2 ? undefined : floats;
}

function smoothed(
  { values, from, to }: FloatWindow,
  smoothingFactor: number,
  trendFactor: number,
): number {
  let before = 0;
  let level = values[from]!;
  let trend = values[from + 1]! - values[from]!;
  for (let i = from + 1; i < to; i++) {
    if (i > from + 1) trend = trendFactor * (level - before) + (1 - trendFactor) * trend;
    const next = smoothingFactor * values[i]! + (1 - smoothingFactor) * (level + trend);
    before = level;
    level = next;
  }
  return level;
}

/** Least squares over seconds since `originMs`; `intercept` is the line's value there. */
function linearRegression({ times, values, from, to }: FloatWindow, originMs: number) {
  const sumX = new CompensatedSum();
  const sumY = new CompensatedSum();
  const sumXY = new CompensatedSum();
  const sumXX = new CompensatedSum();
  const first = values[from]!;
  let isConstant = true;
  for (let i = from; i < to; i++) {
    const x = (times[i]! - originMs) / 1000;
    const y = values[i]!;
    if (i > from && y !== first) isConstant = false;
    sumX.add(x);
    sumY.add(y);
    sumXY.add(x * y);
    sumXX.add(x * x);
  }
  if (isConstant) {
    const infinite = first === Infinity || first === -Infinity;
    return infinite ? { slope: NaN, intercept: NaN } : { slope: 0, intercept: first };
  }
  const count = to - from;
  const covariance = sumXY.value - (sumX.value * sumY.value) / count;
  const variance = sumXX.value - (sumX.value * sumX.value) / count;
  const slope = covariance / variance;
  return { slope, intercept: sumY.value / count - (slope * sumX.value) / count };
}
