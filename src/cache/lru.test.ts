import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { LruByteCache } from './lru.ts';

const clock = new ManualClock();
const bytes = (length: number) => new Uint8Array(length).fill(7);

test('the cache stays within its bytes and forgets what was used longest ago', async () => {
  const cache = new LruByteCache({ maxBytes: 3500, maxItemBytes: 3500, clock });
  for (const key of ['a', 'b', 'c']) cache.set(key, bytes(1000));
  await cache.getMany(['a']);
  cache.set('d', bytes(1000));
  const found = await cache.getMany(['a', 'b', 'c', 'd']);
  assert.deepEqual(
    found.map((value) => value?.length),
    [1000, undefined, 1000, 1000],
  );
  assert.ok(cache.stats('').sizeBytes <= 3500);
  assert.equal(cache.stats('').evicted, 1);
});

test('values over the item limit are not kept', async () => {
  const cache = new LruByteCache({ maxBytes: 10_000, maxItemBytes: 1000, clock });
  cache.set('big', bytes(1001));
  assert.deepEqual(await cache.getMany(['big']), [undefined]);
});

test('a kept value does not hold on to the buffer it was cut from', async () => {
  const cache = new LruByteCache({ maxBytes: 10_000, maxItemBytes: 1000, clock });
  cache.set('part', bytes(1_000_000).subarray(10, 20));
  const [value] = await cache.getMany(['part']);
  assert.equal(value!.buffer.byteLength, 10);
});

test('a value that was set for a time is gone when it has passed', async () => {
  const cache = new LruByteCache({ maxBytes: 10_000, maxItemBytes: 1000, clock });
  cache.set('short', bytes(10), 1000);
  cache.set('long', bytes(10));
  await clock.advance(999);
  assert.ok((await cache.getMany(['short']))[0]);
  await clock.advance(1);
  const found = await cache.getMany(['short', 'long']);
  assert.deepEqual(
    found.map((value) => value?.length),
    [undefined, 10],
  );
  assert.equal(cache.stats('').expired, 1);
});

test('numbers are kept by kind of key, and fall when entries go', async () => {
  const cache = new LruByteCache({ maxBytes: 2300, maxItemBytes: 1200, clock });
  cache.set('P:1', bytes(1000));
  cache.set('S:1', bytes(10));
  cache.set('S:1', bytes(20));
  cache.set('P:2', bytes(1000));
  cache.set('P:3', bytes(2000));
  await cache.getMany(['P:1', 'P:2', 'S:1', 'S:2']);
  assert.deepEqual(cache.kinds().sort(), ['', 'P', 'S']);
  assert.deepEqual(cache.stats('P'), {
    requests: 2,
    hits: 1,
    expired: 0,
    added: 2,
    evicted: 1,
    overflowed: 1,
    items: 1,
    valueBytes: 1000,
    sizeBytes: 1131,
  });
  const { items, valueBytes, hits } = cache.stats('S');
  assert.deepEqual({ items, valueBytes, hits }, { items: 1, valueBytes: 20, hits: 1 });
});
