import { warnInvalidQuantile } from './over-time.ts';
import { quantileOfSorted } from './quantile.ts';
import type { SeriesKernel } from './rate-series.ts';

/**
 * `max_over_time` and `min_over_time` of a whole series: each sample is looked at twice, however
 * wide the windows are. A queue holds the places of the samples that may still become the extreme,
 * best first: a new sample makes those behind it superfluous that are worse. Of equal ones (the two
 * zeros too) the earliest stays in front, and NaN only counts where there is nothing else, as in
 * the kernel.
 */
export function extremeOfSeries(extreme: 'max' | 'min'): SeriesKernel {
  const isMax = extreme === 'max';
  let queue = new Int32Array(1024);
  return ({ times, values, length }, { firstEnd, stride, rangeMs }, into) => {
    if (queue.length < length) queue = new Int32Array(2 * length);
    const outputs = into.values;
    const { present } = into;
    let from = 0;
    let to = 0;
    let head = 0;
    let tail = 0;
    let total = 0;
    let widest = 0;
    for (let step = 0; step < outputs.length; step++) {
      const end = firstEnd + step * stride;
      const start = end - rangeMs;
      for (; to < length && times[to]! <= end; to++) {
        const value = values[to]!;
        if (value !== value) continue;
        if (isMax) while (tail > head && values[queue[tail - 1]!]! < value) tail--;
        else while (tail > head && values[queue[tail - 1]!]! > value) tail--;
        queue[tail++] = to;
      }
      while (from < to && times[from]! <= start) from++;
      while (head < tail && queue[head]! < from) head++;
      const count = to - from;
      if (count === 0) continue;
      total += count;
      if (count > widest) widest = count;
      outputs[step] = head < tail ? values[queue[head]!]! : NaN;
      present[step] = 1;
    }
    return { total, widest };
  };
}

/**
 * `quantile_over_time` of a whole series: the window's values stay sorted while it moves, so a step
 * costs what comes and goes instead of a sort of everything.
 */
export function quantileOfSeries(): SeriesKernel {
  let sorted = new Float64Array(1024);
  return ({ times, values, length }, { firstEnd, stride, rangeMs }, into, args, context) => {
    if (sorted.length < length) sorted = new Float64Array(2 * length);
    const quantiles = args[0]!;
    let from = 0;
    let to = 0;
    let numbers = 0;
    let total = 0;
    let widest = 0;
    for (let step = 0; step < into.steps; step++) {
      const end = firstEnd + step * stride;
      const start = end - rangeMs;
      for (; to < length && times[to]! <= end; to++) {
        const value = values[to]!;
        if (value === value) insert(sorted, numbers++, value);
      }
      for (; from < to && times[from]! <= start; from++) {
        const value = values[from]!;
        if (value === value) remove(sorted, numbers--, value);
      }
      const count = to - from;
      if (count === 0) continue;
      total += count;
      if (count > widest) widest = count;
      const q = quantiles[step]!;
      into.setFloat(step, quantileOfSorted(q, sorted, count - numbers, count));
      warnInvalidQuantile(q, context);
    }
    return { total, widest };
  };
}

/** Puts `value` in its place among the first `count` of `sorted`. */
function insert(sorted: Float64Array, count: number, value: number): void {
  const at = placeOf(sorted, count, value);
  for (let i = count; i > at; i--) sorted[i] = sorted[i - 1]!;
  sorted[at] = value;
}

/** Takes `value`, which is there, out of the first `count` of `sorted`. */
function remove(sorted: Float64Array, count: number, value: number): void {
  for (let i = placeOf(sorted, count, value) + 1; i < count; i++) sorted[i - 1] = sorted[i]!;
}

/** The first place whose value does not come before `value`; −0 comes before 0, as typed arrays sort. */
function placeOf(sorted: Float64Array, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = sorted[middle]!;
    if (other < value || (value === 0 && other === 0 && 1 / other < 1 / value)) low = middle + 1;
    else high = middle;
  }
  return low;
}
