import { compareUtf8 } from '#/lib/utf8.ts';
import type {
  HeadStatistics,
  Statistic,
  TSDBStatistics,
  TSDBStatisticsEntry,
  TSDBStatisticsRequest,
} from '#/proto/status.ts';
import type { EndpointContext, StatusSource } from '#/storeapi/endpoint-apis.ts';
import { gather } from './api-proxy/fan-out.ts';

export interface FoundStatistics {
  /** By tenant; the key is `''` where there are no tenants. */
  readonly statistics: ReadonlyMap<string, TSDBStatisticsEntry>;
  readonly warnings: readonly string[];
}

/** The statistics of all endpoints' heads, added up by tenant. */
export async function findTsdbStatistics(
  source: StatusSource,
  request: TSDBStatisticsRequest,
  context: EndpointContext,
): Promise<FoundStatistics> {
  const answers = source.tsdbStatistics(request, context);
  const { items, warnings } = await gather<TSDBStatistics>(answers);
  const statistics = new Map<string, TSDBStatisticsEntry>();
  for (const [tenant, entry] of items.flatMap((item) => [...item.statistics])) {
    const before = statistics.get(tenant);
    statistics.set(tenant, before === undefined ? entry : mergeStatistics(before, entry));
  }
  return { statistics, warnings };
}

/** The statistics of two heads as of one: counts are added up, and lists begin with the largest. */
export function mergeStatistics(
  a: TSDBStatisticsEntry,
  b: TSDBStatisticsEntry,
): TSDBStatisticsEntry {
  const add = (x: number, y: number) => x + y;
  return {
    headStatistics: mergedHead(a.headStatistics, b.headStatistics),
    seriesCountByMetricName: unite(a.seriesCountByMetricName, b.seriesCountByMetricName, add),
    // The same values may exist in both, so adding them up would count them twice.
    labelValueCountByLabelName: unite(
      a.labelValueCountByLabelName,
      b.labelValueCountByLabelName,
      Math.max,
    ),
    memoryInBytesByLabelName: unite(a.memoryInBytesByLabelName, b.memoryInBytesByLabelName, add),
    seriesCountByLabelValuePair: unite(
      a.seriesCountByLabelValuePair,
      b.seriesCountByLabelValuePair,
      add,
    ),
  };
}

function mergedHead(
  a: HeadStatistics | undefined,
  b: HeadStatistics | undefined,
): HeadStatistics | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    numSeries: a.numSeries + b.numSeries,
    numLabelPairs: a.numLabelPairs + b.numLabelPairs,
    chunkCount: a.chunkCount + b.chunkCount,
    minTime: a.minTime <= 0n || a.minTime > b.minTime ? b.minTime : a.minTime,
    maxTime: a.maxTime < b.maxTime ? b.maxTime : a.maxTime,
  };
}

/** The largest first. */
function unite(
  a: readonly Statistic[],
  b: readonly Statistic[],
  combine: (x: number, y: number) => number,
): Statistic[] {
  const values = new Map(a.map(({ name, value }) => [name, value]));
  for (const { name, value } of b) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : combine(before, value));
  }
  return Array.from(values, ([name, value]) => ({ name, value })).sort(
    (x, y) => y.value - x.value || compareUtf8(x.name, y.name),
  );
}
