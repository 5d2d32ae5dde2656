import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruByteCache } from './lru.ts';

const bytes = (length: number) => new Uint8Array(length).fill(7);

test('the cache stays within its bytes and forgets what was used longest ago', async () => {
  const cache = new LruByteCache({ maxBytes: 3500, maxItemBytes: 3500 });
  for (const key of ['a', 'b', 'c']) cache.set(key, bytes(1000));
  await cache.getMany(['a']);
  cache.set('d', bytes(1000));
  const found = await cache.getMany(['a', 'b', 'c', 'd']);
  assert.deepEqual(
    found.map((value) => value?.length),
    [1000, undefined, 1000, 1000],
  );
  assert.ok(cache.stats.sizeBytes <= 3500);
  assert.equal(cache.stats.evictions, 1);
});

test('values over the item limit are not kept', async () => {
  const cache = new LruByteCache({ maxBytes: 10_000, maxItemBytes: 1000 });
  cache.set('big', bytes(1001));
  assert.deepEqual(await cache.getMany(['big']), [undefined]);
});

test('a kept value does not hold on to the buffer it was cut from', async () => {
  const cache = new LruByteCache({ maxBytes: 10_000, maxItemBytes: 1000 });
  cache.set('part', bytes(1_000_000).subarray(10, 20));
  const [value] = await cache.getMany(['part']);
  assert.equal(value!.buffer.byteLength, 10);
});
