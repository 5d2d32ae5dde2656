import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serveGrpc } from '#/grpc/server.ts';
import { Channel } from '#/grpc/client.ts';
import { Params } from '#/http/params.ts';
import { systemClock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { systemRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { TSDBStatisticsEntry } from '#/proto/status.ts';
import type { TSDBStatisticsRequest } from '#/proto/status.ts';
import { ApiProxy } from '#/query/api-proxy.ts';
import { statusService } from '#/storeapi/endpoint-apis.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { tsdbStatusRoutes } from './tsdb-status.ts';

/** Asks for the status of one endpoint with the heads of two tenants. */
async function ask(query: string): Promise<{ body: unknown; asked: TSDBStatisticsRequest[] }> {
  const net = new MemoryNet();
  const asked: TSDBStatisticsRequest[] = [];
  const entry = (numSeries: number, names: Record<string, number>) =>
    TSDBStatisticsEntry.fromPartial({
      headStatistics: { numSeries, numLabelPairs: 1, minTime: 1000n, maxTime: 2000n },
      seriesCountByMetricName: Object.entries(names).map(([name, value]) => ({ name, value })),
    });
  const heads = new Map([
    ['one', entry(3, { up: 2, go: 1 })],
    ['two', entry(4, { up: 1, x: 3 })],
  ]);
  const status = statusService({
    async *tsdbStatistics(request) {
      asked.push(request);
      yield { result: { $case: 'statistics', value: { statistics: heads } } };
    },
  });
  const world = { net, clock: systemClock, log: new MemoryLog(), metrics: new Metrics() };
  await using server = await serveGrpc(
    { address: ':0', services: [status], gracePeriodMs: 0 },
    { ...world, probe: new Probe() },
  );
  const { address } = server;
  using channel = new Channel({ net, clock: systemClock, random: systemRandom, address });
  const apis = { rules: false, targets: false, metricMetadata: false, exemplars: false };
  const info = { component: 'sidecar', labelSets: [], query: false, ...apis, status: true };
  const endpoint = { name: address, info, channel: () => channel };
  const [route] = tsdbStatusRoutes({
    proxy: new ApiProxy({ serving: () => [endpoint] }, Labels.empty),
    statuses: () => [],
    now: () => 0,
    timeoutMs: 1000,
    replicaLabels: [],
    partialResponse: true,
  });
  const { body } = await route!.handle({
    method: 'GET',
    path: route!.path,
    pathParams: {},
    params: new Params(new URLSearchParams(query)),
    header: () => '',
    peer: '127.0.0.1',
    signal: new AbortController().signal,
  });
  assert.ok(typeof body === 'string');
  return { body: JSON.parse(body), asked };
}

describe('/api/v1/status/tsdb', () => {
  test('adds up the heads of all tenants and keeps the largest', async () => {
    const { body, asked } = await ask('limit=2&match[]={cluster="eu"}');
    assert.deepEqual(body, {
      status: 'success',
      data: {
        headStats: {
          numSeries: 7,
          numLabelPairs: 2,
          chunkCount: 0,
          minTime: 1000,
          maxTime: 2000,
        },
        seriesCountByMetricName: [
          { name: 'up', value: 3 },
          { name: 'x', value: 3 },
        ],
        labelValueCountByLabelName: [],
        memoryInBytesByLabelName: [],
        seriesCountByLabelValuePair: [],
      },
    });
    assert.equal(asked[0]!.limit, 2);
    assert.deepEqual(asked[0]!.matchers, [{ type: 0, name: 'cluster', value: 'eu' }]);
  });

  test('asks for ten when no limit is given, and refuses what does not fit', async () => {
    assert.equal((await ask('')).asked[0]!.limit, 10);
    assert.deepEqual((await ask('limit=3000000000')).body, {
      status: 'error',
      errorType: 'bad_data',
      error: 'limit 3000000000 overflows int32',
    });
  });
});
