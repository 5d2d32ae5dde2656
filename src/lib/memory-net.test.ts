import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { MemoryNet } from './memory-net.ts';

async function connected(): Promise<[Duplex, Duplex]> {
  const net = new MemoryNet();
  const accepted = Promise.withResolvers<Duplex>();
  const { address } = await net.listen('127.0.0.1:0', accepted.resolve);
  return [await net.dial(address), await accepted.promise];
}

test('bytes written on one end are read on the other, to the end', async () => {
  const [near, far] = await connected();
  far.end('pong');
  near.end('ping');
  assert.deepEqual(await Promise.all([text(far), text(near)]), ['ping', 'pong']);
});

test('a writer waits for a slow reader', async () => {
  const [near, far] = await connected();
  const big = Buffer.alloc(1 << 20);
  let written = 0;
  for (let i = 0; i < 10; i++) near.write(big, () => written++);
  await new Promise((wake) => setTimeout(wake, 10));
  assert.ok(written <= 1);
  far.resume();
  await once(near, 'drain');
  assert.equal(written, 10);
});

test('an end that breaks resets the other', async () => {
  const [near, far] = await connected();
  near.write('half a word');
  near.destroy();
  await assert.rejects(text(far), /ECONNRESET/);
});

test('nobody listening is a refused connection', async () => {
  await assert.rejects(new MemoryNet().dial('127.0.0.1:9'), { code: 'ECONNREFUSED' });
});

test('a closed listener drops its streams and frees the address', async () => {
  const net = new MemoryNet();
  const listener = await net.listen('127.0.0.1:80', () => undefined);
  await assert.rejects(
    net.listen('127.0.0.1:80', () => undefined),
    { code: 'EADDRINUSE' },
  );
  const near = await net.dial('127.0.0.1:80');
  await listener[Symbol.asyncDispose]();
  await assert.rejects(text(near), /ECONNRESET/);
  await net.listen('127.0.0.1:80', () => undefined);
});
