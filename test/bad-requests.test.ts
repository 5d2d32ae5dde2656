import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Store } from '#/storeapi/store.ts';
import { peerInfo, startPeer, startQuery } from './support/components.ts';
import type { Peer, RunningQuery } from './support/components.ts';
import { eventually } from './support/servers.ts';

let peer: Peer;
let querier: RunningQuery;
/** Calls of the endpoint that hangs, and those of them that were cancelled. */
const calls = { begun: 0, cancelled: [] as number[] };

/** Answers nothing, and for `hang` never ends. */
const store: Store = {
  info: () => peerInfo,
  async *series({ matchers }, { signal }) {
    if (!matchers.some(({ value }) => value === 'hang')) return;
    calls.begun++;
    await new Promise((wake) => signal.addEventListener('abort', wake, { once: true }));
    calls.cancelled.push(performance.now());
    yield { series: [], warnings: [] };
  },
  labelNames: async () => ({ names: ['a', 'b'], warnings: [] }),
  labelValues: async () => ({ names: ['x'], warnings: [] }),
};

before(async () => {
  peer = await startPeer(store);
  querier = await startQuery([peer.address]);
});
after(async () => {
  await querier[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

async function get(path: string, init: RequestInit = {}): Promise<Reply> {
  const reply = await fetch(querier.url + path, init);
  return {
    status: reply.status,
    type: reply.headers.get('content-type') ?? '',
    text: await reply.text(),
  };
}

async function badData(path: string, params: Record<string, string>, error: string): Promise<void> {
  const query = new URLSearchParams(params).toString();
  const form = { method: 'POST', body: new URLSearchParams(params) };
  const posts = !path.includes('/label/');
  for (const reply of [await get(`${path}?${query}`), ...(posts ? [await get(path, form)] : [])]) {
    assert.equal(reply.status, 400, reply.text);
    assert.match(reply.type, /^application\/json/);
    assert.deepEqual(JSON.parse(reply.text), { status: 'error', errorType: 'bad_data', error });
  }
}

const range = { query: 'up', start: '0', end: '60', step: '15' };

describe('a wrong parameter is bad data with its own text', () => {
  const cases: [path: string, params: Record<string, string>, error: string][] = [
    [
      'query',
      { query: 'up', time: 'now' },
      'Invalid time value for \'time\': cannot parse "now" to a valid timestamp',
    ],
    ['query', { query: 'up', timeout: 'soon' }, 'cannot parse "soon" to a valid duration'],
    [
      'query',
      { query: 'up', timeout: '1e100' },
      'cannot parse "1e100" to a valid duration. It overflows int64',
    ],
    [
      'query',
      { query: 'up', dedup: 'maybe' },
      '\'dedup\' parameter: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [
      'query',
      { query: 'up', partial_response: '2' },
      '\'partial_response\' parameter: strconv.ParseBool: parsing "2": invalid syntax',
    ],
    ['query', { query: 'up', engine: 'steam' }, "'steam' bad engine"],
    [
      'query',
      { query: 'up', lookback_delta: 'x' },
      '\'lookback_delta\' parameter: cannot parse "x" to a valid duration',
    ],
    [
      'query',
      { query: 'up', max_source_resolution: 'x' },
      '\'max_source_resolution\' parameter: cannot parse "x" to a valid duration',
    ],
    [
      'query',
      { query: 'up', max_source_resolution: '-5' },
      "negative 'max_source_resolution' is not accepted. Try a positive integer",
    ],
    ['query', { query: '' }, 'unknown position: parse error: no expression found in input'],
    ['query', { query: 'up{' }, '1:4: parse error: unexpected end of input inside braces'],
    [
      'query',
      { query: 'sum(up) by' },
      '1:11: parse error: unexpected end of input in grouping opts, expected "("',
    ],
    [
      'query',
      { query: 'rate(up)' },
      '1:6: parse error: expected type range vector in call to function "rate", got instant vector',
    ],
    ['query', { query: 'nosuch(up)' }, '1:1: parse error: unknown function with name "nosuch"'],
    [
      'query',
      { query: 'up\n  and on( 5' },
      '2:11: parse error: unexpected number "5" in grouping opts, expected label',
    ],
    ['query_range', { ...range, start: '' }, 'cannot parse "" to a valid timestamp'],
    ['query_range', { ...range, end: 'later' }, 'cannot parse "later" to a valid timestamp'],
    ['query_range', { ...range, start: '61' }, 'end timestamp must not be before start time'],
    [
      'query_range',
      { ...range, step: 'x' },
      '\'step\' parameter: cannot parse "x" to a valid duration',
    ],
    [
      'query_range',
      { ...range, step: '0' },
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    ],
    [
      'query_range',
      { ...range, step: '-1' },
      'zero or negative query resolution step widths are not accepted. Try a positive integer',
    ],
    [
      'query_range',
      { ...range, end: '11001', step: '1' },
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)',
    ],
    [
      'labels',
      { start: 'x' },
      'bad_data: Invalid time value for \'start\': cannot parse "x" to a valid timestamp',
    ],
    ['labels', { start: '5', end: '4' }, 'bad_data: end timestamp must not be before start time'],
    ['labels', { limit: 'x' }, 'cannot parse "x" to a valid limit'],
    ['labels', { limit: '-1' }, 'limit must be non-negative'],
    ['labels', { 'match[]': 'up{' }, '1:4: parse error: unexpected end of input inside braces'],
    [
      'label/a/values',
      { end: 'x' },
      'bad_data: Invalid time value for \'end\': cannot parse "x" to a valid timestamp',
    ],
    ['label/a/values', { limit: '1.5' }, 'cannot parse "1.5" to a valid limit'],
    ['series', {}, 'no match[] parameter provided'],
    [
      'series',
      { 'match[]': 'up', dedup: 'x' },
      '\'dedup\' parameter: strconv.ParseBool: parsing "x": invalid syntax',
    ],
    ['series', { 'match[]': '{}' }, 'no matchers specified (excluding selector labels)'],
  ];
  for (const [path, params, error] of cases) {
    test(`${path} ${JSON.stringify(params)}`, () => badData(`/api/v1/${path}`, params, error));
  }

  test('11,000 points are answered', async () => {
    const params = new URLSearchParams({ ...range, end: '11000', step: '1' }).toString();
    const { status, text } = await get(`/api/v1/query_range?${params}`);
    assert.equal(status, 200, text);
  });
});

test('unknown paths and methods are plain 404 and 405', async () => {
  for (const path of [
    '/api/v1/nothing',
    '/api/v2/query',
    '/nowhere',
    '/api/v1/query/',
    '/%ff',
    '/api/v1/label/%ff/values',
  ]) {
    const reply = await get(path);
    assert.ok(reply.status === 404 || reply.status === 400, `${path}: ${reply.status}`);
  }
  for (const method of ['DELETE', 'PUT', 'PATCH']) {
    const reply = await get('/api/v1/query', { method });
    assert.equal(reply.status, 405, `${method}: ${reply.text}`);
  }
  assert.equal((await get('/-/healthy')).status, 200);
});

test('a form that is too large, of another type or cut short is refused', async () => {
  const large = await get('/api/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `query=${'a'.repeat(11 * 1024 * 1024)}`,
  }).catch(() => ({ status: 413 }));
  assert.equal(large.status, 413);
  const type = await get('/api/v1/query', {
    method: 'POST',
    headers: { 'content-type': 'application/x-unknown' },
    body: 'query=up',
  });
  assert.ok(type.status === 415 || type.status === 400, `${type.status}`);
  assert.equal((await querier.query({ query: '1' })).status, 200);
});

test('a query that is deeply nested or very long is an error, not a crash', async () => {
  const texts = [
    `${'('.repeat(20_000)}1${')'.repeat(20_000)}`,
    `${'-'.repeat(20_000)}1`,
    Array.from({ length: 20_000 }, () => '1').join('+'),
    `up{${Array.from({ length: 5000 }, (_, i) => `a${i}=~".*"`).join()}}`,
    `a=~"${'(a*)*'.repeat(500)}"`,
  ];
  for (const text of texts) {
    const body = new URLSearchParams({ query: text });
    const { status } = await get('/api/v1/query', { method: 'POST', body });
    assert.ok([200, 400, 422].includes(status), `${text.slice(0, 20)}: ${status}`);
  }
});

test('a client that goes away cancels its query within 100 ms', async () => {
  const begun = calls.begun;
  const client = new AbortController();
  const query = get('/api/v1/query?query=hang', { signal: client.signal });
  await eventually('the endpoint is asked', async () => (calls.begun > begun ? true : undefined));
  const before = calls.cancelled.length;
  const left = performance.now();
  client.abort();
  await assert.rejects(query);
  await eventually('the endpoint is told', async () =>
    calls.cancelled.length > before ? true : undefined,
  );
  const tookMs = calls.cancelled.at(-1)! - left;
  assert.ok(tookMs < 100, `${tookMs} ms`);
});

test('the timeout of a query ends it, and says so', async () => {
  const before = performance.now();
  const { status, text } = await get('/api/v1/query?query=hang&timeout=300ms');
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(text), {
    status: 'error',
    errorType: 'timeout',
    error: 'query timed out in expression evaluation',
  });
  assert.ok(performance.now() - before < 2000);
});

test('no parameters crash the server, and every answer is JSON', async () => {
  const names = [
    'query',
    'time',
    'start',
    'end',
    'step',
    'timeout',
    'dedup',
    'limit',
    'match[]',
    'storeMatch[]',
    'replicaLabels[]',
    'max_source_resolution',
    'lookback_delta',
    'stats',
    'engine',
  ];
  const value = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom(
      'up',
      '0',
      '-1',
      'NaN',
      '+Inf',
      '1e308',
      '9223372036854775807',
      '{}',
      '{a="b"}',
      '[',
      '2020-01-01T00:00:00Z',
      'up[5m:1s]',
      'true',
    ),
  );
  const params = fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 8 });
  const path = fc.constantFrom(
    'query',
    'query_range',
    'labels',
    'label/a/values',
    'series',
    'rules',
    'targets',
    'metadata',
    'query_exemplars',
    'stores',
    'alerts',
    'status/tsdb',
  );
  await fc.assert(
    fc.asyncProperty(path, params, async (where, pairs) => {
      const reply = await get(
        `/api/v1/${where}?${new URLSearchParams(pairs).toString()}&timeout=2s`,
      );
      const body = JSON.parse(reply.text) as { status: string; errorType?: string };
      assert.equal(body.status, reply.status === 200 ? 'success' : 'error', reply.text);
      // `internal` would be a bug of ours.
      assert.notEqual(body.errorType, 'internal', reply.text);
    }),
    { seed: 7, numRuns: 400 },
  );
  assert.equal((await get('/-/healthy')).status, 200);
});
