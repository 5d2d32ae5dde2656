import type { Labels } from '#/model/labels.ts';
import { matchesAll, matchExternalLabels, newMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { Resolution } from './block-meta.ts';
import { joinIntervals } from './tombstones.ts';
import type { Interval } from './tombstones.ts';

/** Samples that are to go: those of the series that all matchers select, in any of the ranges. */
export interface SeriesDeletion {
  /** ULID of the request in the bucket that asks for it (block-rewrites.ts); absent for any other. */
  readonly id?: string;
  readonly matchers: readonly Matcher[];
  /** Selectors of series that stay all the same. */
  readonly except?: readonly (readonly Matcher[])[];
  readonly intervals: readonly Interval[];
}

/** A matcher as plain values. */
export type PlainMatcher = Pick<Matcher, 'type' | 'name' | 'value'>;

/** A `SeriesDeletion` as plain values, which can go to another thread. */
export interface PlainDeletion {
  readonly id?: string;
  readonly matchers: readonly PlainMatcher[];
  readonly except?: readonly (readonly PlainMatcher[])[];
  readonly intervals: readonly Interval[];
}

/** All time, for a deletion of whole series. */
export const allTime: Interval = {
  mint: Number.NEGATIVE_INFINITY,
  maxt: Number.POSITIVE_INFINITY,
};

export function plainDeletion({ matchers, except, ...rest }: PlainDeletion): PlainDeletion {
  const plain = ({ type, name, value }: PlainMatcher) => ({ type, name, value });
  return {
    ...rest,
    matchers: matchers.map(plain),
    ...(except === undefined ? {} : { except: except.map((one) => one.map(plain)) }),
  };
}

/** @throws BadInputError if a pattern is no RE2 expression. */
export function compileDeletion({ matchers, except, ...rest }: PlainDeletion): SeriesDeletion {
  const compile = ({ type, name, value }: PlainMatcher) => newMatcher(type, name, value);
  return {
    ...rest,
    matchers: matchers.map(compile),
    ...(except === undefined ? {} : { except: except.map((one) => one.map(compile)) }),
  };
}

/**
 * What a deletion of series as users see them, with external labels, means within a block: the matchers
 * that are left for the labels of its own series. `undefined` if the external labels are not selected.
 *
 * A sample of a downsampled block, of `resolutionMs`, stands for a window of time. It is deleted if any
 * of that window is, since a deleted sample may be in it: the intervals become those of whole windows.
 */
export function deletionWithin(
  { matchers, except, intervals, ...rest }: SeriesDeletion,
  externalLabels: Labels,
  resolutionMs: number = Resolution.Raw,
): SeriesDeletion | undefined {
  const own = matchExternalLabels(matchers, externalLabels);
  if (own === undefined) return undefined;
  const kept = except
    ?.map((selector) => matchExternalLabels(selector, externalLabels))
    .filter((selector) => selector !== undefined);
  return {
    ...rest,
    matchers: own,
    ...(kept === undefined ? {} : { except: kept }),
    intervals: wholeWindows(intervals, resolutionMs),
  };
}

/** The intervals with the whole of the windows that they begin and end in. */
export function wholeWindows(
  intervals: readonly Interval[],
  resolutionMs: number,
): readonly Interval[] {
  if (resolutionMs === Resolution.Raw) return intervals;
  return intervals.map(({ mint, maxt }) => ({
    mint: Math.floor(mint / resolutionMs) * resolutionMs,
    maxt: (Math.floor(maxt / resolutionMs) + 1) * resolutionMs - 1,
  }));
}

/** What is deleted of a series, in time order, apart from each other; empty for nothing. */
export function deletedRanges(
  labels: Labels,
  deletions: readonly SeriesDeletion[],
): readonly Interval[] {
  const selecting = deletions.filter((deletion) => selects(deletion, labels));
  return joinIntervals(selecting.flatMap(({ intervals }) => intervals));
}

function selects({ matchers, except = [] }: SeriesDeletion, labels: Labels): boolean {
  return matchesAll(matchers, labels) && !except.some((selector) => matchesAll(selector, labels));
}
