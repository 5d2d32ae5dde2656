import { detectReset, equalHistograms } from '#/model/histogram.ts';
import { isStartTimeReset } from './counter-start.ts';
import { setFloat } from './kernel.ts';
import type { RangeKernel, RangeWindow } from './kernel.ts';
import { firstAfter } from './window.ts';

/** `changes`: how often the value changed. From float to histogram and back is a change too. */
export const changes = counting(isChange);

/** `resets`: how often a counter fell or started anew. */
export const resets = counting(isReset);

/** Whether the step from the sample before to sample `index` counts. */
type StepTest = (window: RangeWindow, index: number) => boolean;

/**
 * Anchored, it counts from the last sample at or before the range on; without a sample within the
 * range there is nothing to measure.
 */
function counting(test: StepTest): RangeKernel {
  return (window, result) => {
    let { from: first } = window;
    if (window.extension === 'anchored') {
      const inside = firstAfter(window.times, first, window.to, window.rangeStart);
      if (inside === window.to) return;
      first = Math.max(first, inside - 1);
    }
    setFloat(result, countSteps(window, first, test));
  };
}

function countSteps(window: RangeWindow, first: number, test: StepTest): number {
  let count = 0;
  for (let i = first + 1; i < window.to; i++) if (test(window, i)) count++;
  return count;
}

function isChange({ values, histograms }: RangeWindow, index: number): boolean {
  const before = histograms?.[index - 1];
  const after = histograms?.[index];
  if (before !== undefined || after !== undefined) {
    return before === undefined || after === undefined || !equalHistograms(after, before);
  }
  const value = values[index]!;
  const previous = values[index - 1]!;
  return value !== previous && (value === value || previous === previous);
}

function isReset(window: RangeWindow, index: number): boolean {
  const before = window.histograms?.[index - 1];
  const after = window.histograms?.[index];
  if (before === undefined && after === undefined) {
    const { values } = window;
    return values[index]! < values[index - 1]! || isStartTimeReset(window, index);
  }
  if (before === undefined || after === undefined) return true;
  return isStartTimeReset(window, index) || detectReset(after, before);
}
