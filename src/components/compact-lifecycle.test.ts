import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_DOWNSAMPLE_AGES } from '#/compact/downsample-plan.ts';
import { markBlock, printMark, readMark } from '#/blocks/markers.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { FaultAt } from '#/lib/faults.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { CompactWorld, HOUR_MS } from './testing/compact-world.ts';

/** What the compactor keeps in a bucket for itself. */
const OWN_OBJECTS = ['hindsight/bucket-index', 'hindsight/clock'];

describe('retention', () => {
  const days = (count: number) => count * 24 * HOUR_MS;

  test('a raw block goes when its time is over and 5 minutes are there', async () => {
    const world = new CompactWorld();
    const raw = await world.addBlock({ from: 0, to: 336 });
    const retentions = new Map([[Resolution.Raw, days(20)]]);
    await world.compact({ retentions, downsampleAges: DEFAULT_DOWNSAMPLE_AGES });
    const left = (await world.blocks()).map(({ thanos }) => thanos!.downsample.resolution);
    assert.deepEqual(left, [300_000, 3_600_000]);
    const mark = await readMark(world.bucket, raw.ulid, 'deletion');
    assert.equal(mark?.details, 'block exceeding retention of 480h0m0s');
  });

  test('it stays while it cannot be downsampled', async () => {
    const world = new CompactWorld();
    await world.addBlock({ from: 0, to: 336 });
    world.disk.capacityBytes = 1000;
    const retentions = new Map([[Resolution.Raw, days(20)]]);
    const run = world.compact({ retentions, downsampleAges: DEFAULT_DOWNSAMPLE_AGES });
    await assert.rejects(run, /needs \d+ bytes of disk/);
    assert.equal((await world.blocks()).length, 1);
    assert.equal(await world.metric('hindsight_compact_retention_held_blocks'), 1);
  });
});

describe('cleaning', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test('deletes what was marked long enough ago, and no more', async () => {
    const world = new CompactWorld();
    const old = await world.addBlock({ from: 0, to: 2 });
    const recent = await world.addBlock({ from: 2, to: 4 });
    const kept = await world.addBlock({ from: 4, to: 6 });
    await markBlock(world.bucket, old.ulid, { kind: 'deletion', clock: world.clock });
    await world.clock.advance(30 * HOUR_MS);
    await markBlock(world.bucket, recent.ulid, { kind: 'deletion', clock: world.clock });
    await world.clock.advance(18 * HOUR_MS);
    await world.compact();
    const ids = new Set((await world.names()).map((name) => name.split('/', 1).join()));
    assert.deepEqual([...ids].sort(), [recent.ulid, kept.ulid, 'hindsight']);
    assert.equal(await world.metric('thanos_compact_blocks_cleaned_total'), 1);
  });

  test('a mark whose time was wrong waits for the delay by the time of the bucket', async () => {
    const world = new CompactWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    const mark = { id: ulid, timeMs: world.clock.now() - 90 * HOUR_MS, details: '', reason: '' };
    await world.bucket.upload(`${ulid}/deletion-mark.json`, bytes(printMark('deletion', mark)));
    await world.compact();
    assert.ok((await world.names()).includes(`${ulid}/index`));
    await world.clock.advance(49 * HOUR_MS);
    await world.compact();
    assert.deepEqual(await world.names(), OWN_OBJECTS);
  });

  test('with no delay, what a run has compacted is gone at its end', async () => {
    const world = new CompactWorld();
    for (let from = 0; from < 10; from += 2) await world.addBlock({ from, to: from + 2 });
    await world.compact({ deleteDelayMs: 0 });
    assert.equal(await world.ranges(), '0-8 8-10');
    assert.ok(!(await world.names()).some((name) => name.endsWith('mark.json')));
  });

  test('a deletion that broke off is gone on with', async () => {
    const world = new CompactWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    await markBlock(world.bucket, ulid, { kind: 'deletion', clock: world.clock });
    await world.bucket.remove(`${ulid}/meta.json`);
    await world.compact();
    assert.ok((await world.names()).includes(`${ulid}/index`), 'its delay is not over');
    await world.compact({ deleteDelayMs: 0 });
    assert.deepEqual(await world.names(), OWN_OBJECTS);
  });

  test('an upload is given up when nothing of it has changed for two days', async () => {
    const world = new CompactWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    await world.bucket.remove(`${ulid}/meta.json`);
    await world.clock.advance(40 * HOUR_MS);
    await world.bucket.upload(`${ulid}/chunks/000002`, bytes('more'));
    await world.clock.advance(40 * HOUR_MS);
    await world.compact();
    assert.ok((await world.names()).includes(`${ulid}/index`), 'the last file came 40 h ago');
    await world.clock.advance(9 * HOUR_MS);
    await world.compact();
    assert.deepEqual(await world.names(), OWN_OBJECTS);
    const attempts = 'thanos_compact_aborted_partial_uploads_deletion_attempts_total';
    assert.equal(await world.metric(attempts), 1);
  });

  test('a block whose meta.json is damaged is not taken for an upload', async () => {
    const world = new CompactWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    await world.bucket.upload(`${ulid}/meta.json`, bytes('{"ver'));
    await world.clock.advance(400 * HOUR_MS);
    await world.compact();
    assert.ok((await world.names()).includes(`${ulid}/index`));
    await markBlock(world.bucket, ulid, { kind: 'deletion', clock: world.clock });
    await world.compact({ deleteDelayMs: 0 });
    assert.deepEqual(await world.names(), OWN_OBJECTS);
  });

  test('a job that was killed before it could remove its directory leaves nothing', async () => {
    const world = new CompactWorld();
    for (const [cluster, blocks] of Object.entries({ one: 5, two: 4 })) {
      for (let i = 0; i < blocks; i++) {
        await world.addBlock({ from: 2 * i, to: 2 * i + 2, labels: { cluster } });
      }
    }
    const remove = world.disk.remove.bind(world.disk);
    world.disk.remove = (path) => {
      return path.startsWith('/data/compact/0@') ? Promise.resolve() : remove(path);
    };
    await world.compact({ deleteDelayMs: 0 });
    assert.ok((await world.disk.list('/data/compact')).length > 0);
    world.disk.remove = remove;
    await world.compact({ deleteDelayMs: 0 });
    assert.deepEqual(await world.disk.list('/data/compact'), []);
  });

  test('what cannot be deleted keeps nothing else', async () => {
    const world = new CompactWorld();
    for (const from of [0, 2, 4]) {
      const { ulid } = await world.addBlock({ from, to: from + 2 });
      await markBlock(world.bucket, ulid, { kind: 'deletion', clock: world.clock });
    }
    let refused = 0;
    const remove = world.bucket.remove.bind(world.bucket);
    world.bucket.remove = (name, options) => {
      if (refused > 0 || !name.endsWith('meta.json')) return remove(name, options);
      refused++;
      return Promise.reject(new UnavailableError('not now'));
    };
    await assert.rejects(world.compact({ deleteDelayMs: 0 }), /cannot be deleted: not now/);
    assert.equal(await world.metric('thanos_compact_block_cleanup_failures_total'), 1);
    assert.equal((await world.names()).filter((name) => name.endsWith('meta.json')).length, 1);
  });
});

describe('several compactors on one bucket', () => {
  const leasesOf = (holder: string) => ({ holder, ttlMs: 60_000 });

  /** Moves time on until all runs have ended. */
  async function untilDone(world: CompactWorld, runs: readonly Promise<void>[]): Promise<void> {
    let done = false;
    const all = Promise.all(runs).finally(() => (done = true));
    while (!done) {
      await world.clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await all;
  }

  test('do every job once', async () => {
    const world = new CompactWorld();
    for (const cluster of ['a', 'b', 'c']) {
      for (let from = 0; from < 10; from += 2) {
        await world.addBlock({ from, to: from + 2, labels: { cluster } });
      }
    }
    const before = await world.samples();
    const runs = ['one', 'two', 'three'].map((name) => {
      return world.compact({ dataDirectory: `/${name}`, leases: leasesOf(name) });
    });
    await untilDone(world, runs);
    assert.equal(await world.ranges(), '0-8 8-10 0-8 8-10 0-8 8-10');
    assert.deepEqual(await world.samples(), before);
    const made = world.log.lines.filter(({ message }) => message === 'blocks compacted');
    assert.equal(made.length, 3);
  });

  test('a job whose compactor died goes to another after the time of its lease', async () => {
    const world = new CompactWorld();
    for (let from = 0; from < 10; from += 2) await world.addBlock({ from, to: from + 2 });
    const calls = new FaultAt(Number.POSITIVE_INFINITY, 'refuse', true);
    const twin = new CompactWorld();
    for (let from = 0; from < 10; from += 2) await twin.addBlock({ from, to: from + 2 });
    twin.restart(calls.plan);
    await untilDone(twin, [twin.compact({ leases: leasesOf('calm') })]);
    world.restart(new FaultAt(Math.floor(calls.count / 2), 'tear', true).plan);
    await untilDone(world, [
      world.compact({ leases: leasesOf('dead'), dataDirectory: '/dead' }).catch(() => undefined),
    ]);
    world.restart();
    const start = world.clock.now();
    await untilDone(world, [world.compact({ leases: leasesOf('other'), dataDirectory: '/other' })]);
    assert.equal(await world.ranges(), '0-8 8-10');
    assert.ok(world.clock.now() - start >= 60_000, 'the lease of the dead one was waited for');
  });

  test('without leases, shards divide the streams between them', async () => {
    const world = new CompactWorld();
    for (const cluster of ['a', 'b', 'c', 'd']) {
      for (const replica of ['0', '1']) {
        const labels = { cluster, replica };
        for (let from = 0; from < 10; from += 2) {
          await world.addBlock({ from, to: from + 2, labels });
        }
      }
    }
    const { filters } = world.config();
    const shards = [0, 1, 2].map((index) =>
      world.compact({
        dataDirectory: `/${index}`,
        replicaLabels: ['replica'],
        filters: { ...filters, shard: { index, count: 3 } },
      }),
    );
    await untilDone(world, shards);
    assert.equal(await world.ranges(), Array.from({ length: 4 }, () => '0-8 8-10').join(' '));
    const made = world.log.lines.filter(({ message }) => message === 'blocks compacted');
    assert.equal(made.length, 4 * 6, 'five pairs of replicas and a range, once for each stream');
  });
});
