import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockFetcher } from '#/blocks/fetcher.ts';
import { MarkFilter } from '#/blocks/filters.ts';
import { markBlock } from '#/blocks/markers.ts';
import { systemClock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { meteredBucket } from '#/objstore/metered.ts';
import { openBucket } from '#/objstore/open.ts';
import { listPrices } from '#/objstore/request-prices.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import { sampleMeta } from '../src/blocks/testing/sample-block.ts';
import { GcsServer } from '../src/objstore/testing/gcs-server.ts';
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

const BLOCKS = 1200;

/** Requests of one look at a bucket in which nothing has changed. */
async function idleLook(listing: 'concurrent' | 'recursive'): Promise<number> {
  await using server = await GcsServer.start();
  const [metrics, log] = [new Metrics(), new MemoryLog()];
  const disk = new MemoryDisk();
  const text = JSON.stringify({ type: 'GCS', config: { bucket: 'bucket' } });
  const environment = { STORAGE_EMULATOR_HOST: server.url };
  const effects = { clock: systemClock, disk, random: systemRandom, log, metrics };
  await using bucket = await openBucket({ source: 'test', text }, { ...effects, environment });
  const ids = Array.from({ length: BLOCKS }, (_, i) => newUlid(i, systemRandom));
  const signal = new AbortController().signal;
  await concurrently(16, ids, signal, async (ulid) => {
    const meta = printBlockMeta(sampleMeta({ ulid }));
    await bucket.upload(`${ulid}/meta.json`, new TextEncoder().encode(meta));
    await bucket.upload(`${ulid}/index`, new Uint8Array(1));
  });
  await markBlock(bucket, ids[0]!, { kind: 'deletion', clock: systemClock });
  const marks = MarkFilter.deletion({
    bucket,
    concurrency: 32,
    log,
    delayMs: 1e9,
    clock: systemClock,
  });
  const viewer = new BlockFetcher({ ...effects, bucket, listing, concurrency: 32 }).view([marks]);
  assert.equal((await viewer.fetch(signal)).metas.size, BLOCKS);
  const tally = async () => {
    const lines = (await metrics.text()).matchAll(
      /^hindsight_objstore_requests_total{.*reason="sync".*} (\d+)$/gm,
    );
    return lines.reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const before = await tally();
  assert.equal((await viewer.fetch(signal)).metas.size, BLOCKS);
  return (await tally()) - before;
}

test('a look at a bucket where nothing changed costs a page of its listing a thousand objects', async () => {
  // 2,401 objects and the one mark. Four looks an hour.
  assert.equal(await idleLook('recursive'), 4);
});

test("with Thanos's default of a look at each block it costs two requests a block", async () => {
  assert.equal(await idleLook('concurrent'), 2 * BLOCKS + 2);
});
