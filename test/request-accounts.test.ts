import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { meteredBucket } from '#/objstore/metered.ts';
import { listPrices } from '#/objstore/request-prices.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { startQuery, startStore, uploadBlock } from './support/components.ts';
import { eventually } from './support/servers.ts';

interface ObjectStorage {
  readonly blocksQueried: number;
  readonly requests: number;
  readonly bytes: number;
  readonly byReason: Readonly<Record<string, { readonly requests: number }>>;
}

test('an answer says what it took of object storage, over the whole path', async () => {
  const bucket = meteredBucket(
    new MemoryBucket(),
    { label: 'b', prices: listPrices('S3'), requestPerOperation: true },
    { clock: systemClock, metrics: new Metrics() },
  );
  for (const zone of ['a', 'b']) await uploadBlock(bucket, zone);
  await using store = await startStore(bucket);
  await using inner = await startQuery([store.grpc]);
  await using outer = await startQuery([inner.grpc]);
  for (const querier of [inner, outer]) {
    const found = await eventually('both blocks are answered', async () => {
      const { body } = await querier.query({ query: 'count(up)', time: '3600', stats: 'all' });
      const stats = (body.data as unknown as { stats: { objectStorage: ObjectStorage } }).stats;
      return stats.objectStorage.blocksQueried === 2 ? stats.objectStorage : undefined;
    });
    assert.ok(found.byReason['chunks']!.requests >= 2, JSON.stringify(found));
    assert.ok(found.bytes > 100);
    const sum = Object.values(found.byReason).reduce((total, { requests }) => total + requests, 0);
    assert.equal(sum, found.requests);
  }
  const { body } = await inner.query({ query: 'count(up)', time: '3600' });
  assert.equal('stats' in body.data!, false);
});
