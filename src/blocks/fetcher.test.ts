import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CorruptionError, NotFoundError, UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import { BlockFetcher } from './fetcher.ts';
import { MarkFilter } from './filters.ts';
import { markBlock } from './markers.ts';
import { timePartition } from './filters.ts';
import { encode, idAt, never, sampleMeta, thanosSection } from './testing/sample-block.ts';

const NOW = 1_700_000_000_000;
const [A, B, C, D, E] = [1, 2, 3, 4, 5].map((i) => idAt(NOW + i)) as [
  string,
  string,
  string,
  string,
  string,
];

function setUp(listing: 'concurrent' | 'recursive') {
  const clock = new ManualClock(NOW);
  const bucket = new MemoryBucket({ clock });
  const disk = new MemoryDisk({ clock });
  const log = new MemoryLog();
  const metrics = new Metrics();
  const start = () =>
    new BlockFetcher({
      bucket,
      listing,
      concurrency: 4,
      cacheDirectory: '/cache',
      clock,
      disk,
      log,
      metrics,
    });
  const put = (id: string, maxTime = 100) =>
    bucket.upload(
      `${id}/meta.json`,
      encode(printBlockMeta(sampleMeta({ ulid: id, maxTime, ...thanosSection({ a: '1' }) }))),
    );
  /** Operations on the bucket while `work` runs. */
  const requests = async (work: () => Promise<unknown>): Promise<string[]> => {
    const seen: string[] = [];
    bucket.faults = (operation) => {
      seen.push(operation);
      return undefined;
    };
    await work();
    bucket.faults = undefined;
    return seen;
  };
  return { clock, bucket, disk, log, metrics, start, put, requests };
}

for (const listing of ['concurrent', 'recursive'] as const) {
  describe(`BlockFetcher, ${listing} listing`, () => {
    test('tells whole, partial and damaged blocks from other things in the bucket', async () => {
      const { bucket, start, put, metrics } = setUp(listing);
      await put(A);
      await put(B, 5);
      await bucket.upload(`${C}/chunks/000001`, encode('x'));
      await bucket.upload(`${D}/meta.json`, encode('{"version": 1, "ulid"'));
      await bucket.upload('debug/metas/x.json', encode('x'));
      await bucket.upload('README', encode('x'));
      const viewer = start().view([
        timePartition(
          () => 10,
          () => 1000,
        ),
      ]);
      const { metas, partial, failures } = await viewer.fetch(never);
      assert.deepEqual([...metas.keys()], [A]);
      assert.deepEqual([...partial.keys()].sort(), [C, D]);
      assert.ok(partial.get(C) instanceof NotFoundError);
      assert.ok(partial.get(D) instanceof CorruptionError);
      assert.deepEqual(failures, []);
      const text = await metrics.text();
      for (const [state, count] of Object.entries({
        loaded: 1,
        'no-meta-json': 1,
        'corrupted-meta-json': 1,
        'time-excluded': 1,
        failed: 0,
      })) {
        assert.match(
          text,
          new RegExp(`^thanos_blocks_meta_synced{state="${state}"} ${count}$`, 'm'),
        );
      }
    });

    test('loads a meta once, and after a restart from the disk', async () => {
      const { start, put, requests } = setUp(listing);
      await put(A);
      const first = start();
      const reads = async (fetcher: BlockFetcher) =>
        (await requests(() => fetcher.view([]).fetch(never))).filter((operation) =>
          operation.startsWith('bucket.read'),
        );
      assert.equal((await reads(first)).length, 1);
      assert.equal((await reads(first)).length, 0);
      assert.equal((await reads(start())).length, 0);
    });

    test('forgets vanished blocks, also on the disk', async () => {
      const { bucket, start, put, disk } = setUp(listing);
      await put(A);
      await put(B);
      const viewer = start().view([]);
      await viewer.fetch(never);
      await bucket.remove(`${A}/meta.json`);
      assert.deepEqual([...(await viewer.fetch(never)).metas.keys()], [B]);
      assert.deepEqual(disk.paths, [`/cache/meta-syncer/${B}/meta.json`]);
    });

    test('keeps a block that only the listing lacks', async () => {
      const { bucket, start, put } = setUp(listing);
      await put(A);
      await put(B);
      const viewer = start().view([]);
      await viewer.fetch(never);
      const list = bucket.list.bind(bucket);
      bucket.list = async function* without(prefix, options) {
        for await (const entry of list(prefix, options)) if (!entry.name.startsWith(A)) yield entry;
      };
      const { metas, partial } = await viewer.fetch(never);
      assert.deepEqual([...metas.keys()].sort(), [A, B].sort());
      assert.equal(partial.size, 0);
    });

    test('shows an incomplete view as such, and keeps its caches then', async () => {
      const { bucket, start, put, disk, metrics } = setUp(listing);
      await put(A);
      await put(B);
      const viewer = start().view([]);
      await viewer.fetch(never);
      await bucket.remove(`${A}/meta.json`);
      await put(C);
      await bucket.upload(`${E}/meta.json`, encode('{"version": 9}'));
      bucket.faults = (operation) =>
        operation === `bucket.read ${C}/meta.json` ? 'refuse' : undefined;
      const { metas, failures } = await viewer.fetch(never);
      assert.deepEqual([...metas.keys()], [B]);
      assert.equal(failures.length, 2);
      assert.match(failures.map((error) => error.message).join('\n'), /version is 9/);
      assert.ok(disk.paths.includes(`/cache/meta-syncer/${A}/meta.json`));
      assert.match(await metrics.text(), /^thanos_blocks_meta_sync_failures_total 1$/m);
      assert.match(await metrics.text(), /^thanos_blocks_meta_synced{state="failed"} 2$/m);
    });

    test('has no view without a listing or with a failing filter', async () => {
      const { bucket, start, put } = setUp(listing);
      await put(A);
      bucket.faults = (operation) => (operation.startsWith('bucket.list') ? 'refuse' : undefined);
      await assert.rejects(start().view([]).fetch(never), UnavailableError);
      bucket.faults = undefined;
      const failing = { apply: () => Promise.reject(new Error('no marks')) };
      await assert.rejects(start().view([failing]).fetch(never), /no marks/);
    });

    test('lists once for fetches that overlap', async () => {
      const { start, put, requests } = setUp(listing);
      await put(A);
      const fetcher = start();
      const seen = await requests(() =>
        Promise.all([fetcher.view([]).fetch(never), fetcher.view([]).fetch(never)]),
      );
      assert.equal(seen.filter((operation) => operation.startsWith('bucket.list')).length, 1);
    });

    test('loads again when its cache on disk is damaged', async () => {
      const { start, put, disk } = setUp(listing);
      await put(A);
      await disk.write(`/cache/meta-syncer/${A}/meta.json`, encode('{'));
      assert.equal((await start().view([]).fetch(never)).metas.size, 1);
      disk.faults = () => 'refuse';
      const { metas } = await start().view([]).fetch(never);
      assert.equal(metas.size, 1);
    });
  });
}

test('after a recursive listing marks are read only where there are any', async () => {
  const { bucket, start, put, requests, clock, log } = setUp('recursive');
  for (const id of [A, B, C]) await put(id);
  await markBlock(bucket, B, { kind: 'deletion', clock });
  const filter = MarkFilter.deletion({ bucket, concurrency: 2, log, delayMs: -1, clock });
  const viewer = start().view([filter]);
  await viewer.fetch(never);
  const seen = await requests(async () => {
    assert.deepEqual([...(await viewer.fetch(never)).metas.keys()], [A, C]);
  });
  assert.deepEqual(seen, ['bucket.list ', `bucket.read ${B}/deletion-mark.json`]);
});

test('the recursive listing sees that a meta.json was replaced', async () => {
  const { clock, start, put, metrics } = setUp('recursive');
  await put(A, 100);
  const viewer = start().view([]);
  await viewer.fetch(never);
  await clock.advance(1000);
  await put(A, 200);
  assert.equal((await viewer.fetch(never)).metas.get(A)?.maxTime, 200);
  assert.match(await metrics.text(), /^thanos_blocks_meta_base_cache_busts_total 1$/m);
});
