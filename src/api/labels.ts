import { BadInputError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { LabelsRequest, NamesResult, QueryContext, Queryable } from '#/storage/queryable.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { asQuery, matcherSets, prefixed, selectOptions } from './query-api.ts';
import type { QueryApi } from './query-api.ts';
import { EARLIEST_MS, LATEST_MS } from './time-range.ts';

const TRUNCATED = 'results truncated due to limit';
const LOOKUP_HINTS = { stepMs: 0, rangeMs: 0, func: 'series', limit: 0 };

/** `/api/v1/labels`, `/api/v1/label/<name>/values` and `/api/v1/series`. */
export function labelRoutes(api: QueryApi): Route[] {
  return [
    apiRoute(['GET', 'POST'], '/labels', 'label_names', (request) => labelNames(api, request)),
    apiRoute(['GET'], '/label/:name/values', 'label_values', (request) =>
      labelValues(api, request),
    ),
    apiRoute(['GET', 'POST'], '/series', 'series', (request) => series(api, request)),
  ];
}

async function labelNames(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  return lookUp(api, request, (queryable, labelsRequest, context) => {
    return queryable.labelNames(labelsRequest, context);
  });
}

async function labelValues(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const name = request.pathParams['name'] ?? '';
  if (name === '') throw new BadInputError(`invalid label name: ${JSON.stringify(name)}`);
  return lookUp(api, request, (queryable, labelsRequest, context) => {
    return queryable.labelValues(name, labelsRequest, context);
  });
}

/** One look-up for each `match[]`; the answer is their union. */
async function lookUp(
  api: QueryApi,
  request: HttpRequest,
  ask: (queryable: Queryable, labels: LabelsRequest, context: QueryContext) => Promise<NamesResult>,
): Promise<ApiResult> {
  const { mint, maxt } = timeRange(api, request);
  const limit = request.params.limit();
  const sets = matcherSets(request.params);
  const options = { ...selectOptions(api, request, 0), dedup: true, replicaLabels: [] };
  const queryable = api.querier.queryable(options);
  const { completeness } = options;
  const found = await asQuery(api, request, (context) => {
    const asked = (sets.length === 0 ? [[]] : sets).map((matchers) =>
      ask(queryable, { matchers, mint, maxt, limit: limit === 0 ? 0 : limit + 1 }, context),
    );
    return Promise.all(asked);
  });
  const names = [...new Set(found.flatMap((result) => result.names))].sort(compareUtf8);
  const { items, warnings } = truncated(names, limit);
  return {
    data: items,
    warnings: [...found.flatMap((result) => result.warnings), ...warnings],
    missing: completeness.missing,
  };
}

async function series(api: QueryApi, request: HttpRequest): Promise<ApiResult> {
  const sets = matcherSets(request.params);
  if (sets.length === 0) throw new BadInputError('no match[] parameter provided');
  const { mint, maxt } = timeRange(api, request);
  const limit = request.params.limit();
  const options = { ...selectOptions(api, request, 0), skipChunks: true };
  const queryable = api.querier.queryable(options);
  const found = await asQuery(api, request, (context) => {
    const hints = { ...LOOKUP_HINTS, limit: limit === 0 ? 0 : limit + 1 };
    return Promise.all(
      sets.map((matchers) => queryable.select({ matchers, mint, maxt, hints }, context)),
    );
  });
  const unique = new Map<string, Labels>();
  for (const { labels } of found.flatMap((set) => set.series)) unique.set(labels.key, labels);
  const sorted = [...unique.values()].sort(compareLabels);
  const { items, warnings } = truncated(sorted, limit);
  return {
    data: items,
    warnings: [...found.flatMap((set) => set.warnings), ...warnings],
    missing: options.completeness.missing,
  };
}

function truncated<T>(
  items: readonly T[],
  limit: number,
): { items: readonly T[]; warnings: string[] } {
  if (limit === 0 || items.length <= limit) return { items, warnings: [] };
  return { items: items.slice(0, limit), warnings: [TRUNCATED] };
}

function timeRange(api: QueryApi, { params }: HttpRequest): { mint: number; maxt: number } {
  const now = api.now();
  const bounded = api.metadataRangeMs > 0;
  // The kind of error stands in its text, too, on these endpoints of Thanos.
  const time = (name: string, fallback: number) =>
    prefixed('bad_data: ', () => params.timeMs(name, fallback));
  const mint = time('start', bounded ? now - api.metadataRangeMs : EARLIEST_MS);
  const maxt = time('end', bounded ? now : LATEST_MS);
  if (maxt < mint) throw new BadInputError('bad_data: end timestamp must not be before start time');
  return { mint, maxt };
}
