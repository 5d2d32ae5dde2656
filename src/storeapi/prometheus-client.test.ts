import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { HttpClient } from '#/http/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { newMatcher } from '#/model/matcher.ts';
import { MIN_TIME } from '#/model/time.ts';
import { PrometheusClient } from './prometheus-client.ts';

const { signal } = new AbortController();
const everything = { matchers: [], mint: MIN_TIME, maxt: 5, limit: 0 };

/** A client of a server that answers every request the same; `urls` are those it was asked. */
async function clientOf(answer: (response: ServerResponse, request: IncomingMessage) => void) {
  const net = new MemoryNet();
  const urls: string[] = [];
  const server = createServer((request, response) => {
    urls.push(`${request.method} ${request.url}`);
    answer(response, request);
  });
  await net.listen('prom:9090', (stream) => server.emit('connection', stream));
  const http = new HttpClient({ net, clock: systemClock, userAgent: 'test/1' });
  return { client: new PrometheusClient(http, new URL('http://prom:9090/prefix/')), urls };
}

function replying(data: unknown) {
  return clientOf((response) => response.end(JSON.stringify({ status: 'success', data })));
}

test('a look-up prints its matchers, times and limit', async () => {
  const { client, urls } = await replying(['a', 'b']);
  const matchers = [newMatcher('=', 'job', 'x"y'), newMatcher('!~', 'a.b', '.+')];
  const names = await client.labelNames({ matchers, mint: 1500, maxt: 2000, limit: 7 }, signal);
  assert.deepEqual(names, ['a', 'b']);
  const url = new URL(urls[0]!.slice(4), 'http://prom');
  assert.equal(url.pathname, '/prefix/api/v1/labels');
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    'match[]': '{job="x\\"y","a.b"!~".+"}',
    start: '1.5',
    end: '2',
    limit: '7',
  });
});

test('the ends of time are left to the server, which would take them for others', async () => {
  const { client, urls } = await replying([]);
  await client.labelValues('job', everything, signal);
  assert.equal(urls[0], 'GET /prefix/api/v1/label/job/values?end=0.005');
});

test('a label name that PromQL quotes is escaped in the path', async () => {
  const { client, urls } = await replying([]);
  await client.labelValues('a/é_b', everything, signal);
  assert.match(urls[0]!, /label\/U__a_2f__e9___b\/values/);
});

test('external labels come out of the YAML, absent ones too', async () => {
  const yaml =
    'global:\n  external_labels:\n    replica: 01\n    cluster: eu\nscrape_configs: []\n';
  const { client } = await replying({ yaml });
  assert.equal(String(await client.externalLabels(signal)), '{cluster="eu", replica="01"}');
  const bare = await replying({ yaml: 'scrape_configs: []\n' });
  assert.equal((await bare.client.externalLabels(signal)).size, 0);
});

test('flags and version are unknown where the endpoints are', async () => {
  const { client } = await clientOf((response) => response.writeHead(404).end('nothing here'));
  assert.equal(await client.flags(signal), undefined);
  assert.equal(await client.version(signal), '0');
});

test('the lowest timestamp is read from the metrics, and missing while there is no sample', async () => {
  for (const [value, want] of [
    ['1.700000000123e+09', 1_700_000_000_123],
    ['9.223372036854775e+15', undefined],
    ['9.223372036854776e+15', undefined],
  ] as const) {
    const { client } = await clientOf((response) =>
      response.end(`# HELP x y\nup 1\nprometheus_tsdb_lowest_timestamp_seconds ${value}\nz 1\n`),
    );
    assert.equal(await client.lowestTimestamp(signal), want);
  }
  const { client } = await clientOf((response) => response.end('up 1\n'));
  await assert.rejects(client.lowestTimestamp(signal), /is this a Prometheus\?/);
});

test('refusals keep the server’s words and say who can do something', async () => {
  const refusing = (status: number) =>
    clientOf((response) => {
      response.writeHead(status).end('{"status":"error","errorType":"x","error":"no such thing"}');
    });
  for (const [status, name] of [
    [400, 'BadInputError'],
    [404, 'NotFoundError'],
    [500, 'UnavailableError'],
    [503, 'UnavailableError'],
  ] as const) {
    const { client } = await refusing(status);
    await assert.rejects(client.labelNames(everything, signal), {
      name,
      message: new RegExp(
        `^GET http://prom:9090/prefix/api/v1/labels answers ${status} .*: no such thing$`,
      ),
    });
  }
});

test('a reload that is refused says what may be missing', async () => {
  const { client } = await clientOf((response) =>
    response.writeHead(403).end('Lifecycle API is not enabled.'),
  );
  await assert.rejects(client.reload(signal), {
    name: 'UnavailableError',
    message:
      'POST http://prom:9090/prefix/-/reload answers 403 Forbidden: Lifecycle API is not enabled.; ' +
      'have you set --web.enable-lifecycle on Prometheus?',
  });
});

test('an answer that is no JSON of the API is damage', async () => {
  for (const body of ['<html>', '{"status":"success","data":{"yaml":1}}']) {
    const { client } = await clientOf((response) => response.end(body));
    await assert.rejects(client.externalLabels(signal), {
      name: 'CorruptionError',
      message: /^GET http:\/\/prom:9090\/prefix\/api\/v1\/status\/config: the answer is not what/,
    });
  }
});

test('rules, targets, metadata, exemplars and statistics become messages', async () => {
  const rules = await replying({
    groups: [
      {
        name: 'g',
        file: 'f',
        interval: 15,
        evaluationTime: 0.5,
        lastEvaluation: '2026-01-02T03:04:05.000000006Z',
        rules: [
          { type: 'recording', name: 'r', query: 'up', health: 'ok', labels: { b: '1', a: '2' } },
          {
            type: 'alerting',
            state: 'firing',
            name: 'A',
            query: 'up == 0',
            duration: 60,
            keepFiringFor: 5,
            annotations: { summary: 's' },
            alerts: [{ state: 'pending', activeAt: '2026-01-02T04:04:05+01:00', value: '1e+00' }],
          },
        ],
      },
    ],
  });
  const [group] = await rules.client.rules('alert', signal);
  assert.equal(rules.urls[0], 'GET /prefix/api/v1/rules?type=alert');
  assert.deepEqual(group!.lastEvaluation, { seconds: 1_767_323_045n, nanos: 6 });
  assert.equal(group!.PartialResponseStrategy, 1);
  const [recording, alerting] = group!.rules.map((rule) => rule.result);
  assert.ok(recording?.$case === 'recording' && alerting?.$case === 'alert');
  assert.deepEqual(recording.value.labels?.labels, [
    { name: 'a', value: '2' },
    { name: 'b', value: '1' },
  ]);
  assert.deepEqual(recording.value.lastEvaluation, { seconds: -62_135_596_800n, nanos: 0 });
  assert.equal(alerting.value.state, 3);
  assert.equal(alerting.value.keepFiringForSeconds, 5);
  assert.equal(alerting.value.alerts[0]!.activeAt?.seconds, 1_767_323_045n);

  const targets = await replying({
    activeTargets: [
      { labels: { job: 'a' }, scrapeUrl: 'u', health: 'up', lastScrapeDuration: 0.1 },
    ],
    droppedTargets: null,
    droppedTargetCounts: {},
  });
  const discovery = await targets.client.targets(undefined, signal);
  assert.equal(discovery.activeTargets[0]!.health, 1);
  assert.deepEqual(discovery.droppedTargets, []);

  const metadata = await replying({ up: [{ type: 'gauge', help: 'h', unit: '' }] });
  assert.deepEqual(await metadata.client.metadata('up', 0, signal), {
    up: [{ type: 'gauge', help: 'h', unit: '' }],
  });
  assert.equal(metadata.urls[0], 'GET /prefix/api/v1/metadata?metric=up&limit=0');

  const exemplars = await replying([
    { seriesLabels: { a: 'b' }, exemplars: [{ labels: null, value: '+Inf', timestamp: 1.5 }] },
  ]);
  assert.deepEqual(await exemplars.client.exemplars('x', 0, 1, signal), [
    {
      seriesLabels: { labels: [{ name: 'a', value: 'b' }] },
      exemplars: [{ labels: { labels: [] }, value: Infinity, ts: 1500 }],
    },
  ]);

  const status = await replying({
    headStats: { numSeries: 5, chunkCount: 9, minTime: 2 ** 63, maxTime: -5 },
    seriesCountByMetricName: [{ name: 'up', value: 3 }],
  });
  const entry = await status.client.tsdbStatus(10, signal);
  assert.equal(entry.headStatistics?.minTime, 2n ** 63n - 1n);
  assert.equal(entry.headStatistics.chunkCount, 0);
  assert.deepEqual(entry.seriesCountByMetricName, [{ name: 'up', value: 3 }]);
});
