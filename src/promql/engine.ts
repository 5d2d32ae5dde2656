import type { QueryContext, Queryable } from '#/storage/queryable.ts';
import type { Evaluation } from './value.ts';

/** What PromQL may use beyond the stable language; the names follow Prometheus's feature flags. */
export interface EngineFeatures {
  /** `promql-experimental-functions`: functions and aggregations marked experimental. */
  readonly experimentalFunctions: boolean;
  /** `promql-duration-expr`: arithmetic in ranges and offsets. */
  readonly durationExpressions: boolean;
  /** `promql-extended-range-selectors`: `anchored` and `smoothed`. */
  readonly extendedRangeSelectors: boolean;
  /** `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`. */
  readonly fillModifiers: boolean;
  /** `promql-delayed-name-removal`: metric names stay until the whole query is evaluated. */
  readonly delayedNameRemoval: boolean;
  /** `type-and-unit-labels`: counters are told by `__type__` instead of their names. */
  readonly typeAndUnitLabels: boolean;
  /** `use-start-timestamps`: rates respect the start timestamps of samples. */
  readonly startTimestamps: boolean;
}

export interface EngineOptions {
  /** How long a sample stands for its series when no newer one comes. */
  readonly lookbackMs: number;
  /** Upper bound of samples in memory at once, over which a query fails; 0 for none. */
  readonly maxSamples: number;
  /** The step of a subquery that names none, by its range. */
  readonly defaultStepMs: (rangeMs: number) => number;
  readonly features: EngineFeatures;
}

export interface InstantQuery {
  readonly text: string;
  readonly timeMs: number;
  /** Absent or 0: the engine's. */
  readonly lookbackMs?: number;
}

export interface RangeQuery {
  readonly text: string;
  /** Closed range; the last step is the last multiple of `stepMs` after `startMs` in it. */
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  /** Absent or 0: the engine's. */
  readonly lookbackMs?: number;
}

/** Evaluates PromQL as Prometheus 3.14 does. Holds no state between queries. */
export interface QueryEngine {
  /**
   * @throws BadInputError if the text is no PromQL.
   * @throws EvaluationError if the data does not allow the query.
   * @throws LimitError over `maxSamples` or the budget of `context`.
   */
  instant(query: InstantQuery, queryable: Queryable, context: QueryContext): Promise<Evaluation>;
  /** As `instant`; the result is always a matrix, sorted by labels. */
  range(query: RangeQuery, queryable: Queryable, context: QueryContext): Promise<Evaluation>;
}
