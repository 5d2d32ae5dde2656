import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { emptyStats, Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { planDownsampling } from './downsample-plan.ts';
import { groupBlocks, resolutionLabel } from './grouper.ts';
import { planCompaction, planGuarded } from './planner.ts';
import { groupBacklog } from './progress.ts';

const HOUR = 3_600_000;

const idAt = (timeMs: number, seed = 1) => newUlid(timeMs, seededRandom(seed));

interface Options {
  readonly resolution?: number;
  readonly tombstones?: number;
  readonly failed?: boolean;
  readonly indexBytes?: number;
  readonly sources?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly extensions?: unknown;
}

/** A block of `[from, to)` hours, named by them. */
function block(from: number, to: number, options: Options = {}): BlockMeta {
  const ulid = idAt(1_000_000 + from * 1000 + to, 1 + (options.resolution ?? 0));
  const { resolution = 0, tombstones = 0, failed = false, indexBytes = 10 } = options;
  return {
    ulid,
    version: 1,
    minTime: from * HOUR,
    maxTime: to * HOUR,
    stats: { ...emptyStats, numTombstones: tombstones, numSeries: 99 },
    compaction: {
      level: 1,
      sources: options.sources ?? [ulid],
      deletable: false,
      parents: [],
      failed,
      hints: [],
    },
    thanos: {
      ...emptyThanosMeta,
      labels: options.labels ?? { cluster: 'a' },
      downsample: { resolution },
      files: [{ relPath: 'index', sizeBytes: indexBytes }],
      ...(options.extensions === undefined ? {} : { extensions: options.extensions }),
    },
  };
}

const hours = (blocks: readonly BlockMeta[]) =>
  blocks.map(({ minTime, maxTime }) => `${minTime / HOUR}-${maxTime / HOUR}`).join(' ');

/** Blocks of two hours beginning at the given ones. */
const twoHours = (...starts: number[]) => starts.map((from) => block(from, from + 2));

function planned(blocks: readonly BlockMeta[], excluded: readonly BlockMeta[] = []): string {
  const noCompact = new Set(excluded.map(({ ulid }) => ulid));
  return hours(planCompaction({ blocks, noCompact }));
}

test('nothing is merged across a hole that a coarser block has data of', () => {
  const raw = [0, 16, 24, 32, 48, 56].map((from) => block(from, from + 8));
  const plan = (coarser: readonly BlockMeta[]) =>
    hours(planCompaction({ blocks: raw, noCompact: new Set(), coarser }));
  assert.equal(plan([]), '0-8 16-24 24-32 32-40');
  assert.equal(plan([block(8, 16, { resolution: Resolution.FiveMinutes })]), '16-24 24-32 32-40');
  assert.equal(
    plan([block(0, 8, { resolution: Resolution.FiveMinutes })]),
    '0-8 16-24 24-32 32-40',
  );
});

test('a group knows the times of which its stream has coarser blocks', () => {
  const coarse = block(0, 48, { resolution: Resolution.FiveMinutes });
  const other = block(0, 48, { resolution: Resolution.OneHour, labels: { cluster: 'b' } });
  const [raw, fiveMinutes] = groupBlocks([block(48, 50), coarse, other]).filter(
    ({ labels }) => labels['cluster'] === 'a',
  );
  assert.deepEqual(raw?.coarser, [coarse]);
  assert.deepEqual(fiveMinutes?.coarser, []);
});

test('nothing to plan: no blocks, one block, a range that is not over', () => {
  assert.equal(planned([]), '');
  assert.equal(planned(twoHours(0)), '');
  assert.equal(planned(twoHours(0, 2, 4)), '');
});

test('a full range is planned once a newer block is there', () => {
  assert.equal(planned(twoHours(0, 2, 4, 6)), '');
  assert.equal(planned(twoHours(0, 2, 4, 6, 8)), '0-2 2-4 4-6 6-8');
});

test('a range with gaps is planned once newer blocks begin after it', () => {
  assert.equal(planned(twoHours(0, 4, 8)), '');
  assert.equal(planned(twoHours(0, 4, 8, 10)), '0-2 4-6');
});

test('smaller ranges go first, then larger ones', () => {
  const eights = [0, 8, 16, 24, 32, 40].map((from) => block(from, from + 8));
  assert.equal(planned([...eights, ...twoHours(48, 50)]), hours(eights));
  assert.equal(
    planned([...eights, ...twoHours(48, 50, 52, 54, 56, 58)]),
    '48-50 50-52 52-54 54-56',
  );
});

test('blocks that pass an aligned range are left where they are', () => {
  assert.equal(planned([block(3, 9), ...twoHours(9, 11, 24, 26)]), '9-11 11-13');
});

test('a block marked as not to be compacted parts its range', () => {
  const blocks = twoHours(0, 2, 4, 6, 8);
  assert.equal(planned(blocks, [blocks[1]!]), '4-6 6-8');
  assert.equal(planned(blocks, [blocks[2]!]), '0-2 2-4');
  assert.equal(planned(blocks, [blocks[1]!, blocks[2]!]), '');
});

test('a range with a block that failed before is passed over', () => {
  const blocks = [...twoHours(0, 2, 4), block(6, 8, { failed: true }), ...twoHours(8)];
  assert.equal(planned(blocks), '');
});

test('blocks that overlap go before all else, the newest included', () => {
  assert.equal(planned([block(0, 2), block(1, 3), block(2, 4), block(4, 6)]), '0-2 1-3 2-4');
  assert.equal(planned([...twoHours(0, 2, 4, 6), block(6, 8)]), '6-8 6-8');
  const blocks = [block(0, 2), block(1, 3)];
  assert.equal(planned(blocks, [blocks[1]!]), '');
});

test('a large block with many tombstones is written anew by itself', () => {
  assert.equal(planned([block(0, 48, { tombstones: 6 }), block(48, 50)]), '0-48');
  assert.equal(planned([block(0, 48, { tombstones: 5 }), block(48, 50)]), '');
  assert.equal(planned([block(0, 2, { tombstones: 60 }), block(2, 4)]), '');
});

test('times before 1970 lie in aligned ranges too', () => {
  assert.equal(planned(twoHours(-8, -6, -4, -2, 0)), '-8--6 -6--4 -4--2 -2-0');
});

test('when indexes would be too large together, the largest is marked and left out', async () => {
  const blocks = [
    block(0, 2, { indexBytes: 40 }),
    block(2, 4, { indexBytes: 50 }),
    block(4, 6, { indexBytes: 0 }),
    block(6, 8, { indexBytes: 1 }),
    block(8, 10),
  ];
  const { plan, marks } = await planGuarded(
    { blocks, noCompact: new Set() },
    { maxIndexBytes: 100, indexBytes: () => Promise.resolve(5) },
  );
  assert.deepEqual(
    marks.map(({ block: marked, reason }) => [hours([marked]), reason]),
    [['2-4', 'index-size-exceeding']],
  );
  assert.equal(hours(plan), '4-6 6-8');
});

test('downsampled blocks that overlap are marked, not merged', async () => {
  const blocks = [0, 0].map((from) => block(from, 48, { resolution: Resolution.FiveMinutes }));
  const { plan, marks } = await planGuarded(
    { blocks: [blocks[0]!, { ...blocks[1]!, ulid: idAt(5) }], noCompact: new Set() },
    { maxIndexBytes: 1e9, indexBytes: () => Promise.resolve(0) },
  );
  assert.equal(plan.length, 0);
  assert.deepEqual(
    marks.map(({ reason }) => reason),
    ['downsample-vertical-compaction', 'downsample-vertical-compaction'],
  );
});

test('groups are by labels and resolution; common extensions stay', () => {
  const groups = groupBlocks([
    block(2, 4, { extensions: { keep: 2, mine: 1 } }),
    block(0, 2, { extensions: { keep: 1, own: 1 } }),
    block(4, 6),
    block(0, 2, { labels: { cluster: 'b' } }),
    block(0, 48, { resolution: Resolution.OneHour }),
  ]);
  const described = groups.map(({ name, blocks }) => `${name} ${hours(blocks)}`);
  assert.deepEqual(
    new Set(described),
    new Set(['0@{cluster="a"} 0-2 2-4 4-6', '0@{cluster="b"} 0-2', '3600000@{cluster="a"} 0-48']),
  );
  const extensions = groups.map((group) => group.extensions).filter((one) => one !== undefined);
  assert.deepEqual(extensions, [{ keep: 1 }]);
  assert.match(groups[0]!.key, /^\d+@[0-9a-f]{16}$/);
});

test('resolutions are printed as Go prints durations', () => {
  assert.deepEqual([0, 300_000, 3_600_000].map(resolutionLabel), ['0s', '5m0s', '1h0m0s']);
});

test('the backlog plays compactions through to the end', () => {
  const starts = Array.from({ length: 26 }, (_, i) => 2 * i);
  const [group] = groupBlocks(twoHours(...starts));
  // Six of eight hours and one of two days.
  assert.deepEqual(groupBacklog(group!, { noCompact: new Set() }), {
    jobs: 7,
    blocks: 24 + 6,
    // Each block of two hours has ten, and all go through two levels.
    bytes: 2 * 24 * 10,
    oldestMs: 8 * HOUR,
    neededDiskBytes: 2 * 24 * 10,
  });
});

test('a block is downsampled if it is large enough and an ancestor is not covered yet', () => {
  const large = block(0, 40);
  const [first, second] = [idAt(1), idAt(2)];
  const both = block(48, 96, { sources: [first, second] });
  const jobs = (blocks: readonly BlockMeta[], marked: readonly BlockMeta[] = []) => {
    const ids = new Set(marked.map(({ ulid }) => ulid));
    return planDownsampling(blocks, ids).map(
      (job) => `${hours([job.block])} ${job.toMs / 60_000}m`,
    );
  };
  assert.deepEqual(jobs([large, block(40, 79), both]), ['0-40 5m', '48-96 5m']);
  assert.deepEqual(jobs([large], [large]), []);
  const fine = { resolution: Resolution.FiveMinutes };
  assert.deepEqual(jobs([both, block(48, 72, { ...fine, sources: [first] })]), ['48-96 5m']);
  assert.deepEqual(jobs([both, block(48, 96, { ...fine, sources: [first, second] })]), []);
  assert.deepEqual(jobs([block(0, 240, fine), block(240, 479, fine)]), ['0-240 60m']);
});
