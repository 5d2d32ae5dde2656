import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { HttpClient } from '#/http/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { compressBlock, uncompressBlock } from '#/lib/snappy.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { MAX_TIME } from '#/model/time.ts';
import { ChunkedReadResponse, ReadRequest, ReadResponse } from '#/proto/remote.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { PrometheusClient } from './prometheus-client.ts';
import { PrometheusStore } from './prometheus-store.ts';
import type { PrometheusState } from './prometheus-store.ts';
import { encodeFrame } from './prometheus/encode-frame.ts';
import type { SeriesRequest, StoreContext, StoreSeries } from './store.ts';

const state: PrometheusState = {
  externalLabels: Labels.fromObject({ cluster: 'eu', replica: '0' }),
  mint: 1000,
  version: '2.42.0',
};
const noLimits = { requestSeries: 0, requestSamples: 0 };
const context: StoreContext = { signal: new AbortController().signal, tenant: '' };
const ask: SeriesRequest = {
  mint: 0,
  maxt: 5000,
  matchers: [newMatcher('=', '__name__', 'up')],
  maxResolutionMs: 0,
  aggregates: ['raw'],
  skipChunks: false,
  partialResponse: 'ABORT',
  withoutReplicaLabels: [],
  limit: 0,
  batchSize: 64,
};

interface FakeAnswer {
  readonly asked: { readonly url: URL; readonly body: Buffer }[];
  readonly store: PrometheusStore;
}

/** A store over a server that answers everything through `answer`; faults are its purpose. */
async function storeOf(
  answer: (response: ServerResponse) => void,
  options: { state?: Partial<PrometheusState>; limits?: typeof noLimits } = {},
): Promise<FakeAnswer> {
  const net = new MemoryNet();
  const asked: { url: URL; body: Buffer }[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      asked.push({ url: new URL(request.url!, 'http://prom:9090'), body });
      answer(response);
    });
  });
  await net.listen('prom:9090', (stream) => server.emit('connection', stream));
  const http = new HttpClient({ net, clock: systemClock, userAgent: 'test/1' });
  const store = new PrometheusStore({
    client: new PrometheusClient(http, new URL('http://prom:9090')),
    state: () => ({ ...state, ...options.state }),
    limits: options.limits ?? noLimits,
    metrics: new Metrics(),
  });
  return { asked, store };
}

const streamed = {
  'content-type': 'application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse',
};

function frameOf(labels: Record<string, string>, ...mints: number[]): Buffer {
  const chunks = mints.map((mint) => ({
    minTimeMs: mint,
    maxTimeMs: mint + 9,
    type: 1 as const,
    data: Uint8Array.of(mint),
  }));
  const series = { labels: [...Labels.fromObject(labels)], chunks };
  return encodeFrame(
    ChunkedReadResponse.encode({ chunkedSeries: [series], queryIndex: 0 }).finish(),
  );
}

function streaming(...frames: Buffer[]) {
  return (response: ServerResponse) => {
    response.writeHead(200, streamed).end(Buffer.concat(frames));
  };
}

function replying(data: unknown) {
  return (response: ServerResponse) => {
    response.end(JSON.stringify({ status: 'success', data }));
  };
}

async function seriesOf(store: PrometheusStore, request: SeriesRequest): Promise<StoreSeries[]> {
  const found: StoreSeries[] = [];
  for await (const { series } of store.series(request, context)) found.push(...series);
  return found;
}

const printed = (series: readonly StoreSeries[]) =>
  series.map(
    ({ labels, chunks }) => `${String(labels)} ${chunks.map(({ mint }) => mint).join(' ')}`,
  );

test('series are completed, joined over frames, and sorted by what they become', async () => {
  const { store, asked } = await storeOf(
    streaming(
      frameOf({ a: '1' }, 1),
      frameOf({ a: '1', b: '2', replica: 'mine' }, 1),
      frameOf({ a: '1', b: '2', replica: 'mine' }, 11),
    ),
  );
  assert.deepEqual(printed(await seriesOf(store, ask)), [
    '{a="1", b="2", cluster="eu", replica="0"} 1 11',
    '{a="1", cluster="eu", replica="0"} 1',
  ]);
  const [query] = ReadRequest.decode(uncompressBlock(asked[0]!.body, 1000)).queries;
  assert.equal(query!.startTimestampMs, 1000);
  assert.equal(query!.endTimestampMs, 5000);
});

test('replica labels are taken out, of the series’ own labels too', async () => {
  const { store } = await storeOf(streaming(frameOf({ a: '1', pod: 'x' }, 1)));
  const request = { ...ask, withoutReplicaLabels: ['replica', 'pod'] };
  assert.deepEqual(printed(await seriesOf(store, request)), ['{a="1", cluster="eu"} 1']);
});

test('matchers on external labels never reach Prometheus', async () => {
  const { store, asked } = await storeOf(streaming());
  const of = (...matchers: SeriesRequest['matchers']) => seriesOf(store, { ...ask, matchers });
  const job = newMatcher('=', 'job', 'a');
  assert.deepEqual(await of(job, newMatcher('=', 'cluster', 'us')), []);
  assert.equal(asked.length, 0);
  await of(job, newMatcher('=~', 'cluster', 'e.'));
  const [query] = ReadRequest.decode(uncompressBlock(asked[0]!.body, 1000)).queries;
  assert.deepEqual(
    query!.matchers.map(({ name }) => name),
    ['job'],
  );
  await assert.rejects(of(newMatcher('=', 'cluster', 'eu')), {
    name: 'BadInputError',
    message: 'no matchers specified (excluding external labels)',
  });
});

test('a range before everything that is served is empty without a question', async () => {
  const { store, asked } = await storeOf(streaming());
  assert.deepEqual(await seriesOf(store, { ...ask, maxt: 999 }), []);
  assert.equal(asked.length, 0);
});

test('shards and limits cut the answer', async () => {
  const frames = Array.from({ length: 10 }, (_, i) => frameOf({ pod: String(i) }, 1));
  const { store } = await storeOf(streaming(...frames));
  const shard = { totalShards: 2, by: true, labels: ['pod'] };
  const halves = await Promise.all(
    [0, 1].map((shardIndex) => seriesOf(store, { ...ask, shard: { ...shard, shardIndex } })),
  );
  assert.equal(halves[0]!.length + halves[1]!.length, 10);
  assert.ok(halves.every((half) => half.length > 0));
  assert.equal((await seriesOf(store, { ...ask, limit: 3 })).length, 3);
});

test('the limits of the store refuse what is too much', async () => {
  const frames = [frameOf({ pod: '0' }, 1, 11, 21), frameOf({ pod: '1' }, 1)];
  for (const [limits, message] of [
    [{ requestSeries: 1, requestSamples: 0 }, 'failed to send series: limit 1 violated (got 2)'],
    [
      { requestSeries: 0, requestSamples: 400 },
      'failed to send samples: limit 400 violated (got 480)',
    ],
  ] as const) {
    const { store } = await storeOf(streaming(...frames), { limits });
    await assert.rejects(seriesOf(store, ask), { name: 'LimitError', message });
  }
});

test('series come in batches of the size that was asked for', async () => {
  const frames = Array.from({ length: 5 }, (_, i) => frameOf({ pod: String(i) }, 1));
  const { store } = await storeOf(streaming(...frames));
  const sizes: number[] = [];
  for await (const { series } of store.series({ ...ask, batchSize: 2 }, context)) {
    sizes.push(series.length);
  }
  assert.deepEqual(sizes, [2, 2, 1]);
});

test('a server that cannot stream sends samples, which become chunks of 120', async () => {
  const samples = Array.from({ length: 250 }, (_, i) => ({ timestamp: 1000 + i, value: i / 3 }));
  const labels = [{ name: 'a', value: '1' }];
  const empty = { labels, samples: [], exemplars: [], histograms: [] };
  const timeseries = [{ labels, samples, exemplars: [], histograms: [] }, empty];
  const body = ReadResponse.encode({ results: [{ timeseries }] }).finish();
  const { store } = await storeOf((response) => {
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end(compressBlock(body));
  });
  const [series, ...others] = await seriesOf(store, ask);
  assert.equal(others.length, 0);
  assert.deepEqual(
    series!.chunks.map(({ mint, maxt }) => [mint, maxt]),
    [
      [1000, 1119],
      [1120, 1239],
      [1240, 1249],
    ],
  );
  const decoded = new SampleBuffer();
  for (const { raw } of series!.chunks) decodeChunk(raw!, 0, MAX_TIME, decoded);
  assert.deepEqual(
    [...decoded.values.subarray(0, decoded.length)],
    samples.map(({ value }) => value),
  );
});

test('without chunks only labels are asked for, each once, within the limit', async () => {
  const { store, asked } = await storeOf(
    replying([
      { __name__: 'up', b: '1', pod: 'x' },
      { __name__: 'up', a: '1' },
      { __name__: 'up', b: '1', pod: 'y' },
    ]),
  );
  const request = { ...ask, skipChunks: true, withoutReplicaLabels: ['pod'], limit: 9 };
  assert.deepEqual(printed(await seriesOf(store, request)), [
    '{__name__="up", a="1", cluster="eu", replica="0"} ',
    '{__name__="up", b="1", cluster="eu", replica="0"} ',
  ]);
  assert.equal(asked[0]!.url.pathname, '/api/v1/series');
  assert.equal(asked[0]!.url.searchParams.get('start'), '1');
  assert.equal(asked[0]!.url.searchParams.get('limit'), '9');
});

const lookup = { ...ask, matchers: [] as SeriesRequest['matchers'] };

test('names of external labels are added when there is any name at all', async () => {
  const { store } = await storeOf(replying(['job', '__name__']));
  const { names } = await store.labelNames(
    { ...lookup, withoutReplicaLabels: ['replica'] },
    context,
  );
  assert.deepEqual(names, ['__name__', 'cluster', 'job']);
  const { store: bare } = await storeOf(replying([]));
  assert.deepEqual((await bare.labelNames(lookup, context)).names, []);
});

test('values of an external label are its own, if any series matches the rest', async () => {
  const matchers = [newMatcher('=', 'job', 'a')];
  const values = async (data: unknown, request: Partial<typeof lookup>, label = 'cluster') => {
    const { store } = await storeOf(replying(data));
    return (await store.labelValues({ ...lookup, ...request, label }, context)).names;
  };
  assert.deepEqual(await values([], {}), ['eu']);
  assert.deepEqual(await values([{ job: 'a' }], { matchers }), ['eu']);
  assert.deepEqual(await values([], { matchers }), []);
  assert.deepEqual(await values(['b', 'a'], {}, 'job'), ['a', 'b']);
  assert.deepEqual(await values(['x'], { withoutReplicaLabels: ['replica'] }, 'replica'), []);
  await assert.rejects(values([], {}, ''), { message: 'label name parameter cannot be empty' });
});

test('a Prometheus that ignores matchers in look-ups is asked for series instead', async () => {
  for (const version of ['2.23.1', '0', 'main']) {
    const { store, asked } = await storeOf(replying([{ job: 'a', pod: 'x' }, { job: 'b' }]), {
      state: { version },
    });
    const matched = { ...lookup, matchers: [newMatcher('!=', 'job', '')] };
    const { names } = await store.labelNames(matched, context);
    assert.deepEqual(names, ['cluster', 'job', 'pod', 'replica']);
    const values = await store.labelValues({ ...matched, label: 'job' }, context);
    assert.deepEqual(values.names, ['a', 'b']);
    assert.ok(asked.every(({ url }) => url.pathname === '/api/v1/series'));
  }
});

test('a server that is down, fails, cuts or garbles its answer is named with what happened', async () => {
  const good = frameOf({ a: '1' }, 1);
  const garbled = Buffer.from(good);
  garbled[garbled.length - 1]! ^= 1;
  const url = 'POST http://prom:9090/api/v1/read';
  const faults: [(response: ServerResponse) => void, string, RegExp][] = [
    [
      (response) => response.writeHead(500).end('oh no'),
      'UnavailableError',
      / answers 500 Internal Server Error: oh no$/,
    ],
    [
      (response) => response.writeHead(400).end('{"error":"parse error"}'),
      'BadInputError',
      / answers 400 Bad Request: parse error$/,
    ],
    [streaming(good, garbled), 'CorruptionError', /: remote-read frame 2 of \d+ bytes is damaged/],
    [
      streaming(good, good.subarray(0, 12)),
      'UnavailableError',
      /: the remote-read stream ends inside frame 2, after 7 of \d+ bytes$/,
    ],
    [
      (response) => {
        response.writeHead(200, streamed).write(good, () => response.destroy());
      },
      'UnavailableError',
      /: the answer broke off: /,
    ],
    [
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      'CorruptionError',
      /content type "text\/html"/,
    ],
    [streaming(encodeFrame(Buffer.from('garbage'))), 'CorruptionError', /: remote-read message at/],
  ];
  for (const [fault, name, message] of faults) {
    const { store } = await storeOf(fault);
    await assert.rejects(seriesOf(store, ask), (thrown: Error) => {
      assert.equal(thrown.name, name, thrown.message);
      assert.ok(thrown.message.startsWith(url), thrown.message);
      assert.match(thrown.message, message);
      return true;
    });
  }
});

test('a hanging server is left as soon as the caller gives up', async () => {
  const { store } = await storeOf((response) => {
    response.writeHead(200, streamed).write(frameOf({ a: '1' }, 1));
  });
  const gone = new AbortController();
  const answer = store.series(ask, { ...context, signal: gone.signal }).next();
  setTimeout(() => gone.abort(new Error('the client has gone')), 20);
  await assert.rejects(answer, /the client has gone/);
});

test('a store tells its labels and range', async () => {
  const { store } = await storeOf(streaming());
  const { externalLabels: labels } = state;
  assert.deepEqual(store.info(), {
    labelSets: [labels],
    mint: 1000,
    maxt: MAX_TIME,
    tsdbInfos: [{ labels, mint: 1000, maxt: MAX_TIME }],
    supportsSharding: true,
    supportsWithoutReplicaLabels: true,
  });
});
