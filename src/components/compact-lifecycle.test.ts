import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_DOWNSAMPLE_AGES } from '#/compact/downsample-plan.ts';
import { readMark } from '#/blocks/markers.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { CompactWorld, HOUR_MS } from './testing/compact-world.ts';

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
