import { BadInputError } from '#/lib/errors.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import type { Evaluation } from '#/promql/value.ts';
import type { QueryableOptions } from '#/query/querier.ts';
import type { StoreStats } from '#/storeapi/store-stats.ts';
import { JsonText, apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { asQuery, lookback, maxResolution, prefixed, selectOptions } from './query-api.ts';
import type { QueryApi } from './query-api.ts';
import { valueJson } from './value-json.ts';

const MAX_STEPS = 11_000;

/** `/api/v1/query` and `/api/v1/query_range`. */
export function queryRoutes(api: QueryApi): Route[] {
  return [
    apiRoute(['GET', 'POST'], '/query', 'query', (request) => instantQuery(api, request)),
    apiRoute(['GET', 'POST'], '/query_range', 'query_range', (request) => rangeQuery(api, request)),
  ];
}

/** The value of an expression at one time. */
async function instantQuery(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  const timeMs = params.timeMs('time', api.now());
  const maxResolutionMs = maxResolution(api, params, 0);
  const options = selectOptions(api, request, maxResolutionMs);
  checkEngine(params.text('engine'));
  const query = {
    text: params.text('query'),
    timeMs,
    lookbackMs: lookback(api, params, maxResolutionMs),
  };
  const evaluation = await asQuery(api, request, (context) => {
    return api.engine.instant(query, api.querier.queryable(options), context);
  });
  return result(evaluation, options, params.text('stats') !== '');
}

/** The values of an expression at every step of a range. */
async function rangeQuery(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  const startMs = params.requiredTimeMs('start');
  const endMs = params.requiredTimeMs('end');
  if (endMs < startMs) throw new BadInputError('end timestamp must not be before start time');
  const stepMs = step(api, request, endMs - startMs);
  if ((endMs - startMs) / stepMs > MAX_STEPS) {
    throw new BadInputError(
      'exceeded maximum resolution of 11,000 points per timeseries. ' +
        'Try decreasing the query resolution (?step=XX)',
    );
  }
  const maxResolutionMs = maxResolution(api, params, stepMs);
  const options = selectOptions(api, request, maxResolutionMs);
  checkEngine(params.text('engine'));
  const query = {
    text: params.text('query'),
    startMs,
    endMs,
    stepMs,
    lookbackMs: lookback(api, params, maxResolutionMs),
  };
  const evaluation = await asQuery(api, request, (context) => {
    return api.engine.range(query, api.querier.queryable(options), context);
  });
  return result(evaluation, options, params.text('stats') !== '');
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
  { value, stats }: Evaluation,
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
  yield ',"analysis":{}}';
}

/** What answering took of object storage, caches left out; of stores that tell. */
function storageJson({ blocksQueried, requests }: StoreStats) {
  const byReason = Object.fromEntries(requests.byReason);
  return { blocksQueried, ...requests.total, byReason };
}
