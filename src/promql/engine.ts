import type { QueryContext, Queryable } from '#/storage/queryable.ts';
import { BadInputError } from '#/lib/errors.ts';
import { Analysis } from './analysis.ts';
import { typeOf } from './ast.ts';
import type { Expression, ValueType } from './ast.ts';
import {
  evaluateMatrix,
  evaluateRangeVector,
  evaluateScalar,
  evaluateVector,
} from './engine/evaluate.ts';
import { QueryRun } from './engine/query-run.ts';
import { explainPlan } from './explain.ts';
import type { Explanation } from './explain.ts';
import { parseExpression, stableFeatures } from './parser.ts';
import type { ParserFeatures } from './parser.ts';
import { plainPlan, planQuery, shardBySeries } from './planner.ts';
import type { PlanNode, PlannerPass, QueryTimes } from './planner.ts';
import type { Shards } from './shards.ts';
import type { Evaluation, QueryValue } from './value.ts';

/** What PromQL may use beyond the stable language; the names follow Prometheus's feature flags. */
export interface EngineFeatures extends ParserFeatures {
  /** `promql-delayed-name-removal`: metric names stay until the whole query is evaluated. */
  readonly delayedNameRemoval: boolean;
  /** `type-and-unit-labels`: counters are told by `__type__` instead of their names. */
  readonly typeAndUnitLabels: boolean;
  /** `use-start-timestamps`: rates respect the start timestamps of samples. */
  readonly startTimestamps: boolean;
}

/** PromQL of a Prometheus without feature flags. */
export const stableEngineFeatures: EngineFeatures = {
  ...stableFeatures,
  delayedNameRemoval: false,
  typeAndUnitLabels: false,
  startTimestamps: false,
};

export interface EngineOptions {
  /** How long a sample stands for its series when no newer one comes. */
  readonly lookbackMs: number;
  /** Upper bound of samples in memory at once, over which a query fails; 0 for none. */
  readonly maxSamples: number;
  /** The step of a subquery that names none, by its range. */
  readonly defaultStepMs: (rangeMs: number) => number;
  readonly features: EngineFeatures;
  /** What improves a plan before it is evaluated. Default: all there is; results are the same without. */
  readonly passes?: readonly PlannerPass[];
  /** Who else evaluates series. Default: nobody; results are the same without. */
  readonly shards?: Shards | undefined;
  /** The clock of analyses: it never goes back and is finer than a millisecond. Default: the process's. */
  readonly elapsedMs?: () => number;
}

export interface InstantQuery {
  readonly text: string;
  readonly timeMs: number;
  /** Absent or 0: the engine's. */
  readonly lookbackMs?: number;
  /** Measures every operator; the answer has an `analysis` then. Default: false. */
  readonly analyze?: boolean;
}

export interface RangeQuery {
  readonly text: string;
  /** Closed range; the last step is the last multiple of `stepMs` after `startMs` in it. */
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  /** Absent or 0: the engine's. */
  readonly lookbackMs?: number;
  /** As in `InstantQuery`. */
  readonly analyze?: boolean;
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
  /**
   * How the query would be evaluated; reads no data.
   * @throws BadInputError if the text is no PromQL, or not of a type for such a query.
   */
  explain(query: InstantQuery | RangeQuery): Explanation;
}

/** The engine of this process. */
export class Engine implements QueryEngine {
  readonly #options: EngineOptions;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  async instant(
    query: InstantQuery,
    queryable: Queryable,
    context: QueryContext,
  ): Promise<Evaluation> {
    const expression = this.#parse(query);
    const plan = this.#plan(expression, query);
    const type = typeOf(expression);
    return this.#evaluate(query, plan, { queryable, context }, (run) =>
      evaluateInstant(plan, type, run),
    );
  }

  async range(query: RangeQuery, queryable: Queryable, context: QueryContext): Promise<Evaluation> {
    const plan = this.#plan(this.#parse(query), query);
    return this.#evaluate(query, plan, { queryable, context }, (run) => evaluateMatrix(plan, run));
  }

  explain(query: InstantQuery | RangeQuery): Explanation {
    const expression = this.#parse(query);
    const plain = plainPlan(expression, this.#times(query));
    return explainPlan(plain, this.#plan(expression, query), this.#options.passes);
  }

  #parse(query: InstantQuery | RangeQuery): Expression {
    const expression = parseExpression(query.text, this.#options.features);
    const type = typeOf(expression);
    if ('startMs' in query && type !== 'vector' && type !== 'scalar') {
      throw new BadInputError(
        `invalid expression type "${documentedType(type)}" for range query, must be Scalar or instant Vector`,
      );
    }
    return expression;
  }

  #plan(expression: Expression, query: InstantQuery | RangeQuery): PlanNode {
    const { passes, shards } = this.#options;
    const plan = planQuery(expression, this.#times(query), passes);
    return shards === undefined ? plan : shardBySeries(plan);
  }

  #times(query: InstantQuery | RangeQuery): QueryTimes {
    const { lookbackMs, defaultStepMs } = this.#options;
    const times =
      'startMs' in query
        ? { startMs: query.startMs, endMs: query.endMs, stepMs: query.stepMs }
        : { startMs: query.timeMs, endMs: query.timeMs, stepMs: 0 };
    const given = query.lookbackMs ?? 0;
    return { ...times, lookbackMs: given > 0 ? given : lookbackMs, defaultStepMs };
  }

  /** A failure in one branch of the plan stops the others; work ahead of its end ends with it. */
  async #evaluate(
    { text, analyze = false }: InstantQuery | RangeQuery,
    plan: PlanNode,
    { queryable, context }: { queryable: Queryable; context: QueryContext },
    compute: (run: QueryRun) => Promise<QueryValue>,
  ): Promise<Evaluation> {
    const { maxSamples, features, elapsedMs = processMs } = this.#options;
    const { delayedNameRemoval, typeAndUnitLabels, startTimestamps } = features;
    const flags = { delayedNameRemoval, typeAndUnitLabels, startTimestamps };
    const over = new AbortController();
    const signal = AbortSignal.any([context.signal, over.signal]);
    const linked = { ...context, signal };
    const analysis = analyze ? new Analysis(elapsedMs) : undefined;
    // What others evaluate cannot be watched.
    const shards = analyze ? undefined : this.#options.shards;
    const run = new QueryRun({ queryable, context: linked, maxSamples, shards, analysis, flags });
    try {
      const evaluation = this.#evaluation(text, run, await compute(run));
      return analysis === undefined
        ? evaluation
        : { ...evaluation, analysis: analysis.result(plan, run.totalSamples) };
    } finally {
      over.abort();
    }
  }

  #evaluation(text: string, run: QueryRun, value: QueryValue): Evaluation {
    return {
      value,
      warnings: run.warnings,
      infos: run.infos,
      promqlWarnings: run.annotations.warnings(text),
      promqlInfos: run.annotations.infos(text),
      stats: {
        totalQueryableSamples: run.totalSamples,
        peakSamples: run.peakSamples,
        peakBytes: run.peakBytes,
      },
    };
  }
}

function processMs(): number {
  return performance.now();
}

function evaluateInstant(plan: PlanNode, type: ValueType, run: QueryRun): Promise<QueryValue> {
  if (plan.kind === 'string') {
    const { value, grid } = plan;
    return Promise.resolve({ kind: 'string', timeMs: grid.startMs, value });
  }
  if (plan.kind === 'matrix') return evaluateRangeVector(plan, run);
  return type === 'scalar' ? evaluateScalar(plan, run) : evaluateVector(plan, run);
}

function documentedType(type: ValueType): string {
  switch (type) {
    case 'vector':
      return 'instant vector';
    case 'matrix':
      return 'range vector';
    default:
      return type;
  }
}
