import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock } from '#/blocks/markers.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { FaultAt } from '#/lib/faults.ts';
import type { Fault } from '#/lib/faults.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { CompactWorld, HOUR_MS } from './testing/compact-world.ts';

/** Blocks of two hours from `first` on. */
async function addBlocks(
  world: CompactWorld,
  count: number,
  options: Omit<Parameters<CompactWorld['addBlock']>[0], 'from' | 'to'> & { first?: number } = {},
): Promise<BlockMeta[]> {
  const { first = 0, ...rest } = options;
  const blocks = [];
  for (let i = 0; i < count; i++) {
    const from = first + 2 * i;
    blocks.push(await world.addBlock({ from, to: from + 2, ...rest }));
  }
  return blocks;
}

describe('compact', () => {
  test('compacts what is over, level by level, and changes no sample', async () => {
    const world = new CompactWorld();
    const sources = await addBlocks(world, 26);
    const before = await world.samples();
    await world.compact();
    assert.equal(await world.ranges(), '0-48 48-50 50-52');
    assert.deepEqual(await world.samples(), before);
    const [large] = await world.blocks();
    assert.equal(large!.compaction.level, 3);
    assert.deepEqual(
      large!.compaction.sources,
      sources.slice(0, 24).map(({ ulid }) => ulid),
    );
    assert.equal(large!.thanos!.source, 'compactor');
    assert.ok(large!.thanos!.indexStats.chunkMaxSize > 0);
    assert.deepEqual(await world.disk.list('/data/compact'), []);
    assert.equal(await world.metric('thanos_compact_todo_compactions'), 0);
    await world.compact();
    assert.equal(await world.ranges(), '0-48 48-50 50-52');
  });

  test('replicas become one stream', async () => {
    const world = new CompactWorld();
    for (const replica of ['a', 'b']) {
      const labels = { cluster: 'x', replica };
      await addBlocks(world, 5, { labels, offsetMs: replica === 'a' ? 0 : 7000, stepMs: 30_000 });
    }
    await world.compact({ replicaLabels: ['replica'], algorithm: 'penalty' });
    assert.equal(await world.ranges(), '0-8 8-10');
    const [block] = await world.blocks();
    assert.deepEqual(block!.thanos!.labels, { cluster: 'x' });
    const { numSamples } = block!.stats;
    assert.ok(Math.abs(numSamples - 2 * 8 * 120) < 20, `${numSamples} samples`);
  });

  test('downsamples to 5 minutes and 1 hour', async () => {
    const world = new CompactWorld();
    await world.addBlock({ from: 0, to: 336 });
    const ages = { fiveMinutesMs: 40 * HOUR_MS, oneHourMs: 240 * HOUR_MS };
    await world.compact({ downsampleAges: ages });
    const made = (await world.blocks()).map(({ thanos, stats }) => [
      thanos!.downsample.resolution,
      stats.numSamples,
    ]);
    assert.deepEqual(made, [
      [0, 2 * 336 * 60],
      [300_000, 2 * 336 * 12],
      [3_600_000, 2 * 336],
    ]);
    assert.equal(await world.metric('thanos_compact_todo_downsample_blocks'), 0);
  });

  test('a job that needs more disk than there is free is refused, and the others go on', async () => {
    const world = new CompactWorld();
    await addBlocks(world, 5, { stepMs: 1000, labels: { cluster: 'large' } });
    await addBlocks(world, 5, { labels: { cluster: 'small' } });
    world.disk.capacityBytes = 100_000;
    await assert.rejects(world.compact(), (thrown: Error) => {
      assert.ok(thrown instanceof UnavailableError);
      assert.match(thrown.message, /cluster="large".*needs \d+ bytes of disk/);
      return true;
    });
    assert.equal(await world.ranges(), '0-2 2-4 4-6 6-8 8-10 0-8 8-10');
  });

  test('blocks that a crash left behind their successor are marked', async () => {
    const world = new CompactWorld();
    await addBlocks(world, 5);
    await world.compact();
    const [made] = await world.blocks();
    for (const id of made!.compaction.sources)
      await world.bucket.remove(`${id}/deletion-mark.json`);
    assert.equal(await world.ranges(), '0-2 0-8 2-4 4-6 6-8 8-10');
    await world.compact();
    assert.equal(await world.ranges(), '0-8 8-10');
  });

  test('a successor that is to be deleted itself takes nobody along', async () => {
    const world = new CompactWorld();
    await addBlocks(world, 5);
    await world.compact();
    const [made] = await world.blocks();
    for (const id of made!.compaction.sources)
      await world.bucket.remove(`${id}/deletion-mark.json`);
    await markBlock(world.bucket, made!.ulid, { kind: 'deletion', clock: world.clock });
    await world.compact();
    assert.equal(await world.ranges(), '0-2 2-4 4-6 6-8 8-10');
  });
});

async function putMeta(world: CompactWorld, meta: BlockMeta): Promise<void> {
  const text = printBlockMeta(meta);
  await world.bucket.upload(`${meta.ulid}/meta.json`, new TextEncoder().encode(text));
}

test('a group in quarantine is tried again when its blocks change', async () => {
  const world = new CompactWorld();
  const [, second] = await addBlocks(world, 5);
  const { maxTime } = second!;
  await putMeta(world, { ...second!, maxTime: maxTime - HOUR_MS });
  await assert.rejects(world.compact(), UnavailableError);
  assert.equal(await world.metric('thanos_compact_halted'), 1);
  const line = world.log.lines.findLast(({ level }) => level === 'error');
  assert.match(
    String(line?.fields['command']),
    new RegExp(`--id=${second!.ulid} --marker=no-compact`),
  );
  await markBlock(world.bucket, second!.ulid, { kind: 'no-compact', clock: world.clock });
  await world.compact();
  assert.equal(await world.metric('thanos_compact_halted'), 0);
  assert.equal(await world.ranges(), '0-2 2-3 4-8 8-10');
});

test('a crash at any operation loses nothing, and the next run ends as an undisturbed one', async () => {
  const build = async () => {
    const world = new CompactWorld();
    await addBlocks(world, 5);
    return world;
  };
  const undisturbed = await build();
  const want = await undisturbed.samples();
  const counting = new FaultAt(Number.POSITIVE_INFINITY, 'refuse', true);
  undisturbed.restart(counting.plan);
  await undisturbed.compact();
  assert.ok(counting.count > 50);
  for (let at = 0; at < counting.count; at += 3) {
    const fault: Fault = at % 2 === 0 ? 'tear' : 'lose-reply';
    const world = await build();
    world.restart(new FaultAt(at, fault, true).plan);
    await world.compact().catch(() => undefined);
    world.restart();
    assert.deepEqual(await world.samples(), want, `samples after ${fault} at operation ${at}`);
    await world.compact();
    assert.equal(await world.ranges(), '0-8 8-10', `blocks after ${fault} at operation ${at}`);
    assert.deepEqual(await world.samples(), want, `samples in the end, ${fault} at ${at}`);
    assert.deepEqual(await world.partial(), [], `left behind after ${fault} at ${at}`);
    const left = (await world.blocks()).map(({ ulid }) => ulid).sort();
    assert.deepEqual(await world.indexed(), left, `index after ${fault} at ${at}`);
  }
});
