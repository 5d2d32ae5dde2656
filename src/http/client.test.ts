import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { systemClock } from '#/lib/clock.ts';
import { LimitError, UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import type { Net } from '#/lib/net.ts';
import { HttpClient, readAll } from './client.ts';

const url = new URL('http://127.0.0.1:80/path?secret=1');
const never = new AbortController().signal;

/** Serves `handler` on 127.0.0.1:80 of a fresh network; `streams` are the connections it took. */
async function serve(handler: RequestListener) {
  const net = new MemoryNet();
  const server = createServer(handler);
  const streams: Duplex[] = [];
  await net.listen('127.0.0.1:80', (stream) => {
    streams.push(stream);
    server.emit('connection', stream);
  });
  return { net, streams };
}

function clientOf(net: Net, clock = systemClock as typeof systemClock | ManualClock): HttpClient {
  return new HttpClient({ net, clock, userAgent: 'test/1' });
}

test('send() undoes gzip and tells status and headers', async () => {
  const { net } = await serve((request, response) => {
    assert.equal(request.headers['user-agent'], 'test/1');
    assert.equal(request.headers['accept-encoding'], 'gzip');
    response.writeHead(404, { 'content-encoding': 'gzip', 'x-kind': 'a' });
    response.end(gzipSync('nothing here'));
  });
  using client = clientOf(net);
  const response = await client.send({ url }, never);
  assert.equal(response.statusText, '404 Not Found');
  assert.equal(response.headers['x-kind'], 'a');
  assert.equal((await readAll(response, 100)).toString(), 'nothing here');
});

test('send() posts a body and keeps the connection for the next request', async () => {
  const { net, streams } = await serve((request, response) => void request.pipe(response));
  using client = clientOf(net);
  for (const body of ['one', 'two']) {
    const response = await client.send({ url, method: 'POST', body }, never);
    assert.equal((await readAll(response, 100)).toString(), body);
  }
  assert.equal(streams.length, 1);
});

test('a kept connection that was closed is replaced when the request may be repeated', async () => {
  const { net, streams } = await serve((_, response) => void response.end('ok'));
  using client = clientOf(net);
  await readAll(await client.send({ url }, never), 100);
  streams[0]!.destroy();
  assert.equal((await readAll(await client.send({ url }, never), 100)).toString(), 'ok');
  assert.equal(streams.length, 2);
});

test('a server that does not listen is unavailable, by name and without the query', async () => {
  using client = clientOf(new MemoryNet());
  await assert.rejects(client.send({ url }, never), (thrown) => {
    assert.ok(thrown instanceof UnavailableError);
    assert.equal(thrown.message, 'GET http://127.0.0.1/path: connect ECONNREFUSED 127.0.0.1:80');
    return true;
  });
});

test('a server that hangs is unavailable after the timeout', async () => {
  const { net } = await serve(() => undefined);
  const clock = new ManualClock();
  using client = clientOf(net, clock);
  const answer = client.send({ url, timeoutMs: 1000 }, never);
  const failed = assert.rejects(answer, /no answer within 1000 ms/);
  await clock.advance(0);
  await clock.advance(1000);
  await failed;
});

test('an abort is the signal’s own reason, before and within the body', async () => {
  const { net } = await serve((_, response) => void response.write('first'));
  using client = clientOf(net);
  const abort = new AbortController();
  const response = await client.send({ url }, abort.signal);
  const reason = new Error('the client has gone');
  setImmediate(() => abort.abort(reason));
  await assert.rejects(readAll(response, 100), reason);
  await assert.rejects(client.send({ url }, abort.signal), reason);
});

test('a body that is cut is unavailable, also inside gzip', async () => {
  const whole = gzipSync('word '.repeat(1000));
  for (const [headers, bytes] of [
    [{ 'content-length': '10' }, Buffer.from('half')],
    [{ 'content-encoding': 'gzip', 'content-length': '99' }, whole.subarray(0, 20)],
  ] as const) {
    const { net } = await serve((_, response) => {
      response.writeHead(200, headers).write(bytes, () => setImmediate(() => response.destroy()));
    });
    using client = clientOf(net);
    const response = await client.send({ url }, never);
    await assert.rejects(readAll(response, 1e6), /the answer broke off/);
  }
});

test('readAll() refuses a body over its limit', async () => {
  const { net } = await serve((_, response) => void response.end('0123456789'));
  using client = clientOf(net);
  await assert.rejects(readAll(await client.send({ url }, never), 9), LimitError);
});

test('a proxy gets the whole URL and its credentials', async () => {
  const { net } = await serve((request, response) => {
    response.end(`${request.url} ${request.headers['proxy-authorization']}`);
  });
  using client = new HttpClient({
    net,
    clock: systemClock,
    userAgent: 'test/1',
    proxy: new URL('http://me:secret@127.0.0.1:80'),
  });
  const response = await client.send({ url: new URL('http://far.example/x') }, never);
  const authorization = `Basic ${Buffer.from('me:secret').toString('base64')}`;
  assert.equal(String(await readAll(response, 200)), `http://far.example/x ${authorization}`);
});
