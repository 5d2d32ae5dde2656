import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { RemoteCache } from './remote.ts';
import type { CacheServer, RemoteCacheOptions } from './remote.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

/** A server in memory that can fail, hang and lie. */
class FakeServer implements CacheServer {
  readonly name = 'fake:1';
  readonly entries = new Map<string, Uint8Array>();
  readonly batches: number[] = [];
  mode: 'answers' | 'fails' | 'hangs' = 'answers';
  sets = 0;

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.batches.push(keys.length);
    await this.#behave();
    return keys.map((key) => this.entries.get(key));
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    this.sets++;
    await this.#behave();
    this.entries.set(key, value);
  }

  async #behave(): Promise<void> {
    if (this.mode === 'fails') throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' });
    if (this.mode === 'hangs') await new Promise(() => undefined);
  }
}

function newCache(overrides: Partial<RemoteCacheOptions> = {}) {
  const clock = new ManualClock(1_000_000);
  const server = new FakeServer();
  const metrics = new Metrics();
  const cache = new RemoteCache({
    name: 'test',
    servers: {
      kind: 'memcached',
      pick: () => server,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    },
    ttlMs: 60_000,
    maxItemBytes: 100,
    getTimeoutMs: 500,
    setTimeoutMs: 500,
    getConcurrency: 4,
    getBatch: 3,
    setConcurrency: 2,
    setQueue: 5,
    setBreaker: undefined,
    clock,
    log: new MemoryLog(),
    metrics,
    ...overrides,
  });
  const get = async (...keys: string[]) =>
    (await cache.getMany(keys)).map((value) => value && new TextDecoder().decode(value));
  return { clock, server, cache, get, metrics };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('what is set is found, in batches, whatever the key is made of', async () => {
  const { server, cache, get } = newCache();
  const valueOf = (key: string) => `value of ${key.slice(0, 20)}`;
  const keys = ['a', 'b', 'with space', 'line\nend', 'é'.repeat(300), 'S:1', 'P:2'];
  for (const key of keys.slice(0, 4)) cache.set(key, bytes(valueOf(key)));
  await settled();
  for (const key of keys.slice(4)) cache.set(key, bytes(valueOf(key)));
  await settled();
  assert.deepEqual(await get('none', ...keys), [undefined, ...keys.map((key) => valueOf(key))]);
  assert.deepEqual(server.batches, [3, 3, 2]);
  for (const key of server.entries.keys()) assert.match(key, /^hsc1[:#][!-~]{1,240}$/);
});

test('garbage and the values of other keys are misses, and are counted', async () => {
  const { server, cache, get, metrics } = newCache();
  for (const key of ['a', 'b', 'c']) cache.set(key, bytes(key));
  await settled();
  server.entries.set('hsc1:a', bytes('garbage that is long enough for a head'));
  server.entries.set('hsc1:b', server.entries.get('hsc1:c')!);
  assert.deepEqual(await get('a', 'b', 'c'), [undefined, undefined, 'c']);
  assert.match(await metrics.text(), /hindsight_cache_rejected_values_total\{name="test"\} 2/);
});

test('an entry is not given when its time has passed, though the server still has it', async () => {
  const { clock, cache, get } = newCache();
  cache.set('default', bytes('x'));
  cache.set('short', bytes('x'), 1000);
  cache.set('never', bytes('x'), 0);
  await settled();
  assert.deepEqual(await get('default', 'short', 'never'), ['x', 'x', undefined]);
  await clock.advance(1000);
  assert.deepEqual(await get('default', 'short'), ['x', undefined]);
  await clock.advance(59_000);
  assert.deepEqual(await get('default'), [undefined]);
});

test('a server that fails is a miss, and after three failures is left alone for a while', async () => {
  const { clock, server, cache, get } = newCache();
  cache.set('a', bytes('x'));
  await settled();
  server.mode = 'fails';
  for (let i = 0; i < 5; i++) assert.deepEqual(await get('a'), [undefined]);
  assert.equal(server.batches.length, 3);
  const { sets } = server;
  cache.set('b', bytes('x'));
  await settled();
  assert.equal(server.sets, sets, 'nor is it written to');
  server.mode = 'answers';
  await clock.advance(5000);
  assert.deepEqual(await get('a'), ['x']);
});

test('a server that does not answer costs no more than the timeout', async () => {
  const { clock, server, get } = newCache();
  server.mode = 'hangs';
  const read = get('a');
  await settled();
  await clock.advance(500);
  assert.deepEqual(await read, [undefined]);
});

test('a caller that gives up does not wait for the server', async () => {
  const { server, cache } = newCache();
  server.mode = 'hangs';
  const stop = new AbortController();
  const read = cache.getMany(['a'], stop.signal);
  stop.abort();
  assert.deepEqual(await read, [undefined]);
});

test('writes that find the queue full, and values that are too large, are dropped', async () => {
  const { clock, server, cache, metrics } = newCache();
  cache.set('large', new Uint8Array(101));
  server.mode = 'hangs';
  for (let i = 0; i < 10; i++) cache.set(String(i), bytes('x'));
  assert.equal(server.sets, 2, 'two at once');
  server.mode = 'answers';
  await clock.advance(500);
  assert.equal(server.entries.size, 5);
  const text = await metrics.text();
  assert.match(text, /skipped_total\{operation="set",reason="async-buffer-full",name="test"\} 3/);
  assert.match(text, /skipped_total\{operation="set",reason="max-item-size",name="test"\} 1/);
});

test('the breaker of writes stops them when it is configured', async () => {
  const { server, cache } = newCache({
    setBreaker: {
      halfOpenMaxRequests: 1,
      openMs: 5000,
      minRequests: 2,
      consecutiveFailures: 2,
      failurePercent: 1,
    },
  });
  server.mode = 'fails';
  for (let i = 0; i < 10; i++) {
    cache.set(String(i), bytes('x'));
    await settled();
  }
  assert.equal(server.sets, 2);
});

test('closing drops the writes that wait and keeps nothing any more', async () => {
  const { server, cache, get } = newCache();
  server.mode = 'hangs';
  for (let i = 0; i < 4; i++) cache.set(String(i), bytes('x'));
  await cache[Symbol.asyncDispose]();
  cache.set('late', bytes('x'));
  assert.equal(server.sets, 2);
  assert.deepEqual(await get('0'), [undefined]);
});
