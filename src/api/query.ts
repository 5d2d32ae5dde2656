import { BadInputError } from '#/lib/errors.ts';
import type { Params } from '#/http/params.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import type { InstantQuery, RangeQuery } from '#/promql/engine.ts';
import type { Evaluation } from '#/promql/value.ts';
import type { QueryableOptions } from '#/query/querier.ts';
import type { QueryContext } from '#/storage/queryable.ts';
import type { StoreStats } from '#/storeapi/store-stats.ts';
import { JsonText, apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { analysisJson, explanationJson } from './explain-json.ts';
import { asQuery, lookback, maxResolution, prefixed, selectOptions } from './query-api.ts';
import type { QueryApi } from './query-api.ts';
import { notedIfSlow } from './slow-query-log.ts';
import { valueJson } from './value-json.ts';

/** Prometheus's limit, and the whole of its message. */
const PROMETHEUS_MAX_STEPS = 11_000;

/** `/api/v1/query`, `/api/v1/query_range`, and how either would be evaluated. */
export function queryRoutes(api: QueryApi): Route[] {
  const methods = ['GET', 'POST'] as const;
  return [
    apiRoute(methods, '/query', 'query', (request) => instantQuery(api, request)),
    apiRoute(methods, '/query_range', 'query_range', (request) => rangeQuery(api, request)),
    apiRoute(methods, '/query_explain', 'query', (request) =>
      explain(api, readInstant(api, request)),
    ),
    apiRoute(methods, '/query_range_explain', 'query', (request) =>
      explain(api, readRange(api, request)),
    ),
  ];
}

/** A query of the engine, and where it reads. */
interface Asked<Query> {
  readonly query: Query;
  readonly options: QueryableOptions;
}

/** The value of an expression at one time. */
async function instantQuery(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const { query, options } = readInstant(api, request);
  const evaluation = await evaluated(api, request, { query, options }, (context) => {
    return api.engine.instant(query, api.querier.queryable(options), context);
  });
  return result(evaluation, options, request.params.text('stats') !== '');
}

/** The values of an expression at every step of a range. */
async function rangeQuery(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const { query, options } = readRange(api, request);
  const evaluation = await evaluated(api, request, { query, options }, (context) => {
    return api.engine.range(query, api.querier.queryable(options), context);
  });
  return result(evaluation, options, request.params.text('stats') !== '');
}

function evaluated(
  api: QueryApi,
  request: HttpRequest,
  { query: { text }, options: { storeStats: stats } }: Asked<InstantQuery | RangeQuery>,
  run: (context: QueryContext) => Promise<Evaluation>,
): Promise<Evaluation> {
  return notedIfSlow(api.slowQueries, { text, stats }, () => asQuery(api, request, run));
}

async function explain(
  api: QueryApi,
  { query, options }: Asked<InstantQuery | RangeQuery>,
): Promise<ApiResult> {
  return { data: explanationJson(api.engine.explain(query), options.maxResolutionMs) };
}

function readInstant(api: QueryApi, request: HttpRequest): Asked<InstantQuery> {
  const { params } = request;
  const timeMs = params.timeMs('time', api.now());
  const maxResolutionMs = maxResolution(api, params, 0);
  const options = selectOptions(api, request, maxResolutionMs);
  checkEngine(params.text('engine'));
  return { query: { timeMs, ...readCommon(api, params, maxResolutionMs) }, options };
}

function readRange(api: QueryApi, request: HttpRequest): Asked<RangeQuery> {
  const { params } = request;
  const startMs = params.requiredTimeMs('start');
  const endMs = params.requiredTimeMs('end');
  if (endMs < startMs) throw new BadInputError('end timestamp must not be before start time');
  const stepMs = step(api, request, endMs - startMs);
  checkSteps((endMs - startMs) / stepMs, api.maxSteps);
  const maxResolutionMs = maxResolution(api, params, stepMs);
  const options = selectOptions(api, request, maxResolutionMs);
  checkEngine(params.text('engine'));
  const common = readCommon(api, params, maxResolutionMs);
  return { query: { startMs, endMs, stepMs, ...common }, options };
}

function readCommon(api: QueryApi, params: Params, maxResolutionMs: number) {
  return {
    text: params.text('query'),
    lookbackMs: lookback(api, params, maxResolutionMs),
    analyze: ['true', '1'].includes(params.text('analyze')),
  };
}

/** `steps` may be a fraction, as where Prometheus counts. */
function checkSteps(steps: number, most: number): void {
  if (most === 0 || steps <= most) return;
  const points = most.toLocaleString('en-US');
  const text =
    `exceeded maximum resolution of ${points} points per timeseries. ` +
    'Try decreasing the query resolution (?step=XX)';
  if (most === PROMETHEUS_MAX_STEPS) throw new BadInputError(text);
  throw new BadInputError(`${text}; got ${Math.floor(steps)}, limited by --query.max-steps`);
}

/** A range without a step gets about 250 points, but no finer than the default step. */
function step(api: QueryApi, { params }: HttpRequest, rangeMs: number): number {
  const given = prefixed("'step' parameter: ", () => params.durationMs('step'));
  const stepMs = given ?? Math.max(Math.floor(rangeMs / 250_000) * 1000, api.defaultStepMs);
  if (stepMs <= 0) {
    throw new BadInputError(
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    );
  }
  return stepMs;
}

/** There is one engine; both of Thanos's names mean it. */
function checkEngine(engine: string): void {
  if (!['', 'prometheus', 'thanos'].includes(engine))
    throw new BadInputError(`'${engine}' bad engine`);
}

function result(
  evaluation: Evaluation,
  { completeness: { damage, missing }, storeStats }: QueryableOptions,
  withStats: boolean,
): ApiResult {
  return {
    data: new JsonText(dataJson(evaluation, withStats ? storeStats : undefined)),
    warnings: [...evaluation.warnings, ...damage],
    missing,
    annotations: [...evaluation.promqlWarnings, ...evaluation.promqlInfos],
    infos: evaluation.infos,
  };
}

function* dataJson(
  { value, stats, analysis }: Evaluation,
  storeStats: StoreStats | undefined,
): Generator<string, void> {
  yield '{';
  yield* valueJson(value);
  if (storeStats !== undefined) {
    const { totalQueryableSamples, peakSamples, peakBytes } = stats;
    const samples = { totalQueryableSamples, peakSamples };
    const shown = { samples, peakBytes, objectStorage: storageJson(storeStats) };
    yield `,"stats":${JSON.stringify(shown)}`;
  }
  const analyzed = analysis === undefined ? {} : analysisJson(analysis, stats.peakBytes);
  yield `,"analysis":${JSON.stringify(analyzed)}}`;
}

/** What answering took of object storage, caches left out; of stores that tell. */
function storageJson({ blocksQueried, requests }: StoreStats) {
  const byReason = Object.fromEntries(requests.byReason);
  return { blocksQueried, ...requests.total, byReason };
}
