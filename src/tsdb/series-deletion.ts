import type { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { joinIntervals } from './tombstones.ts';
import type { Interval } from './tombstones.ts';

/** Samples that are to go: those of the series that all matchers select, in any of the ranges. */
export interface SeriesDeletion {
  readonly matchers: readonly Matcher[];
  readonly intervals: readonly Interval[];
}

/** All time, for a deletion of whole series. */
export const allTime: Interval = {
  mint: Number.NEGATIVE_INFINITY,
  maxt: Number.POSITIVE_INFINITY,
};

/**
 * What a deletion of series as users see them, with external labels, means within a block: the matchers
 * that are left for the labels of its own series. `undefined` if the external labels are not selected.
 */
export function deletionWithin(
  { matchers, intervals }: SeriesDeletion,
  externalLabels: Labels,
): SeriesDeletion | undefined {
  const own: Matcher[] = [];
  for (const matcher of matchers) {
    const value = externalLabels.get(matcher.name);
    if (value === '') own.push(matcher);
    else if (!matcher.matches(value)) return undefined;
  }
  return { matchers: own, intervals };
}

/** What is deleted of a series, in time order, apart from each other; empty for nothing. */
export function deletedRanges(
  labels: Labels,
  deletions: readonly SeriesDeletion[],
): readonly Interval[] {
  const selecting = deletions.filter(({ matchers }) => matchesAll(matchers, labels));
  return joinIntervals(selecting.flatMap(({ intervals }) => intervals));
}
