import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { nodeNet } from '#/lib/net.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { Params } from './params.ts';
import { serveHttp } from './server.ts';
import type { HttpRequest, Route } from './server.ts';

function open(routes: readonly Route[] = []) {
  const env = { net: nodeNet, log: new MemoryLog(), metrics: new Metrics(), probe: new Probe() };
  const server = serveHttp({ address: '127.0.0.1:0', gracePeriodMs: 1000, routes }, env);
  return { env, server };
}

function route(path: string, handle: (request: HttpRequest) => string): Route {
  return {
    methods: ['GET', 'POST'],
    path,
    handler: 'test',
    handle: (request) => Promise.resolve({ status: 200, body: handle(request) }),
  };
}

test('a component is healthy at once and ready when it says so', async () => {
  const { env, server } = open();
  await using http = await server;
  const status = async (path: string) => (await fetch(`http://${http.address}${path}`)).status;
  assert.equal(await status('/-/healthy'), 200);
  assert.equal(await status('/-/ready'), 503);
  env.probe.ready();
  assert.equal(await status('/-/ready'), 200);
  assert.equal(await status('/nowhere'), 404);
});

test('form and URL parameters are one set, the form first', async () => {
  const { server } = open([
    route('/echo/:name', ({ params, pathParams }) =>
      JSON.stringify([pathParams['name'], params.text('a'), params.texts('m[]')]),
    ),
  ]);
  await using http = await server;
  const reply = await fetch(`http://${http.address}/echo/x%2Fy?a=1&m[]=p`, {
    method: 'POST',
    body: new URLSearchParams([
      ['a', '2'],
      ['m[]', 'q'],
      ['m[]', 'r'],
    ]),
  });
  assert.deepEqual(await reply.json(), ['x/y', '2', ['q', 'r', 'p']]);
});

test('large replies are gzipped for clients that take it', async () => {
  const { server } = open([route('/big', () => 'x'.repeat(10_000))]);
  await using http = await server;
  const reply = await fetch(`http://${http.address}/big`, {
    headers: { 'accept-encoding': 'gzip' },
  });
  assert.equal(reply.headers.get('content-encoding'), 'gzip');
  assert.equal(await reply.text(), 'x'.repeat(10_000));
});

test('requests are counted by handler', async () => {
  const { server } = open([route('/x', () => 'x')]);
  await using http = await server;
  await (await fetch(`http://${http.address}/x`)).text();
  const metrics = await (await fetch(`http://${http.address}/metrics`)).text();
  assert.match(metrics, /http_requests_total\{code="200",handler="test",method="get"\} 1/);
});

test('parameters are parsed as Thanos parses them', () => {
  const params = new Params(
    new URLSearchParams(
      't=1435781451.781&r=2015-07-01T20:10:51.781Z&s=5m&f=0.5&b=T&bad=x&limit=-1',
    ),
  );
  assert.equal(params.timeMs('t', 0), 1435781451781);
  assert.equal(params.timeMs('r', 0), 1435781451781);
  assert.equal(params.durationMs('s'), 300_000);
  assert.equal(params.durationMs('f'), 500);
  assert.equal(params.boolean('b', false), true);
  assert.throws(
    () => params.timeMs('bad', 0),
    new BadInputError(`Invalid time value for 'bad': cannot parse "x" to a valid timestamp`),
  );
  assert.throws(
    () => params.requiredTimeMs('none'),
    new BadInputError('cannot parse "" to a valid timestamp'),
  );
  assert.throws(() => params.limit(), new BadInputError('limit must be non-negative'));
});
