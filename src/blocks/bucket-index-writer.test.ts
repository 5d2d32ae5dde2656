import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import { BUCKET_INDEX_NAME, decodeBucketIndex } from './bucket-index.ts';
import type { BucketIndex } from './bucket-index.ts';
import { BucketIndexWriter } from './bucket-index-writer.ts';
import { markBlock, markName } from './markers.ts';
import { encode, idAt, never, sampleMeta, thanosSection } from './testing/sample-block.ts';

const NOW = 1_700_000_000_000;
const [A, B, C, D] = [1, 2, 3, 4].map((i) => idAt(NOW + i)) as [string, string, string, string];

function setUp() {
  const clock = new ManualClock(NOW);
  const shared = new MemoryBucket({ clock });
  const log = new MemoryLog();
  const client = () => {
    const bucket = new MemoryBucket({ clock, of: shared });
    const metrics = new Metrics();
    const writer = new BucketIndexWriter({ bucket, concurrency: 4, clock, log, metrics });
    return { bucket, writer, metrics };
  };
  const put = (id: string, maxTime = 100) =>
    shared.upload(
      `${id}/meta.json`,
      encode(printBlockMeta(sampleMeta({ ulid: id, maxTime, ...thanosSection({ a: '1' }) }))),
    );
  const index = (): Promise<BucketIndex> =>
    decodeBucketIndex(shared.peek(BUCKET_INDEX_NAME)!, 'index');
  return { clock, bucket: shared, log, client, put, index };
}

/** The operations of `bucket` while `work` runs. */
async function operations(bucket: MemoryBucket, work: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  bucket.faults = (operation) => {
    seen.push(operation);
    return undefined;
  };
  await work();
  bucket.faults = undefined;
  return seen;
}

describe('BucketIndexWriter', () => {
  test('writes whole blocks with their marks, partial ones, and nothing that is unclear', async () => {
    const { clock, bucket, client, put, index } = setUp();
    for (const id of [A, B]) await put(id);
    await markBlock(bucket, A, { kind: 'deletion', details: 'why', clock });
    await markBlock(bucket, A, { kind: 'no-compact', clock });
    await bucket.upload(`${C}/chunks/000001`, encode('x'));
    await bucket.upload(`${D}/meta.json`, encode('{"version": 1, "ulid"'));
    assert.equal(await client().writer.write(never), 'written');
    const { generation, listedMs, blocks, partial } = await index();
    assert.deepEqual([generation, listedMs], [1, NOW]);
    assert.deepEqual([...blocks.keys()], [A, B]);
    assert.deepEqual([...partial], [C]);
    assert.equal(blocks.get(A)?.marks.deletion?.details, 'why');
    assert.deepEqual(Object.keys(blocks.get(A)?.marks ?? {}), ['deletion', 'no-compact']);
    assert.deepEqual(blocks.get(B)?.meta.thanos?.labels, { a: '1' });
  });

  test('a block whose mark makes no sense is left out', async () => {
    const { bucket, client, put, index } = setUp();
    for (const id of [A, B]) await put(id);
    await bucket.upload(markName(A, 'deletion'), encode('{'));
    await bucket.upload(markName(B, 'no-compact'), encode('{"version": 7}'));
    await client().writer.write(never);
    assert.equal((await index()).blocks.size, 0);
  });

  test('reads only what changed, also after a restart', async () => {
    const { clock, bucket, client, put, index } = setUp();
    for (const id of [A, B]) await put(id);
    await markBlock(bucket, B, { kind: 'deletion', clock });
    await client().writer.write(never);
    const restarted = client();
    await clock.advance(1000);
    await put(C);
    const seen = await operations(restarted.bucket, async () => {
      assert.equal(await restarted.writer.write(never), 'written');
    });
    assert.deepEqual(seen, [
      `bucket.attributes ${BUCKET_INDEX_NAME}`,
      `bucket.read ${BUCKET_INDEX_NAME}`,
      `bucket.read ${BUCKET_INDEX_NAME}`,
      'bucket.list ',
      `bucket.read ${C}/meta.json`,
      `bucket.upload ${BUCKET_INDEX_NAME}`,
    ]);
    const idle = await operations(restarted.bucket, async () => {
      assert.equal(await restarted.writer.write(never), 'unchanged');
    });
    // The object's first line tells that it is its own.
    assert.equal(idle.length, 3);
    assert.deepEqual([...(await index()).blocks.keys()], [A, B, C]);
  });

  test('sees every kind of change', async () => {
    const { clock, bucket, client, put, index } = setUp();
    const { writer } = client();
    await put(A);
    await writer.write(never);
    const changes: (() => Promise<unknown>)[] = [
      () => put(B),
      () => put(A, 200),
      () => markBlock(bucket, A, { kind: 'no-downsample', clock }),
      () => bucket.remove(markName(A, 'no-downsample')),
      () => bucket.upload(`${C}/index`, encode('x')),
      () => bucket.remove(`${C}/index`),
      () => bucket.remove(`${B}/meta.json`),
    ];
    for (const change of changes) {
      await clock.advance(1000);
      await change();
      assert.equal(await writer.write(never), 'written', change.toString());
      assert.equal(await writer.write(never), 'unchanged', change.toString());
    }
    const { blocks, generation } = await index();
    assert.equal(blocks.get(A)?.meta.maxTime, 200);
    assert.equal(generation, 1 + changes.length);
  });

  test('shows that it is alive by writing an unchanged index again after a while', async () => {
    const { clock, client, put, index } = setUp();
    const { writer } = client();
    await put(A);
    await writer.write(never);
    await clock.advance(599_000);
    assert.equal(await writer.write(never), 'unchanged');
    await clock.advance(1000);
    assert.equal(await writer.write(never), 'written');
    assert.equal((await index()).listedMs, NOW + 600_000);
  });

  test('an older view never takes the place of a newer one', async () => {
    const { bucket, client, put, index } = setUp();
    await put(A);
    const [slow, fast] = [client(), client()];
    let listed = false;
    slow.bucket.faults = (operation) => {
      listed ||= operation.startsWith('bucket.list');
      return undefined;
    };
    const upload = slow.bucket.upload.bind(slow.bucket);
    slow.bucket.upload = async (name, content, options) => {
      assert.ok(listed);
      // Between the listing of the slow one and its write:
      await put(B);
      await bucket.remove(`${A}/meta.json`);
      assert.equal(await fast.writer.write(never), 'written');
      return upload(name, content, options);
    };
    assert.equal(await slow.writer.write(never), 'overtaken');
    assert.deepEqual([...(await index()).blocks.keys()], [B]);
    assert.match(
      await slow.metrics.text(),
      /^hindsight_bucket_index_writes_total{outcome="overtaken"} 1$/m,
    );
  });

  test('a failure at any operation costs only time', async () => {
    for (const fault of ['refuse', 'lose-reply'] as const) {
      for (let at = 0; at < 10; at++) {
        const { clock, bucket, client, put, index } = setUp();
        await put(A);
        await client().writer.write(never);
        await put(B);
        await markBlock(bucket, A, { kind: 'deletion', clock });
        const { bucket: own, writer } = client();
        let count = 0;
        own.faults = () => (count++ === at ? fault : undefined);
        await writer.attempt(never);
        own.faults = undefined;
        await writer.attempt(never);
        const { blocks } = await index();
        assert.deepEqual([...blocks.keys()], [A, B], `${fault} at ${at}`);
        assert.equal(blocks.get(A)?.marks.deletion?.timeMs, NOW);
      }
    }
  });

  test('replaces a damaged index and leaves one of a later release alone', async () => {
    const { bucket, client, put, index } = setUp();
    const { writer } = client();
    await put(A);
    await bucket.upload(BUCKET_INDEX_NAME, encode('rubbish'));
    assert.equal(await writer.write(never), 'written');
    assert.equal((await index()).blocks.size, 1);
    await bucket.upload(BUCKET_INDEX_NAME, encode('hindsight-bucket-index 2 x\n'));
    assert.equal(await writer.write(never), 'newer-format');
  });

  test('follows changes soon, but not at once after the last look', async () => {
    const { clock, client, put, index } = setUp();
    const { writer } = client();
    const stop = new AbortController();
    await put(A);
    const done = writer.follow(300_000, stop.signal);
    await clock.advance(0);
    assert.equal((await index()).blocks.size, 1);
    await put(B);
    writer.changed();
    await clock.advance(4999);
    assert.equal((await index()).blocks.size, 1);
    await clock.advance(1);
    assert.equal((await index()).blocks.size, 2);
    await clock.advance(10_000);
    await put(C);
    writer.changed();
    await clock.advance(0);
    assert.equal((await index()).blocks.size, 3);
    // Nobody says so: a sidecar's upload.
    await put(D);
    await clock.advance(300_000);
    assert.equal((await index()).blocks.size, 4);
    stop.abort();
    await done;
  });
});
