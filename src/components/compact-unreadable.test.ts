import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock } from '#/blocks/markers.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { systemClock } from '#/lib/clock.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { CompactWorld, HOUR_MS } from './testing/compact-world.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Two clusters of five blocks of two hours each. */
async function twoClusters() {
  const world = new CompactWorld();
  const blocks: BlockMeta[] = [];
  for (const cluster of ['a', 'b']) {
    for (let from = 0; from < 10; from += 2) {
      blocks.push(await world.addBlock({ from, to: from + 2, labels: { cluster } }));
    }
  }
  /** Replaces the `meta.json` of a block; gives back what it was. */
  const spoil = async ({ ulid }: BlockMeta, text: string) => {
    const before = await world.bucket.read(`${ulid}/meta.json`);
    await world.bucket.upload(`${ulid}/meta.json`, bytes(text));
    return () => world.bucket.upload(`${ulid}/meta.json`, before);
  };
  const rangesOf = async (cluster: string) => {
    const all = (await world.blocks()).filter(
      ({ thanos }) => thanos!.labels['cluster'] === cluster,
    );
    return all.map(({ compaction }) => compaction.level).join();
  };
  return { world, blocks, spoil, rangesOf };
}

describe('a block whose meta.json cannot be read', () => {
  for (const [what, text] of [
    ['is damaged', '{"version": 1, "ulid"'],
    ['is of a later version', '{"version": 9, "ulid": "?"}'],
  ] as const) {
    test(`that ${what} stops only merges around the hole that it may fill`, async () => {
      const { world, blocks, spoil, rangesOf } = await twoClusters();
      const [, missing] = blocks;
      const mend = await spoil(missing!, text);
      await assert.rejects(world.compact(), (thrown: Error) => {
        assert.ok(thrown instanceof UnavailableError);
        assert.match(thrown.message, /cluster="a".* is in quarantine/);
        return true;
      });
      const line = world.log.lines.findLast(({ level }) => level === 'error');
      assert.equal(line?.fields['kind'], 'unreadable-block');
      assert.match(String(line.fields['err']), new RegExp(`${missing!.ulid} may have: `));
      assert.match(
        String(line.fields['command']),
        new RegExp(`--id=${missing!.ulid} --marker=deletion`),
      );
      assert.equal(await world.metric('hindsight_compact_unreadable_blocks'), 1);
      assert.equal(await world.metric('thanos_compact_halted'), 1);
      await mend();
      assert.deepEqual([await rangesOf('a'), await rangesOf('b')], ['1,1,1,1,1', '2,1']);
      await world.compact();
      assert.equal(await rangesOf('a'), '2,1');
      assert.equal(await world.metric('hindsight_compact_unreadable_blocks'), 0);
    });
  }

  test('that was given up stops nothing, and goes after the delay', async () => {
    const { world, blocks, spoil } = await twoClusters();
    const { ulid } = blocks[1]!;
    await spoil(blocks[1]!, '{"version": 9}');
    await markBlock(world.bucket, ulid, { kind: 'deletion', clock: world.clock });
    await world.compact();
    assert.equal(await world.metric('thanos_compact_group_compactions_total{resolution="0s"}'), 2);
    await world.clock.advance(49 * HOUR_MS);
    await world.compact();
    assert.ok(!(await world.names()).some((name) => name.startsWith(ulid)));
  });

  test('that is a successor keeps what it was made of', async () => {
    const world = new CompactWorld();
    for (let from = 0; from < 10; from += 2) await world.addBlock({ from, to: from + 2 });
    await world.compact();
    const [made] = await world.blocks();
    const name = `${made!.ulid}/meta.json`;
    const before = await world.bucket.read(name);
    await world.clock.advance(49 * HOUR_MS);
    await world.bucket.upload(name, bytes('{'));
    // Of another machine, which has never seen it whole.
    await world.disk.remove('/data');
    const sources = made!.compaction.sources.map((id) => `${id}/index`);
    await world.compact();
    const names = await world.names();
    assert.ok(
      sources.every((index) => names.includes(index)),
      'the sources are there',
    );
    await world.bucket.upload(name, before);
    await world.compact();
    const left = await world.names();
    assert.ok(!sources.some((index) => left.includes(index)), 'the sources are gone');
  });

  test('that a block would be downsampled with keeps it past its retention', async () => {
    const world = new CompactWorld();
    const old = await world.addBlock({ from: 0, to: 24 });
    const next = await world.addBlock({ from: 24, to: 48 });
    const config = {
      retentions: new Map([[Resolution.Raw, 48 * HOUR_MS]]),
      downsampleAges: { fiveMinutesMs: 40 * HOUR_MS, oneHourMs: 240 * HOUR_MS },
    };
    await world.bucket.upload(`${next.ulid}/meta.json`, bytes('{'));
    await world.compact(config);
    assert.ok(!(await world.names()).includes(`${old.ulid}/deletion-mark.json`));
    assert.equal(await world.metric('hindsight_compact_retention_held_blocks'), 1);
    await markBlock(world.bucket, next.ulid, { kind: 'deletion', clock: world.clock });
    await world.compact(config);
    assert.ok((await world.names()).includes(`${old.ulid}/deletion-mark.json`));
  });

  test('that is out of reach is waited for, but not for ever', async () => {
    const { world, blocks, rangesOf } = await twoClusters();
    const name = `${blocks[1]!.ulid}/meta.json`;
    const faults = (operation: string) =>
      operation === `bucket.read ${name}` ? ('refuse' as const) : undefined;
    world.bucket.faults = faults;
    await using _ = world.start();
    const isDone = async () => {
      world.bucket.faults = undefined;
      const levels = await rangesOf('b');
      world.bucket.faults = faults;
      return levels === '2,1';
    };
    for (let minutes = 0; minutes < 25; minutes += 5) {
      await systemClock.sleep(10);
      await world.clock.advance(5 * 60_000);
      assert.equal(await isDone(), false);
    }
    for (let attempt = 0; attempt < 50 && !(await isDone()); attempt++) {
      await systemClock.sleep(10);
      await world.clock.advance(60_000);
    }
    assert.equal(await isDone(), true);
    world.bucket.faults = undefined;
    assert.equal(await rangesOf('a'), '1,1,1,1,1');
  });
});
