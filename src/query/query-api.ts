import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { Status, StatusError } from '#/grpc/status.ts';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import type { Gate } from '#/lib/gate.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import type { QueryEngine } from '#/promql/engine.ts';
import type { Evaluation } from '#/promql/value.ts';
import { EngineType } from '#/proto/query.ts';
import type {
  QueryRangeRequest,
  QueryRangeResponse,
  QueryRequest,
  QueryResponse,
} from '#/proto/query.ts';
import type { TimeSeries } from '#/proto/remote.ts';
import type { QueryContext, Queryable } from '#/storage/queryable.ts';
import { matcherOf, shardOf } from '#/storeapi/endpoint-apis.ts';
import type { EndpointContext, QuerySource } from '#/storeapi/endpoint-apis.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import { Completeness } from './partial-response.ts';
import type { Querier, QueryableOptions } from './querier.ts';
import { instantSeries, rangeSeries } from './query-api/time-series.ts';

export interface QueryApiOptions {
  readonly engine: QueryEngine;
  readonly querier: Pick<Querier, 'queryable'>;
  readonly clock: Clock;
  /** Shared with the HTTP API: at most so many queries run at once. */
  readonly gate: Gate;
  /** A new budget for one query. */
  readonly budget: () => MemoryBudget;
  /** The longest that a query may take. */
  readonly timeoutMs: number;
  /** For requests that name none. */
  readonly replicaLabels: readonly string[];
  readonly algorithm: DedupAlgorithm;
  /** For requests that name no resolution. */
  readonly defaultMaxResolutionMs: number;
  /** How long a sample counts when this resolution may be read. */
  readonly lookbackMs: (maxResolutionMs: number) => number;
  readonly defaultTenant: string;
}

/**
 * Evaluates PromQL for other queriers (`thanos.Query`). Every request has its text evaluated; a
 * plan that comes with it is not looked at, as in Thanos. Times are whole seconds on the wire.
 */
export class QueryApi implements QuerySource {
  readonly #options: QueryApiOptions;

  constructor(options: QueryApiOptions) {
    this.#options = options;
  }

  async *query(request: QueryRequest, context: EndpointContext): AsyncGenerator<QueryResponse> {
    const { engine, clock } = this.#options;
    const timeMs = request.timeSeconds === 0 ? clock.now() : request.timeSeconds * 1000;
    let evaluation: Evaluation;
    try {
      evaluation = await this.#run(request, context, (queryable, inner) => {
        const lookbackMs = this.#lookbackMs(request);
        return engine.instant({ text: request.query, timeMs, lookbackMs }, queryable, inner);
      });
    } catch (thrown) {
      context.signal.throwIfAborted();
      if (!request.enablePartialResponse || isCreationError(thrown)) throw statusFor(thrown);
      yield { result: { $case: 'warnings', value: messageOf(thrown) } };
      return;
    }
    yield* responses(request, evaluation, instantSeries(evaluation.value));
  }

  async *queryRange(
    request: QueryRangeRequest,
    context: EndpointContext,
  ): AsyncGenerator<QueryRangeResponse> {
    const { engine } = this.#options;
    let evaluation: Evaluation;
    try {
      evaluation = await this.#run(request, context, (queryable, inner) => {
        const { startTimeSeconds, endTimeSeconds, intervalSeconds } = request;
        const query = {
          text: request.query,
          startMs: startTimeSeconds * 1000,
          endMs: endTimeSeconds * 1000,
          stepMs: intervalSeconds * 1000,
          lookbackMs: this.#lookbackMs(request),
        };
        return engine.range(query, queryable, inner);
      });
    } catch (thrown) {
      context.signal.throwIfAborted();
      throw statusFor(thrown);
    }
    yield* responses(request, evaluation, rangeSeries(evaluation.value));
  }

  async #run(
    request: QueryRequest | QueryRangeRequest,
    context: EndpointContext,
    evaluate: (queryable: Queryable, context: QueryContext) => Promise<Evaluation>,
  ): Promise<Evaluation> {
    const { clock, querier, gate, budget: newBudget } = this.#options;
    if (!Object.values(EngineType).includes(request.engine)) {
      throw new StatusError(Status.InvalidArgument, 'invalid engine parameter');
    }
    const asked = request.timeoutSeconds * 1000;
    const timeoutMs =
      asked === 0 ? this.#options.timeoutMs : Math.min(asked, this.#options.timeoutMs);
    using limit = deadline(clock, timeoutMs, context.signal);
    using budget = newBudget();
    const options = this.#queryableOptions(request, context);
    const queryable = querier.queryable(options);
    const evaluation = await gate.run(
      limit.signal,
      () => evaluate(queryable, { signal: limit.signal, budget }),
      `${options.tenant} gRPC`,
    );
    return { ...evaluation, warnings: [...evaluation.warnings, ...options.completeness.damage] };
  }

  #queryableOptions(
    request: QueryRequest | QueryRangeRequest,
    { tenant = this.#options.defaultTenant }: EndpointContext,
  ): QueryableOptions {
    const shard = shardOf(request.shardInfo);
    const { replicaLabels, algorithm } = this.#options;
    return {
      dedup: request.enableDedup,
      replicaLabels: request.replicaLabels.length > 0 ? request.replicaLabels : replicaLabels,
      algorithm,
      partialResponse: request.enablePartialResponse ? PartialResponse.Warn : PartialResponse.Abort,
      maxResolutionMs: this.#maxResolutionMs(request),
      storeMatchers: request.storeMatchers.map(({ labelMatchers }) => labelMatchers.map(matcherOf)),
      tenant,
      completeness: new Completeness(),
      ...(shard === undefined ? {} : { shard }),
    };
  }

  #maxResolutionMs({ maxResolutionSeconds }: QueryRequest | QueryRangeRequest): number {
    return maxResolutionSeconds === 0
      ? this.#options.defaultMaxResolutionMs
      : maxResolutionSeconds * 1000;
  }

  #lookbackMs(request: QueryRequest | QueryRangeRequest): number {
    if (request.lookbackDeltaSeconds > 0) return request.lookbackDeltaSeconds * 1000;
    return this.#options.lookbackMs(this.#maxResolutionMs(request));
  }
}

/** Warnings in one message, then the series, then the statistics. */
function* responses(
  { responseBatchSize }: QueryRequest | QueryRangeRequest,
  evaluation: Evaluation,
  series: readonly TimeSeries[],
): Generator<QueryResponse> {
  const { warnings, promqlWarnings, promqlInfos, stats, value } = evaluation;
  const texts = [...warnings, ...promqlWarnings, ...promqlInfos];
  if (texts.length > 0) yield { result: { $case: 'warnings', value: texts.join(', ') } };
  if (responseBatchSize <= 1 || value.kind === 'scalar') {
    for (const one of series) yield { result: { $case: 'timeseries', value: one } };
  } else {
    for (let i = 0; i < series.length; i += responseBatchSize) {
      const batch = { series: series.slice(i, i + responseBatchSize) };
      yield { result: { $case: 'timeseriesBatch', value: batch } };
    }
  }
  const { totalQueryableSamples: samplesTotal, peakSamples } = stats;
  yield { result: { $case: 'stats', value: { samplesTotal, peakSamples } } };
}

/** A query that could not be begun, rather than one that failed over its data. */
function isCreationError(thrown: unknown): boolean {
  return thrown instanceof BadInputError || thrown instanceof StatusError;
}

function statusFor(thrown: unknown): StatusError {
  if (thrown instanceof StatusError) return thrown;
  const code = thrown instanceof BadInputError ? Status.Unknown : Status.Aborted;
  return new StatusError(code, messageOf(thrown), { cause: thrown });
}
