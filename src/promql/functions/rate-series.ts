import type { StepColumn } from '../step-column.ts';
import type { KernelContext } from './kernel.ts';
import { extrapolationFactor, secondsOf } from './extrapolate.ts';
import type { RateKind } from './rate-kind.ts';

/** The samples of a series of floats; only the first `length` entries count. */
export interface FloatSamples {
  readonly times: Float64Array;
  readonly values: Float64Array;
  readonly length: number;
}

/** One window a step: `(end − rangeMs, end]`, its end at `firstEnd + step × stride`. */
export interface WindowGrid {
  readonly firstEnd: number;
  readonly stride: number;
  readonly rangeMs: number;
}

/** What sliding the windows looked at. */
export interface WindowCounts {
  /** Samples of all windows together. */
  total: number;
  /** Samples of the largest window. */
  widest: number;
}

/**
 * A range function over all windows of a series of floats in one call: the same results as its
 * kernel, bit for bit, without a call a step. Writes into the cleared column `into`.
 */
export type SeriesKernel = (
  samples: FloatSamples,
  grid: WindowGrid,
  into: StepColumn,
  /** A column over the steps for each scalar argument. */
  args: readonly Float64Array[],
  context: KernelContext,
) => WindowCounts;

/**
 * `rate`, `increase` and `delta`. Falls are rare, so it keeps the place of the next one: a window
 * without any only needs its first and last sample.
 */
export function rateOfSeries({ isCounter, isRate }: RateKind): SeriesKernel {
  return ({ times, values, length }, { firstEnd, stride, rangeMs }, into) => {
    const outputs = into.values;
    const { present } = into;
    const steps = outputs.length;
    const divisor = isRate ? secondsOf(rangeMs) : 1;
    let fall = isCounter ? nextFall(values, 1, length) : length;
    let from = 0;
    let to = 0;
    let total = 0;
    let widest = 0;
    for (let step = 0; step < steps; step++) {
      const end = firstEnd + step * stride;
      const start = end - rangeMs;
      while (to < length && times[to]! <= end) to++;
      while (from < to && times[from]! <= start) from++;
      const count = to - from;
      total += count;
      if (count > widest) widest = count;
      if (count < 2) continue;
      const last = to - 1;
      const firstValue = values[from]!;
      let change = values[last]! - firstValue;
      if (fall <= from) fall = nextFall(values, from + 1, length);
      // As withDrops; a call would make an object of `change` at every step.
      if (fall <= last) {
        for (let i = from + 1; i <= last; i++) {
          if (values[i]! < values[i - 1]!) change += values[i - 1]!;
        }
      }
      const zeroRatio = isCounter && change > 0 && firstValue >= 0 ? firstValue / change : Infinity;
      const factor = extrapolationFactor(
        times[from]!,
        times[last]!,
        count - 1,
        start,
        end,
        zeroRatio,
      );
      outputs[step] = change * (isRate ? factor / divisor : factor);
      present[step] = 1;
    }
    return { total, widest };
  };
}

/** The first index from `index` on whose value is below the one before it; `length` if none is. */
function nextFall(values: Float64Array, index: number, length: number): number {
  let i = index;
  while (i < length && !(values[i]! < values[i - 1]!)) i++;
  return i;
}
