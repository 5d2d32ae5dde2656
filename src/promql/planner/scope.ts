import type { SelectRequest } from '#/storage/queryable.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { SelectHints } from '#/storage/queryable.ts';
import type { StepGrid } from '../step-grid.ts';

/** The query a plan is made for. */
export interface QueryTimes {
  readonly startMs: number;
  readonly endMs: number;
  /** 0 for an instant query. */
  readonly stepMs: number;
  readonly lookbackMs: number;
  readonly defaultStepMs: (rangeMs: number) => number;
}

/**
 * What a node knows of the nodes above it: the grid to evaluate on, and what goes into the request
 * of a selector. Offsets and ranges of subqueries add up until one has an `@`, which starts anew.
 */
export interface Scope {
  readonly query: QueryTimes;
  readonly grid: StepGrid;
  /** The innermost function or aggregation, `''` below a binary operator. */
  readonly func: string;
  /** Present directly below an aggregation. */
  readonly grouping: SelectHints['grouping'];
  readonly subqueryOffsetMs: number;
  readonly subqueryRangeMs: number;
  readonly subqueryAtMs: number | undefined;
  /** `wanted` below a function of a histogram's count or sum, `never` where buckets matter above. */
  readonly histogramStats: 'unknown' | 'wanted' | 'never';
  /** Step of the innermost subquery; `undefined` outside of subqueries. */
  readonly subqueryStepMs: number | undefined;
}

export function rootScope(query: QueryTimes): Scope {
  return {
    query,
    grid: gridOf(query.startMs, query.endMs, query.stepMs),
    func: '',
    histogramStats: 'unknown',
    grouping: undefined,
    subqueryOffsetMs: 0,
    subqueryRangeMs: 0,
    subqueryAtMs: undefined,
    subqueryStepMs: undefined,
  };
}

/** The steps of a closed range; none when it is empty. */
export function gridOf(startMs: number, endMs: number, stepMs: number): StepGrid {
  if (endMs < startMs) return { startMs, stepMs, steps: 0 };
  const steps = stepMs === 0 ? 1 : Math.floor((endMs - startMs) / stepMs) + 1;
  return { startMs, stepMs, steps, endMs };
}

export interface Subquery {
  readonly rangeMs: number;
  /** `undefined`: the engine's default for the range. */
  readonly stepMs: number | undefined;
  readonly offsetMs: number;
  readonly atMs: number | undefined;
}

/**
 * The scope inside a subquery. Its grid holds the multiples of its step that the windows of the
 * outer steps cover, each window open at its start.
 */
export function subqueryScope(scope: Scope, subquery: Subquery): Scope {
  const { rangeMs, offsetMs, atMs } = subquery;
  const stepMs = subquery.stepMs ?? scope.query.defaultStepMs(rangeMs);
  const { grid } = scope;
  const firstMs = atMs ?? grid.startMs;
  const lastMs = atMs ?? grid.startMs + Math.max(0, grid.steps - 1) * grid.stepMs;
  const after = firstMs - offsetMs - rangeMs;
  let startMs = stepMs * Math.trunc(after / stepMs);
  if (startMs <= after) startMs += stepMs;
  const anew = atMs !== undefined;
  return {
    ...scope,
    grid: gridOf(startMs, lastMs - offsetMs, stepMs),
    // A subquery skips samples, so resets between its steps must be found in the buckets.
    histogramStats: 'never',
    grouping: undefined,
    subqueryOffsetMs: (anew ? 0 : scope.subqueryOffsetMs) + offsetMs,
    subqueryRangeMs: (anew ? 0 : scope.subqueryRangeMs) + rangeMs,
    subqueryAtMs: atMs ?? scope.subqueryAtMs,
    subqueryStepMs: stepMs,
  };
}

/** A selector as far as its request depends on it. */
export interface Selection {
  readonly matchers: readonly Matcher[];
  readonly atMs: number | undefined;
  readonly offsetMs: number;
  /** 0 for an instant selector. */
  readonly rangeMs: number;
  readonly extension: 'none' | 'anchored' | 'smoothed';
  /** Of Thanos's x functions; 0 for all others. */
  readonly lookbehindMs: number;
}

/**
 * The request of a selector: the closed range of times that can matter and the hints, both as
 * getTimeRangesForSelector and populateSeries of promql/engine.go in Prometheus fill them.
 */
export function requestOf(scope: Scope, selection: Selection): SelectRequest {
  const { query } = scope;
  const { matchers, atMs, offsetMs, rangeMs, extension, lookbehindMs } = selection;
  let mint = atMs ?? scope.subqueryAtMs ?? query.startMs;
  let maxt = atMs ?? scope.subqueryAtMs ?? query.endMs;
  if (atMs === undefined) {
    mint -= scope.subqueryOffsetMs + scope.subqueryRangeMs;
    maxt -= scope.subqueryOffsetMs;
  }
  const before =
    rangeMs + lookbehindMs + (rangeMs === 0 || extension !== 'none' ? query.lookbackMs : 0);
  // Windows are open at their start, what an x function wants before them is closed.
  mint -= before - (lookbehindMs > 0 ? 0 : 1) + offsetMs;
  maxt += (extension === 'smoothed' ? query.lookbackMs : 0) - offsetMs;
  const hints: SelectHints = {
    stepMs: scope.subqueryStepMs ?? query.stepMs,
    rangeMs,
    func: scope.func,
    limit: 0,
    ...(rangeMs === 0 ? { lookbackMs: query.lookbackMs } : {}),
    ...(scope.grouping === undefined ? {} : { grouping: scope.grouping }),
  };
  return { matchers, mint, maxt, hints };
}
