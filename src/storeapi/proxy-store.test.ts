import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { LimitError, UnavailableError } from '#/lib/errors.ts';
import { MemoryBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { ProxyStore } from './proxy-store.ts';
import type { MissingPart, ProxyContext, ProxyEndpoint, ProxyOptions } from './proxy-store.ts';
import { PartialResponse } from './store.ts';
import type { SeriesBatch, SeriesRequest, Store, StoreInfo, StoreSeries } from './store.ts';

const info: StoreInfo = {
  labelSets: [Labels.fromObject({ cluster: 'a' })],
  mint: 0,
  maxt: 1000,
  tsdbInfos: [],
  supportsSharding: true,
  supportsWithoutReplicaLabels: true,
};

const request: SeriesRequest = {
  mint: 0,
  maxt: 500,
  matchers: [newMatcher('=', '__name__', 'up')],
  maxResolutionMs: 0,
  aggregates: ['raw'],
  skipChunks: false,
  partialResponse: PartialResponse.Warn,
  withoutReplicaLabels: [],
  limit: 0,
  batchSize: 2,
};

describe('ProxyStore', () => {
  test('merges sorted answers and puts the pieces of a series together', async () => {
    const one = endpoint('one', [[series('a', 1), series('c', 3)]]);
    const two = endpoint('two', [[series('b', 2)], [series('c', 3), series('c', 4)]]);
    assert.deepEqual(await answer([one, two]), ['a 1', 'b 2', 'c 3 4']);
  });

  test('gives the same answer whichever endpoint comes first', async () => {
    const one = endpoint('one', [[series('a', 1, 'x'), series('b', 9)]]);
    const two = endpoint('two', [[series('a', 1, 'y'), series('a', 1, 'x')]]);
    const there = await chunkBytes([one, two]);
    assert.deepEqual(there, await chunkBytes([two, one]));
    assert.deepEqual(there, ['x', 'y', '']);
  });

  test('sorts the answer of a peer that breaks the order, and counts it', async () => {
    const metrics = new Metrics();
    const wrong = endpoint('wrong', [[series('c', 1), series('a', 2)]]);
    const right = endpoint('right', [[series('b', 3), series('c', 4)]]);
    assert.deepEqual(await answer([wrong, right], {}, { metrics }), ['a 2', 'b 3', 'c 1 4']);
    assert.match(await metrics.text(), /thanos_proxy_store_unsorted_stream_responses_total 1\n/);
  });

  test('removes replica labels and picks the shard for stores that cannot', async () => {
    const plain = { ...info, supportsWithoutReplicaLabels: false, supportsSharding: false };
    const stripped = endpoint('plain', [[series('b', 1), series('a', 2)]], plain);
    const without = { ...request, withoutReplicaLabels: ['id'] };
    const all = await rows(proxy([stripped]), without);
    assert.deepEqual(all, [' 1 2']);
    const shards = await Promise.all(
      [0, 1].map((shardIndex) => {
        const shard = { shardIndex, totalShards: 2, by: true, labels: ['id'] };
        return rows(proxy([stripped]), { ...request, shard });
      }),
    );
    assert.deepEqual(shards.flat().sort(), ['a 2', 'b 1']);
  });

  test('keeps what a dying peer sent, with a warning and a missing part', async () => {
    const dying = endpoint('dying', [[series('a', 1)], new Error('connection reset')]);
    const missing: MissingPart[] = [];
    const text = 'receive series from Addr: dying MinTime: 0 MaxTime: 1000: connection reset';
    const context = contextWith({ onMissing: (part) => missing.push(part) });
    const got = await answer([dying, endpoint('fine', [[series('b', 2)]])], context);
    assert.deepEqual(got, [`! ${text}`, 'a 1', 'b 2']);
    assert.deepEqual(
      missing.map(({ address, mint, maxt, reason }) => ({ address, mint, maxt, reason })),
      [{ address: 'dying', mint: 0, maxt: 500, reason: text }],
    );
  });

  test('fails as a whole under ABORT, also for a warning that a peer forwards', async () => {
    const abort = { ...request, partialResponse: PartialResponse.Abort };
    const unreachable = endpoint('down', [new UnavailableError('connection refused')]);
    await assert.rejects(
      rows(proxy([unreachable]), abort),
      new UnavailableError(
        'fetch series for {cluster="a"} Addr: down MinTime: 0 MaxTime: 1000: connection refused',
      ),
    );
    const partial = endpoint('partial', [{ series: [], warnings: ['half of it'] }]);
    await assert.rejects(rows(proxy([partial]), abort), new UnavailableError('half of it'));
    await assert.rejects(rows(proxy([]), abort), new UnavailableError('No StoreAPIs available'));
  });

  test('gives up on a peer that stalls or never ends', { timeout: 5000 }, async () => {
    const stalled = endpoint('stalled', [[series('a', 1)], 'stall']);
    const got = await answer([stalled], {}, { responseTimeoutMs: 20 });
    const text = 'failed to receive any data in 20ms from Addr: stalled MinTime: 0 MaxTime: 1000';
    assert.deepEqual(got, [`! ${text}: context canceled`, 'a 1']);

    const endless = endpoint('endless', 'endless');
    const budget = new MemoryBudget({ what: 'query', limitBytes: 100_000 });
    await assert.rejects(answer([endless], contextWith({ budget })), LimitError);
    const limited = await rows(proxy([endless]), { ...request, limit: 3 });
    assert.equal(limited.length, 3);
  });

  test('stops at once when the caller has gone', { timeout: 5000 }, async () => {
    const gone = new AbortController();
    const pending = answer([endpoint('stalled', ['stall'])], contextWith({ signal: gone.signal }));
    gone.abort(new Error('gone'));
    await assert.rejects(pending, /gone/);
  });

  test('asks only whom time, labels and address allow', async () => {
    const asked: string[] = [];
    const late = { ...info, mint: 600 };
    const other = { ...info, labelSets: [Labels.fromObject({ cluster: 'b' })] };
    const nothing = { ...info, labelSets: [] };
    const all = [
      endpoint('match', [[series('a', 1)]], info, asked),
      endpoint('late', [], late, asked),
      endpoint('other', [], other, asked),
      endpoint('any', [], nothing, asked),
    ];
    const matchers = [...request.matchers, newMatcher('=', 'cluster', 'a')];
    await rows(proxy(all), { ...request, matchers });
    assert.deepEqual(asked.splice(0), ['match', 'any']);
    const storeMatchers = [[newMatcher('=', '__address__', 'any')]];
    await rows(proxy(all), { ...request, matchers }, contextWith({ storeMatchers }));
    assert.deepEqual(asked, ['any']);
  });

  test('keeps to the label sets that the TSDB selector keeps', async () => {
    let forwarded = '';
    const seen = endpoint('seen', [[series('a', 1)]]);
    const spied: Store = {
      ...seen.store,
      series: (inner, context) => {
        forwarded = inner.matchers.map(({ name, type, value }) => name + type + value).join(' ');
        return seen.store.series(inner, context);
      },
    };
    const dropped = { ...info, labelSets: [Labels.fromObject({ cluster: 'b' })] };
    const store = proxy([{ ...seen, store: spied }, endpoint('dropped', [], dropped)], {
      tsdbSelector: (sets) => sets.filter((labels) => labels.get('cluster') === 'a'),
    });
    assert.deepEqual(await rows(store, request), ['a 1']);
    assert.equal(forwarded, '__name__=up cluster=~a');
    assert.deepEqual(store.info().labelSets.map(String), ['{cluster="a"}']);
  });

  test('reports a lost endpoint that would have been asked', async () => {
    const lost = { ...endpoint('lost', []), lost: 'no answer to Info' };
    const warning = 'Addr: lost MinTime: 0 MaxTime: 1000 is not available: no answer to Info';
    assert.deepEqual(await answer([lost, endpoint('fine', [[series('a', 1)]])]), [
      `! ${warning}`,
      'a 1',
    ]);
    const missing: string[] = [];
    const context = contextWith({ onMissing: ({ reason }) => missing.push(reason) });
    const abort = { ...request, partialResponse: PartialResponse.Abort };
    assert.deepEqual(await rows(proxy([lost]), abort, context), []);
    assert.deepEqual(missing, [warning]);
  });

  test('unites label names and values within the limit', async () => {
    const named = (address: string, names: string[]): ProxyEndpoint => {
      const { store } = endpoint(address, []);
      const found = () => Promise.resolve({ names, warnings: [] });
      return { address, store: { ...store, labelNames: found, labelValues: found } };
    };
    const failing = endpoint('failing', []);
    const labels = { ...request, limit: 2, label: 'id' };
    const store = proxy([named('one', ['c', 'a']), named('two', ['b', 'a']), failing]);
    const { names, warnings } = await store.labelNames(labels, contextWith({}));
    assert.deepEqual(names, ['a', 'b']);
    assert.deepEqual(warnings, [
      'fetch label names from store Addr: failing MinTime: 0 MaxTime: 1000: no names here',
    ]);
    const abort = { ...labels, partialResponse: PartialResponse.Abort };
    await assert.rejects(
      store.labelValues(abort, contextWith({})),
      /fetch label values from store/,
    );
    await assert.rejects(store.labelValues({ ...labels, label: '' }, contextWith({})), {
      message: 'label name parameter cannot be empty',
    });
  });
});

type Frame = readonly StoreSeries[] | SeriesBatch | Error | 'stall';

function endpoint(
  address: string,
  frames: readonly Frame[] | 'endless',
  storeInfo: StoreInfo = info,
  asked: string[] = [],
): ProxyEndpoint {
  const store: Store = {
    info: () => storeInfo,
    async *series() {
      asked.push(address);
      for (let i = 0; frames === 'endless'; i++) {
        yield { series: [series(String(i).padStart(9, '0'), i)], warnings: [] };
      }
      for (const frame of frames) {
        if (frame === 'stall') await new Promise(() => undefined);
        else if (frame instanceof Error) throw frame;
        else if ('warnings' in frame) yield frame;
        else yield { series: frame as readonly StoreSeries[], warnings: [] };
      }
    },
    labelNames: () => Promise.reject(new Error('no names here')),
    labelValues: () => Promise.reject(new Error('no values here')),
  };
  return { address, store };
}

/** A series with one chunk that begins at `mint`. */
function series(id: string, mint: number, bytes = ''): StoreSeries {
  const raw = { encoding: 1, data: Buffer.from(bytes) };
  return { labels: Labels.fromObject({ id }), chunks: [{ mint, maxt: mint, raw }] };
}

function contextWith(more: Partial<ProxyContext>): ProxyContext {
  return { signal: new AbortController().signal, tenant: 'default-tenant', ...more };
}

function proxy(endpoints: readonly ProxyEndpoint[], more: Partial<ProxyOptions> = {}): ProxyStore {
  return new ProxyStore({
    endpoints: () => endpoints,
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock: systemClock,
    log: new MemoryLog(),
    metrics: new Metrics(),
    ...more,
  });
}

/** A row a warning and a series: its id and when its chunks begin. */
async function rows(
  store: Store,
  asked: SeriesRequest,
  context: ProxyContext = contextWith({}),
): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of store.series(asked, context)) {
    found.push(...batch.warnings.map((warning) => `! ${warning}`));
    for (const { labels, chunks } of batch.series) {
      found.push([labels.get('id'), ...chunks.map(({ mint }) => mint)].join(' '));
    }
  }
  return found;
}

function answer(
  endpoints: readonly ProxyEndpoint[],
  context: Partial<ProxyContext> = {},
  options: Partial<ProxyOptions> = {},
): Promise<string[]> {
  return rows(proxy(endpoints, options), request, contextWith(context));
}

async function chunkBytes(endpoints: readonly ProxyEndpoint[]): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of proxy(endpoints).series(request, contextWith({}))) {
    for (const { chunks } of batch.series) {
      found.push(...chunks.map(({ raw }) => Buffer.from(raw!.data).toString()));
    }
  }
  return found;
}
