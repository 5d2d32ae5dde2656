import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import { peerStatus, Status } from '#/grpc/status.ts';
import { systemClock } from '#/lib/clock.ts';
import { BadInputError } from '#/lib/errors.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher, printMatcher } from '#/model/matcher.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { RulesResponse } from '#/proto/rules.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { RemoteStore, fetchInfo } from './client.ts';
import { rulesClient, rulesService } from './endpoint-apis.ts';
import type { RulesSource } from './endpoint-apis.ts';
import { infoService, storeService } from './service.ts';
import type { EndpointDescription, StoreServiceOptions } from './service.ts';
import type {
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreSeries,
} from './store.ts';

const noRules: RulesSource = { async *rules() {} };

interface Parts {
  readonly store?: Partial<Store>;
  readonly rules?: RulesSource;
  readonly endpoint?: Partial<EndpointDescription>;
  readonly service?: StoreServiceOptions;
  readonly responseTimeoutMs?: number;
}

/** A store behind gRPC in one process, and the store that a querier sees. */
async function setUp({ store, rules = noRules, endpoint, service, responseTimeoutMs = 0 }: Parts) {
  const open = new AsyncDisposableStack();
  const net = new MemoryNet();
  const absent = (): never => {
    throw new Error('not in this test');
  };
  const served: Store = {
    info: () => info,
    series: absent,
    labelNames: absent,
    labelValues: absent,
    ...store,
  };
  const description = { component: 'sidecar', store: served, isReady: () => true, ...endpoint };
  const services = [storeService(served, service), infoService(description), rulesService(rules)];
  const server = open.use(
    await serveGrpc(
      { address: '127.0.0.1:0', services, gracePeriodMs: 0 },
      { net, clock: systemClock, log: new MemoryLog(), metrics: new Metrics(), probe: new Probe() },
    ),
  );
  const { address } = server;
  const channel = open.use(
    new Channel({ net, clock: systemClock, random: seededRandom(1), address }),
  );
  const remote = new RemoteStore({
    channel,
    clock: systemClock,
    info: () => info,
    responseTimeoutMs,
  });
  return { remote, channel, address, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

const external = Labels.fromObject({ cluster: 'eu', replica: 'a' });
const info: StoreInfo = {
  labelSets: [external],
  mint: 1000,
  maxt: MAX_TIME,
  tsdbInfos: [{ labels: external, mint: MIN_TIME, maxt: MAX_TIME }],
  supportsSharding: true,
  supportsWithoutReplicaLabels: true,
};

const request: SeriesRequest = {
  mint: MIN_TIME,
  maxt: 1_700_000_000_000,
  matchers: [newMatcher('=', 'a', 'x'), newMatcher('!~', 'b', 'y|z+'), newMatcher('!=', 'c', '')],
  maxResolutionMs: 300_000,
  aggregates: ['count', 'counter'],
  skipChunks: true,
  partialResponse: 'ABORT',
  withoutReplicaLabels: ['replica'],
  limit: 7,
  shard: { shardIndex: 1, totalShards: 3, by: true, labels: ['a'] },
  batchSize: 64,
  blockMatchers: [newMatcher('=~', '__block_id', '01.*')],
};
const namesRequest: LabelValuesRequest = { ...request, label: 'job' };

function printable({ matchers, blockMatchers, ...rest }: LabelValuesRequest | SeriesRequest) {
  return {
    ...rest,
    matchers: matchers.map(printMatcher),
    blockMatchers: blockMatchers?.map(printMatcher),
  };
}

function context(rest: Partial<StoreContext> = {}): StoreContext {
  return { signal: new AbortController().signal, tenant: 'team', ...rest };
}

function series(i: number): StoreSeries {
  const labels = Labels.fromObject({ __name__: 'm', i: String(i).padStart(6, '0') });
  const raw = { encoding: 1 + (i % 3), data: Uint8Array.from({ length: i % 100 }, () => i) };
  return { labels, chunks: [{ mint: i, maxt: i + 1, raw }] };
}

const of = (from: number, to: number): StoreSeries[] =>
  Array.from({ length: to - from }, (_, i) => series(from + i));

async function collect(batches: AsyncIterable<SeriesBatch>) {
  const all: { series: StoreSeries[]; warnings: string[] } = { series: [], warnings: [] };
  for await (const batch of batches) {
    all.series.push(...batch.series);
    all.warnings.push(...batch.warnings);
  }
  return {
    ...all,
    series: all.series.map(({ labels, chunks }) => ({ flat: labels.flat, chunks })),
  };
}

test('a request arrives as it was made, with its tenant and id', async () => {
  const seen: unknown[] = [];
  await using both = await setUp({
    store: {
      async *series(received, { tenant, requestId }) {
        seen.push(printable(received), tenant, requestId);
        yield { series: [], warnings: [] };
      },
    },
  });
  await collect(both.remote.series(request, context({ requestId: 'r1' })));
  assert.deepEqual(seen, [printable(request), 'team', 'r1']);
});

for (const batchSize of [0, 1, 64]) {
  test(`series and warnings arrive whole and in order (batch size ${batchSize})`, async () => {
    const want = of(0, 1000);
    await using both = await setUp({
      store: {
        async *series() {
          yield { series: want.slice(0, 1), warnings: ['first'] };
          yield { series: want.slice(1, 700), warnings: [] };
          yield { series: want.slice(700), warnings: ['last'] };
        },
      },
      service: { chunkHashes: batchSize === 1 },
    });
    const got = await collect(both.remote.series({ ...request, batchSize }, context()));
    assert.deepEqual(
      got.series,
      want.map(({ labels, chunks }) => ({ flat: labels.flat, chunks })),
    );
    assert.deepEqual(got.warnings, ['first', 'last']);
  });
}

test('label names and values carry warnings and the asked blocks', async () => {
  const seen: unknown[] = [];
  const answer = { names: ['a', 'b'], warnings: ['w'], queriedBlocks: ['01ABC'] };
  await using both = await setUp({
    store: {
      labelNames: async (received) => {
        seen.push(received.matchers.length);
        return { ...answer, names: [] };
      },
      labelValues: async (received) => {
        seen.push(received.label, received.limit, received.blockMatchers?.map(printMatcher));
        return answer;
      },
    },
  });
  assert.deepEqual(await both.remote.labelNames(namesRequest, context()), { ...answer, names: [] });
  assert.deepEqual(await both.remote.labelValues(namesRequest, context()), answer);
  assert.deepEqual(seen, [3, 'job', 7, ['__block_id=~"01.*"']]);
});

test('a pattern that is no RE2 expression is the caller’s fault', async () => {
  await using both = await setUp({});
  const broken = { ...newMatcher('=', 'a', '(x'), type: '=~' } as const;
  const call = collect(both.remote.series({ ...request, matchers: [broken] }, context()));
  await assert.rejects(call, (thrown) => thrown instanceof BadInputError);
});

test('a store that falls silent is unavailable after its time', async () => {
  await using both = await setUp({
    store: {
      async *series(_, { signal }) {
        yield { series: of(0, 1), warnings: [] };
        await delay(10_000, undefined, { signal });
      },
    },
    responseTimeoutMs: 30,
  });
  await assert.rejects(collect(both.remote.series(request, context())), {
    name: 'UnavailableError',
    message: `${both.address}: failed to receive any data in 30 ms`,
  });
});

test('a consumer may take longer than the store is allowed to', async () => {
  await using both = await setUp({
    store: {
      async *series() {
        for (let i = 0; i < 3; i++) {
          yield { series: of(i, i + 1), warnings: [] };
          await delay(1);
        }
      },
    },
    responseTimeoutMs: 40,
  });
  let count = 0;
  for await (const batch of both.remote.series({ ...request, batchSize: 0 }, context())) {
    count += batch.series.length;
    await delay(60);
  }
  assert.equal(count, 3);
});

test('Info tells the APIs apart and keeps the ends of time', async () => {
  await using both = await setUp({ endpoint: { rules: true, exemplars: true } });
  const got = await fetchInfo(both.channel, {});
  assert.deepEqual(got.store?.tsdbInfos[0]?.labels.flat, external.flat);
  const { store, labelSets, ...rest } = got;
  assert.deepEqual(
    [store?.mint, store?.maxt, store?.tsdbInfos[0]?.mint],
    [1000, MAX_TIME, MIN_TIME],
  );
  assert.deepEqual(
    labelSets.map((labels) => labels.flat),
    [external.flat],
  );
  assert.deepEqual(rest, {
    component: 'sidecar',
    rules: true,
    targets: false,
    metricMetadata: false,
    exemplars: true,
    status: false,
    query: false,
  });
});

test('an endpoint that is not ready fails Info with Unknown', async () => {
  await using both = await setUp({ endpoint: { isReady: () => false } });
  await assert.rejects(fetchInfo(both.channel, {}), (thrown) => {
    assert.equal(peerStatus(thrown), Status.Unknown);
    return /Not ready/.test(String(thrown));
  });
});

test('rules pass through with their warnings; an empty answer is refused', async () => {
  const group = { name: 'g', file: 'f.yaml', limit: 3 };
  const answers = [
    RulesResponse.fromPartial({ result: { $case: 'group', value: group } }),
    RulesResponse.fromPartial({ result: { $case: 'warning', value: 'partly' } }),
  ];
  const rules: RulesSource = {
    async *rules({ type }) {
      yield* type === 0 ? answers : [{ result: undefined }];
    },
  };
  await using both = await setUp({ rules });
  const client = rulesClient(both.channel);
  const ask = (type: 0 | 1) =>
    Array.fromAsync(
      client.rules(
        {
          type,
          partialResponseStrategy: 0,
          matcherString: [],
          ruleName: [],
          ruleGroup: [],
          file: [],
        },
        context(),
      ),
    );
  assert.deepEqual(await ask(0), answers);
  await assert.rejects(ask(1), /found an empty answer/);
});
