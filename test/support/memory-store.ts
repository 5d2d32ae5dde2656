import { systemClock } from '#/lib/clock.ts';
import { Labels, compareLabels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import { Completeness } from '#/query/partial-response.ts';
import { Querier } from '#/query/querier.ts';
import type { QueryableOptions } from '#/query/querier.ts';
import type { Queryable } from '#/storage/queryable.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { Store, StoreSeries } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';

/** A store that has these series and answers whole chunks. */
export function memoryStore(series: readonly StoreSeries[]): Store {
  const noNames = () => Promise.resolve({ names: [], warnings: [] });
  return {
    info: () => ({
      labelSets: [],
      mint: Number.MIN_SAFE_INTEGER,
      maxt: Number.MAX_SAFE_INTEGER,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    }),
    async *series({ matchers, mint, maxt, withoutReplicaLabels }) {
      await Promise.resolve();
      const dropped = new Set(withoutReplicaLabels);
      const found = series
        .filter(({ labels }) => matchesAll(matchers, labels))
        .map(({ labels, chunks }) => ({
          labels: labels.without(dropped),
          chunks: chunks.filter((chunk) => chunk.mint <= maxt && chunk.maxt >= mint),
        }))
        .filter(({ chunks }) => chunks.length > 0)
        .sort((a, b) => compareLabels(a.labels, b.labels));
      yield { series: found, warnings: [] };
    },
    labelNames: noNames,
    labelValues: noNames,
  };
}

/** What a querier reads from stores, without replicas told apart by `replica`. */
export function queryableOver(
  stores: readonly Store[],
  options: Partial<QueryableOptions> = {},
): Queryable {
  const proxy = new ProxyStore({
    endpoints: () => stores.map((store, i) => ({ address: `store-${i}`, store })),
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock: systemClock,
    log: new MemoryLog(),
    metrics: new Metrics(),
  });
  return new Querier(proxy, 0).queryable({
    dedup: true,
    replicaLabels: ['replica'],
    algorithm: 'sticky',
    partialResponse: PartialResponse.Warn,
    maxResolutionMs: 0,
    storeMatchers: [],
    tenant: 'default-tenant',
    completeness: new Completeness(),
    ...options,
  });
}
