import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LimitError } from '#/lib/errors.ts';
import { systemClock } from '#/lib/clock.ts';
import { MemoryBudget, unlimitedBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll, newMatcher } from '#/model/matcher.ts';
import { staleNaN } from '#/model/stale.ts';
import type { SelectHints } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { EncodedChunk, SeriesRequest, Store, StoreSeries } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { Completeness } from './partial-response.ts';
import { Querier } from './querier.ts';
import type { QueryableOptions } from './querier.ts';

type Sample = readonly [number, number | 'stale'];

/** The end of what is read. */
const LAST = 2_000_000;

const hints: SelectHints = { stepMs: 0, rangeMs: 0, func: '', limit: 0 };

describe('Querier', () => {
  test('gives one series for all replicas, whatever else their labels decide about order', async () => {
    const store = storeOf([
      raw({ replica: 'a', zone: 'z' }, [
        [0, 1],
        [15, 2],
      ]),
      raw({ replica: 'b', zone: 'z' }, [
        [7, 1],
        [22, 2],
        [37, 3],
      ]),
      raw({ replica: 'a', zone: 'y' }, [[5, 9]]),
    ]);
    assert.deepEqual(await read([store], {}), ['{zone="y"} 5:9', '{zone="z"} 0:1 15:2 37:3']);
    assert.deepEqual(await read([store], { dedup: false }), [
      '{replica="a", zone="y"} 5:9',
      '{replica="a", zone="z"} 0:1 15:2',
      '{replica="b", zone="z"} 7:1 22:2 37:3',
    ]);
  });

  test('takes copies of one replica from several stores for one', async () => {
    const labels = { replica: 'a' };
    const sidecar = storeOf([
      raw(labels, [
        [30, 3],
        [45, 4],
        [60, 5],
      ]),
    ]);
    const bucket = storeOf([
      raw(labels, [
        [0, 1],
        [15, 2],
        [30, 3],
        [45, 4],
      ]),
    ]);
    assert.deepEqual(await read([sidecar, bucket], {}), ['{} 0:1 15:2 30:3 45:4 60:5']);
  });

  test('begins where the select does under penalty, wherever reading begins', async () => {
    const replica = (name: string, times: readonly number[]) =>
      raw(
        { replica: name },
        times.map((time) => [time, 1]),
      );
    const store = storeOf([replica('a', [0, 30, 60]), replica('b', [1, 31, 61])]);
    const { queryable } = setUp([store], { algorithm: 'penalty' });
    const { series } = await queryable.select(selectRequest(hints), context());
    // Replica b has the first sample of what is read, but a has the first of all.
    const into = new SampleBuffer();
    series[0]!.read(1, 1000, into);
    assert.deepEqual([...into.times.subarray(0, into.length)], [30, 60]);
  });

  test('lets stores merge the replicas when a limit or only labels are asked for', async () => {
    const seen: SeriesRequest[] = [];
    const store = storeOf([raw({ replica: 'a' }, [[0, 1]])], seen);
    await read([store], {});
    await read([store], { skipChunks: true });
    await read([store], {}, { ...hints, limit: 5 });
    await read([store], { algorithm: 'penalty' });
    const asked = seen.map((request) => request.withoutReplicaLabels.join());
    assert.deepEqual(asked, ['', 'replica', 'replica', 'replica']);
    assert.equal(seen[2]!.limit, 5);
  });

  test('refuses a selector with more series than the limit, replicas counted once', async () => {
    const of = (replica: string, zone: string) => raw({ replica, zone }, [[0, 1]]);
    const store = storeOf([of('a', 'x'), of('b', 'x'), of('a', 'y')]);
    const find = (maxSeries: number) =>
      setUp([store], {}, { maxSeries }).queryable.select(selectRequest(hints), context());
    assert.equal((await find(2)).series.length, 2);
    await assert.rejects(
      find(1),
      new LimitError(
        '{__name__="up"} has 2 series, over the limit of 1 (--query.max-series); ' +
          'add matchers, or raise the limit',
      ),
    );
  });

  test('keeps the replicas of a series in one shard', async () => {
    const seen: SeriesRequest[] = [];
    const shard = { shardIndex: 0, totalShards: 2, by: false, labels: ['le'] };
    await read([storeOf([], seen)], { shard });
    await read([storeOf([], seen)], { shard: { ...shard, by: true, labels: ['replica', 'job'] } });
    assert.deepEqual(
      seen.map((request) => request.shard!.labels),
      [['le', 'replica'], ['job']],
    );
  });

  test('asks for the aggregates and the resolution that the function needs', async () => {
    const seen: SeriesRequest[] = [];
    const store = storeOf([], seen);
    const options = { maxResolutionMs: 3_600_000 };
    for (const func of ['', 'sum', 'sum_over_time', 'max_over_time', 'count', 'rate']) {
      const rangeMs = /_over_time|rate/.test(func) ? 1_200_000 : 0;
      await read([store], options, { ...hints, func, rangeMs });
    }
    assert.deepEqual(
      seen.map(({ aggregates, maxResolutionMs }) => `${aggregates.join()} ${maxResolutionMs}`),
      [
        'count,sum 3600000',
        'count,sum 3600000',
        'sum 600000',
        'max 600000',
        'count 3600000',
        'counter 600000',
      ],
    );
  });

  test('reads averages and columns of downsampled chunks, and raw ones beside them', async () => {
    const downsampled = {
      labels: Labels.empty,
      chunks: [
        {
          mint: 299_999,
          maxt: 599_999,
          count: chunk([
            [299_999, 2],
            [599_999, 4],
          ]),
          sum: chunk([
            [299_999, 10],
            [599_999, 40],
          ]),
          min: chunk([
            [299_999, 3],
            [599_999, 7],
          ]),
        },
        rawChunk([
          [650_000, 77],
          [700_000, 8],
        ]),
      ],
    };
    const store = storeOf([downsampled]);
    assert.deepEqual(await read([store], { dedup: false }), [
      '{} 299999:5 599999:10 650000:77 700000:8',
    ]);
    const min = { ...hints, func: 'min_over_time' };
    assert.deepEqual(await read([store], { dedup: false }, min), [
      '{} 299999:3 599999:7 650000:77 700000:8',
    ]);
    const max = { ...hints, func: 'max_over_time' };
    const strict = { dedup: false, partialResponse: PartialResponse.Abort };
    await assert.rejects(
      read([store], strict, max),
      /chunk from 299999 to 599999 ms: no valid chunk found/,
    );
    const completeness = new Completeness();
    const readable = await read([store], { dedup: false, completeness }, max);
    assert.deepEqual(readable, ['{} 650000:77 700000:8']);
    assert.deepEqual(completeness.damage, [
      'series {}: chunk from 299999 to 599999 ms: no valid chunk found',
    ]);
  });

  test('makes up for counter resets across downsampled chunks', async () => {
    const store = storeOf([
      {
        labels: Labels.empty,
        chunks: [
          // The last sample repeats the time before it with the true value, 4 after a reset.
          {
            mint: 299_999,
            maxt: 599_999,
            counter: chunk([
              [10_000, 10],
              [299_999, 12],
              [599_999, 16],
              [599_999, 4],
            ]),
          },
          {
            mint: 899_999,
            maxt: 1_199_999,
            counter: chunk([
              [610_000, 6],
              [899_999, 9],
              [1_199_999, 11],
              [1_199_999, 11],
            ]),
          },
          rawChunk([
            [1_250_000, 2],
            [1_260_000, 5],
          ]),
        ],
      },
    ]);
    assert.deepEqual(await read([store], {}, { ...hints, func: 'rate' }), [
      '{} 10000:10 299999:12 599999:16 610000:18 899999:21 1199999:23 1250000:25 1260000:28',
    ]);
  });

  test('leaves the resets of raw counters to see, unless it acts as Thanos', async () => {
    const store = storeOf([
      raw({ replica: 'a' }, [
        [0, 5],
        [15, 'stale'],
        [30, 2],
      ]),
    ]);
    const resets = { ...hints, func: 'resets' };
    assert.deepEqual(await read([store], {}, resets), ['{} 0:5 15:stale 30:2']);
    assert.deepEqual(await read([store], { algorithm: 'penalty' }, resets), ['{} 0:5 30:7']);
  });

  test('says what is missing under either strategy', async () => {
    const fine = storeOf([raw({ replica: 'a' }, [[0, 1]])]);
    const reason = 'Addr: lost MinTime: 0 MaxTime: 1000000 is not available: gone';
    for (const partialResponse of [PartialResponse.Warn, PartialResponse.Abort]) {
      const completeness = new Completeness();
      const { queryable } = setUp([fine], { completeness, partialResponse }, { lost: storeOf([]) });
      const { warnings } = await queryable.select(selectRequest(hints), context());
      assert.deepEqual(warnings, [reason]);
      assert.equal(completeness.isComplete, false);
      const { address, mint, maxt, reasons } = completeness.missing[0]!;
      assert.deepEqual(
        { address, mint, maxt, reasons },
        {
          address: 'lost',
          mint: 0,
          maxt: 1_000_000,
          reasons: [reason],
        },
      );
    }
  });

  test('keeps received bytes within the budget of the query', async () => {
    const many = Array.from({ length: 100 }, (_, i) => raw({ id: String(i) }, [[0, i]]));
    many.sort((a, b) => (a.labels.get('id') < b.labels.get('id') ? -1 : 1));
    const { queryable } = setUp([storeOf(many)], {});
    const budget = new MemoryBudget({ what: 'query', limitBytes: 10_000 });
    const { signal } = context();
    await assert.rejects(queryable.select(selectRequest(hints), { signal, budget }), {
      name: 'LimitError',
    });
  });
});

function raw(labels: Readonly<Record<string, string>>, samples: readonly Sample[]): StoreSeries {
  return { labels: Labels.fromObject(labels), chunks: [rawChunk(samples)] };
}

function rawChunk(samples: readonly Sample[]) {
  return { mint: samples[0]![0], maxt: samples.at(-1)![0], raw: chunk(samples) };
}

function chunk(samples: readonly Sample[]): EncodedChunk {
  const buffer = new SampleBuffer();
  for (const [time, value] of samples) {
    buffer.pushFloat(time, value === 'stale' ? staleNaN() : value);
  }
  return encodeSamples(buffer)[0]!;
}

function storeOf(series: readonly StoreSeries[], seen: SeriesRequest[] = []): Store {
  return {
    info: () => ({
      labelSets: [],
      mint: 0,
      maxt: 1_000_000,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    }),
    async *series(request) {
      seen.push(request);
      await Promise.resolve();
      const dropped = new Set(request.withoutReplicaLabels);
      const matching = series
        .filter(({ labels }) => matchesAll(request.matchers.slice(1), labels))
        .map(({ labels, chunks }) => ({ labels: labels.without(dropped), chunks }));
      yield { series: matching, warnings: [] };
    },
    labelNames: () => Promise.resolve({ names: [], warnings: [] }),
    labelValues: () => Promise.resolve({ names: [], warnings: [] }),
  };
}

function setUp(
  stores: readonly Store[],
  options: Partial<QueryableOptions>,
  { lost, maxSeries }: { readonly lost?: Store; readonly maxSeries?: number } = {},
) {
  const asked = stores.map((store, i) => ({ address: `store-${i}`, store }));
  const missing = lost === undefined ? [] : [{ address: 'lost', store: lost, lost: 'gone' }];
  const proxy = new ProxyStore({
    endpoints: () => [...asked, ...missing],
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock: systemClock,
    log: new MemoryLog(),
    metrics: new Metrics(),
  });
  const queryable = new Querier(proxy, 4, maxSeries).queryable({
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
  return { queryable };
}

function context() {
  return { signal: new AbortController().signal, budget: unlimitedBudget() };
}

function selectRequest(selectHints: SelectHints) {
  const matchers = [newMatcher('=', '__name__', 'up')];
  return { matchers, mint: 0, maxt: LAST, hints: selectHints };
}

/** A row a series: labels, then `time:value` for every sample. */
async function read(
  stores: readonly Store[],
  options: Partial<QueryableOptions>,
  selectHints: SelectHints = hints,
): Promise<string[]> {
  const { queryable } = setUp(stores, options);
  const { series } = await queryable.select(selectRequest(selectHints), context());
  return series.map((one) => {
    const into = new SampleBuffer();
    one.read(0, LAST, into);
    const samples = Array.from({ length: into.length }, (_, i) => {
      return `${into.times[i]}:${into.isStaleAt(i) ? 'stale' : into.values[i]}`;
    });
    return [one.labels.toString(), ...samples].join(' ');
  });
}
