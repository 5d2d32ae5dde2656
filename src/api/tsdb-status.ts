import { BadInputError } from '#/lib/errors.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { TSDBStatisticsEntry } from '#/proto/status.ts';
import type { Statistic } from '#/proto/status.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import { findTsdbStatistics, mergeStatistics } from '#/query/tsdb-statistics.ts';
import { matcherToWire } from '#/storeapi/endpoint-apis.ts';
import { callContext } from './endpoint-api.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';
import { matcherSets } from './query-api.ts';

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 0x7f_ff_ff_ff;

/** `/api/v1/status/tsdb`: what the heads of all endpoints hold, added up, of all tenants. */
export function tsdbStatusRoutes(api: EndpointApi): Route[] {
  return [apiRoute(['GET'], '/status/tsdb', 'status_tsdb', (request) => tsdbStatus(api, request))];
}

async function tsdbStatus(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  // There is always a limit: the lists would be as long as there are metrics.
  const limit = params.limit() || DEFAULT_LIMIT;
  if (limit > MAX_LIMIT) throw new BadInputError(`limit ${limit} overflows int32`);
  const { statistics, warnings } = await findTsdbStatistics(
    api.proxy,
    {
      tenant: '',
      limit,
      partialResponseStrategy: PartialResponseStrategy.WARN,
      matchers: matcherSets(params).flat().map(matcherToWire),
    },
    callContext(api, request),
  );
  const none = TSDBStatisticsEntry.fromPartial({});
  const { headStatistics, ...lists } = [...statistics.values()].reduce(mergeStatistics, none);
  const cut = (list: readonly Statistic[]) => list.slice(0, limit);
  const data = {
    headStats: {
      numSeries: headStatistics?.numSeries ?? 0,
      numLabelPairs: headStatistics?.numLabelPairs ?? 0,
      chunkCount: headStatistics?.chunkCount ?? 0,
      minTime: Number(headStatistics?.minTime ?? 0n),
      maxTime: Number(headStatistics?.maxTime ?? 0n),
    },
    seriesCountByMetricName: cut(lists.seriesCountByMetricName),
    labelValueCountByLabelName: cut(lists.labelValueCountByLabelName),
    memoryInBytesByLabelName: cut(lists.memoryInBytesByLabelName),
    seriesCountByLabelValuePair: cut(lists.seriesCountByLabelValuePair),
  };
  return { data, warnings };
}
