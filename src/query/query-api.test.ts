import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import { systemClock } from '#/lib/clock.ts';
import { Gate } from '#/lib/gate.ts';
import { MemoryBudget } from '#/lib/memory-budget.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { systemRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { Engine } from '#/promql/engine.ts';
import { stableFeatures } from '#/promql/parser.ts';
import { QueryRangeRequest, QueryRequest } from '#/proto/query.ts';
import type { QueryResponse } from '#/proto/query.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { queryClient, queryService } from '#/storeapi/endpoint-apis.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import type { Store } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { Querier } from './querier.ts';
import { QueryApi } from './query-api.ts';

const env = () => ({
  net: new MemoryNet(),
  clock: systemClock,
  log: new MemoryLog(),
  metrics: new Metrics(),
  probe: new Probe(),
});
const context = { signal: new AbortController().signal };

describe('QueryApi', () => {
  test('answers over gRPC: warnings, series in batches, statistics', async () => {
    const world = env();
    const services = [queryService(queryApi([storeOf(['a', 'b', 'c'])], ['gone']))];
    await using server = await serveGrpc({ address: ':0', services, gracePeriodMs: 0 }, world);
    const { address } = server;
    using channel = new Channel({
      net: world.net,
      clock: systemClock,
      random: systemRandom,
      address,
    });
    const request = QueryRequest.fromPartial({
      query: 'up',
      timeSeconds: 60,
      enableDedup: true,
      enablePartialResponse: true,
      responseBatchSize: 2,
    });
    const got = await all(queryClient(channel).query(request, context));
    assert.deepEqual(got.map(shape), [
      'warnings Addr: gone MinTime: 0 MaxTime: 100000 is not available: lost',
      'batch a@60000=60 b@60000=60',
      'batch c@60000=60',
      'stats',
    ]);
  });

  test('answers range queries and scalars', async () => {
    const api = queryApi([storeOf(['a'])]);
    const range = { startTimeSeconds: 30, endTimeSeconds: 60, intervalSeconds: 15 };
    const sum = QueryRangeRequest.fromPartial({ query: 'sum(up)', ...range });
    assert.deepEqual((await all(api.queryRange(sum, context))).map(shape), [
      'series @30000=30 @45000=45 @60000=60',
      'stats',
    ]);
    const one = QueryRequest.fromPartial({ query: '1', timeSeconds: 5, responseBatchSize: 64 });
    assert.deepEqual((await all(api.query(one, context))).map(shape), ['series @5000=1', 'stats']);
  });

  test('tells a query that cannot be from one that failed', async () => {
    const api = queryApi([storeOf(['a'])]);
    const broken = QueryRequest.fromPartial({ query: 'up{', enablePartialResponse: true });
    await assert.rejects(all(api.query(broken, context)), { name: 'StatusError', code: 2 });
    const failing = { query: 'up * on () group_left up', timeSeconds: 60 };
    const many = queryApi([storeOf(['a', 'b'])]);
    const request = QueryRequest.fromPartial(failing);
    await assert.rejects(all(many.query(request, context)), { name: 'StatusError', code: 10 });
    const partial = { ...request, enablePartialResponse: true };
    const [warning] = await all(many.query(partial, context));
    assert.match(shape(warning!), /^warnings found duplicate series/);
    const engine = { ...request, engine: 9 as 0 };
    await assert.rejects(all(many.query(engine, context)), { message: 'invalid engine parameter' });
  });
});

/** A row a message. */
function shape({ result }: QueryResponse): string {
  switch (result?.$case) {
    case 'warnings':
      return `warnings ${result.value}`;
    case 'timeseries':
      return `series ${seriesText(result.value)}`;
    case 'timeseriesBatch':
      return `batch ${result.value.series.map(seriesText).join(' ')}`;
    case 'stats':
      return 'stats';
    case undefined:
      return 'nothing';
  }
}

function seriesText({
  labels,
  samples,
}: {
  readonly labels: readonly { readonly name: string; readonly value: string }[];
  readonly samples: readonly { readonly timestamp: number; readonly value: number }[];
}): string {
  const id = labels.find(({ name }) => name === 'id')?.value ?? '';
  return samples.map(({ timestamp, value }) => `${id}@${timestamp}=${value}`).join(' ');
}

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const message of messages) found.push(message);
  return found;
}

/** A store with a series `up` for each id: a sample every 15 s, its value the time in seconds. */
function storeOf(ids: readonly string[]): Store {
  const samples = new SampleBuffer();
  for (let time = 0; time <= 60_000; time += 15_000) samples.pushFloat(time, time / 1000);
  const raw = encodeSamples(samples)[0]!;
  const series = ids.map((id) => ({
    labels: Labels.fromObject({ __name__: 'up', id }),
    chunks: [{ mint: 0, maxt: 60_000, raw }],
  }));
  return {
    info: () => ({
      labelSets: [],
      mint: 0,
      maxt: 100_000,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    }),
    async *series() {
      yield { series, warnings: [] };
    },
    labelNames: () => Promise.resolve({ names: [], warnings: [] }),
    labelValues: () => Promise.resolve({ names: [], warnings: [] }),
  };
}

function queryApi(stores: readonly Store[], lost: readonly string[] = []): QueryApi {
  const { clock, log, metrics } = env();
  const proxy = new ProxyStore({
    endpoints: () => [
      ...stores.map((store, i) => ({ address: `store-${i}`, store })),
      ...lost.map((address) => ({ address, store: storeOf([]), lost: 'lost' })),
    ],
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock,
    log,
    metrics,
  });
  return new QueryApi({
    engine: new Engine({
      lookbackMs: 300_000,
      maxSamples: 0,
      defaultStepMs: () => 60_000,
      features: {
        ...stableFeatures,
        delayedNameRemoval: false,
        typeAndUnitLabels: false,
        startTimestamps: false,
      },
    }),
    querier: new Querier(proxy, 4),
    clock,
    gate: new Gate(20),
    budget: () => new MemoryBudget({ what: 'query', limitBytes: 1e9 }),
    timeoutMs: 10_000,
    replicaLabels: ['replica'],
    algorithm: 'sticky',
    defaultMaxResolutionMs: 0,
    lookbackMs: () => 0,
    defaultTenant: 'default-tenant',
  });
}
