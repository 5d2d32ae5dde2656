import type { SelectHints } from '#/storage/queryable.ts';
import type { Aggregate } from '#/storeapi/store.ts';

/** Which of a downsampled chunk's columns stand for its series. */
export type AggregateChoice = 'count' | 'sum' | 'min' | 'max' | 'counter' | 'average';

const COUNTER_FUNCTIONS = new Set(['increase', 'rate', 'irate', 'resets', 'xincrease', 'xrate']);

/** The column that the innermost function over a selector wants, as Thanos chooses it. */
export function aggregateFor(func: string): AggregateChoice {
  if (func === 'min' || func.startsWith('min_')) return 'min';
  if (func === 'max' || func.startsWith('max_')) return 'max';
  if (func === 'count' || func.startsWith('count_')) return 'count';
  // `sum` itself adds up samples of different series, which are averages.
  if (func.startsWith('sum_')) return 'sum';
  return COUNTER_FUNCTIONS.has(func) ? 'counter' : 'average';
}

/** What a store is asked for, so that the choice can be made. */
export function aggregatesOf(choice: AggregateChoice): readonly Aggregate[] {
  return choice === 'average' ? ['count', 'sum'] : [choice];
}

const NEEDS_TWO_SAMPLES = new Set([
  'rate',
  'irate',
  'increase',
  'delta',
  'idelta',
  'deriv',
  'predict_linear',
  'holt_winters',
  'double_exponential_smoothing',
]);

/** The coarsest resolution that leaves such a function two samples in its range. */
export function resolutionFor(maxResolutionMs: number, { func, rangeMs }: SelectHints): number {
  if (rangeMs === 0 || !NEEDS_TWO_SAMPLES.has(func)) return maxResolutionMs;
  return Math.min(maxResolutionMs, Math.floor(rangeMs / 2));
}
