import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { metaName } from '#/blocks/block-files.ts';
import { DeduplicateFilter } from '#/blocks/filters.ts';
import { markBlock } from '#/blocks/markers.ts';
import { BadInputError } from '#/lib/errors.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { allTime } from '#/tsdb/series-deletion.ts';
import { bucketToolInMemory, never, START_MS } from '../testing/bucket-tool.ts';
import { rewriteBlocks } from './bucket-rewrite.ts';
import type { RewriteConfig } from './bucket-rewrite.ts';
import { fetchBlocks } from './bucket-tool.ts';
import { parseDeletions } from './rewrite-config.ts';

const config: Omit<RewriteConfig, 'ids'> = {
  temporaryDirectory: '/tmp',
  dryRun: false,
  promBlocks: false,
  deleteBlocks: false,
  hashFunction: '',
  deletions: parseDeletions('--rewrite.to-delete-config', `- matchers: up{instance="0"}`),
  relabeling: [],
  addChangeLog: true,
};
const LINE = `Deleted {__name__="up", instance="0"} [{${START_MS} ${START_MS + 119 * 60_000}}]\n`;

function worldWithBlock() {
  const world = bucketToolInMemory();
  const { bucket, disk } = world;
  const metaOf = (id: string) =>
    parseBlockMeta(new TextDecoder().decode(bucket.peek(metaName(id))), id);
  return {
    ...world,
    /** Of the block that was made of `old`. */
    made: async (old: BlockMeta): Promise<BlockMeta | undefined> => {
      const ids = new Set(bucket.names.map((name) => name.split('/')[0]!));
      const id = [...ids].find((one) => one !== old.ulid && one !== 'hindsight');
      return id === undefined ? undefined : metaOf(id);
    },
    changeLog: async (id: string) =>
      new TextDecoder().decode(await disk.read(`/tmp/${id}/change.log`)),
  };
}

describe('tools bucket rewrite', () => {
  test('a new block stands beside the old one, and is its own source', async () => {
    const world = worldWithBlock();
    const old = await world.addBlock({ slot: 0 });
    assert.equal(await rewriteBlocks({ ...config, ids: [old.ulid] }, world.tool), 0);
    const made = await world.made(old);
    assert.ok(made !== undefined);
    assert.deepEqual(made.compaction, { ...old.compaction, sources: [made.ulid] });
    assert.equal(made.stats.numSeries, 2);
    assert.equal(made.thanos?.source, 'bucket.rewrite');
    assert.deepEqual(made.thanos?.labels, old.thanos?.labels);
    const matchers = [
      { Type: 0, Name: 'instance', Value: '0' },
      { Type: 0, Name: '__name__', Value: 'up' },
    ];
    assert.deepEqual(made.thanos?.rewrites, [
      { sources: old.compaction.sources, deletions_applied: [{ matchers }] },
    ]);
    assert.equal(await world.changeLog(made.ulid), LINE);
    assert.ok(!world.bucket.names.some((name) => name.endsWith('change.log')));
    assert.equal(world.bucket.peek(`${old.ulid}/deletion-mark.json`), undefined);
  });

  test('with --delete-blocks it takes the place of the old one at once', async () => {
    const world = worldWithBlock();
    const old = await world.addBlock({ slot: 0 });
    await markBlock(world.bucket, old.ulid, { kind: 'no-compact', clock: world.clock });
    await rewriteBlocks({ ...config, ids: [old.ulid], deleteBlocks: true }, world.tool);
    const made = await world.made(old);
    assert.deepEqual(made?.compaction.sources, old.compaction.sources);
    assert.ok(world.bucket.peek(`${old.ulid}/deletion-mark.json`) !== undefined);
    assert.ok(world.bucket.peek(`${made?.ulid}/no-compact-mark.json`) !== undefined);
    const filter = new DeduplicateFilter();
    const { metas } = await fetchBlocks(world.tool, [filter], never);
    assert.deepEqual(
      metas.map(({ ulid }) => ulid),
      [made?.ulid],
    );
    assert.deepEqual([...filter.duplicates], [[old.ulid, made?.ulid]]);
  });

  test('a dry run prints what would change, and writes nothing', async () => {
    const world = worldWithBlock();
    const old = await world.addBlock({ slot: 0 });
    const before = [...world.bucket.names];
    await rewriteBlocks({ ...config, ids: [old.ulid], dryRun: true }, world.tool);
    assert.equal(world.text(), LINE);
    assert.deepEqual([...world.bucket.names], before);
  });

  test('a block without such series stays, one of nothing else is not made anew', async () => {
    const world = worldWithBlock();
    const old = await world.addBlock({ slot: 0, series: 1 });
    const nothing = parseDeletions('--rewrite.to-delete-config', `- matchers: '{pod!="x"}'`);
    const ids = [old.ulid];
    await rewriteBlocks({ ...config, ids, deletions: nothing, deleteBlocks: true }, world.tool);
    assert.equal(await world.made(old), undefined);
    assert.equal(world.bucket.peek(`${old.ulid}/deletion-mark.json`), undefined);
    await rewriteBlocks({ ...config, ids, deleteBlocks: true }, world.tool);
    assert.equal(await world.made(old), undefined);
    assert.ok(world.bucket.peek(`${old.ulid}/deletion-mark.json`) !== undefined);
  });

  test('relabeling goes first', async () => {
    const world = worldWithBlock();
    const old = await world.addBlock({ slot: 0 });
    const relabeling = [{ action: 'replace', target_label: 'instance', replacement: '0' }];
    await rewriteBlocks({ ...config, ids: [old.ulid], relabeling }, world.tool);
    const made = await world.made(old);
    assert.equal(made?.stats.numSeries, 1);
    const [, up] = (await world.changeLog(made.ulid)).split('\n');
    assert.equal(up, 'Relabelled {__name__="up", instance="2"} {__name__="up", instance="0"}');
  });
});

test('deletions are read as Thanos has them', () => {
  const text = `
- matchers: 'up{job!="a"}'
  intervals: [{mint: 1, maxt: 5}]
  request_id: x
- matchers: '{job="b"}'
`;
  const read = parseDeletions('--rewrite.to-delete-config', text);
  assert.deepEqual(
    read.map(({ id, intervals }) => ({ id, intervals })),
    [
      { id: 'x', intervals: [{ mint: 1, maxt: 5 }] },
      { id: undefined, intervals: [allTime] },
    ],
  );
  const wrong: [text: string, message: RegExp][] = [
    ['- matchers: "{job"', /line 1, column 13: .*no selector of series/],
    ['- matchers: "{}"\n  interval: []', /line 2, column 3: .*interval/],
  ];
  for (const [broken, message] of wrong) {
    assert.throws(
      () => parseDeletions('--rewrite.to-delete-config', broken),
      (thrown: Error) => thrown instanceof BadInputError && message.test(thrown.message),
    );
  }
});
