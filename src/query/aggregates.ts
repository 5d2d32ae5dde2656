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

/**
 * The coarsest resolution that leaves a range function two windows in its range. A sum over less
 * would be that of a whole window at some steps and of nothing at others. Thanos asks so only for
 * functions that need two samples.
 */
export function resolutionFor(maxResolutionMs: number, { rangeMs }: SelectHints): number {
  return rangeMs === 0 ? maxResolutionMs : Math.min(maxResolutionMs, Math.floor(rangeMs / 2));
}

/** How far back a selector sees at an instant, in milliseconds; Infinity where nobody said so. */
export function seenRange({ rangeMs, lookbackMs = 0 }: SelectHints): number {
  if (rangeMs > 0) return rangeMs;
  // One sample in the lookback is enough, where a range wants two.
  return lookbackMs === 0 ? Number.POSITIVE_INFINITY : 2 * lookbackMs;
}

/** What a select is going to ask the stores for, for people. */
export function storageChoice(
  hints: SelectHints,
  maxResolutionMs: number,
): { readonly maxResolution: number; readonly aggregates: readonly Aggregate[] } {
  return {
    maxResolution: resolutionFor(maxResolutionMs, hints),
    aggregates: aggregatesOf(aggregateFor(hints.func)),
  };
}
