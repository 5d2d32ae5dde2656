import { BadInputError } from '#/lib/errors.ts';
import { formatSampleValue } from '#/lib/float-text.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { findExemplars } from '#/query/exemplars.ts';
import { callContext, labelsJson, replicaLabelsOf, strategyOf } from './endpoint-api.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { EARLIEST_MS, LATEST_MS } from './time-range.ts';

/** `/api/v1/query_exemplars`: of all endpoints that keep exemplars. */
export function exemplarRoutes(api: EndpointApi): Route[] {
  return [
    apiRoute(['GET', 'POST'], '/query_exemplars', 'exemplars', (request) =>
      exemplars(api, request),
    ),
  ];
}

async function exemplars(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  const start = params.timeMs('start', EARLIEST_MS);
  const end = params.timeMs('end', LATEST_MS);
  if (end < start) throw new BadInputError('end timestamp must not be before start time');
  const { series, warnings } = await findExemplars(
    api.proxy,
    {
      query: params.text('query'),
      start: BigInt(Math.trunc(start)),
      end: BigInt(Math.trunc(end)),
      partialResponseStrategy: strategyOf(api, request),
    },
    replicaLabelsOf(api, request),
    callContext(api, request),
  );
  const data = series.map(({ labels, exemplars: own }) => ({
    seriesLabels: labels,
    exemplars: own.map((exemplar) => ({
      labels: labelsJson(exemplar.labels),
      value: formatSampleValue(exemplar.value),
      timestamp: exemplar.ts / 1000,
    })),
  }));
  return { data, warnings };
}
