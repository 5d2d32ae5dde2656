import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#/lib/random.ts';
import { isUlid, newUlid } from '#/lib/ulid.ts';
import { newMatcher } from '#/model/matcher.ts';
import { emptyStats, parseBlockMeta, printBlockMeta } from './block-meta.ts';
import type { BlockMeta } from './block-meta.ts';
import {
  appliedDeletions,
  commonRewrites,
  originalSources,
  rewriteEntry,
  rewriteSource,
  rewrittenSources,
} from './block-rewrites.ts';
import { allTime } from './series-deletion.ts';

const random = seededRandom(1);
const [a, b, c] = [1, 2, 3].map((time) => newUlid(time, random)) as [string, string, string];
const fresh = () => rewriteSource(9, random);

function block(
  sources: readonly string[],
  { resolution = 0, rewrites = [] as readonly unknown[] } = {},
): BlockMeta {
  return {
    ulid: newUlid(5, random),
    version: 1,
    minTime: 0,
    maxTime: 1000,
    stats: emptyStats,
    compaction: { level: 1, sources, deletable: false, parents: [], failed: false, hints: [] },
    thanos: {
      labels: {},
      downsample: { resolution },
      source: '',
      segmentFiles: [],
      files: [],
      rewrites,
      indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
      uploadTime: '',
    },
  };
}

test('a block that was written anew has all sources of the old one and one more', () => {
  const source = fresh();
  assert.ok(isUlid(source));
  const sources = rewrittenSources(block([a, b]), source, []);
  assert.deepEqual(sources, [a, b, source].sort());
  assert.deepEqual(originalSources(block(sources)), [a, b]);
});

test('a downsampled block has the sources of finer ones that were written anew before it', () => {
  const [first, second, own] = [fresh(), fresh(), fresh()];
  const finer = [block([a, first]), block([b, c, second])];
  const sources = rewrittenSources(block([a, b], { resolution: 300_000 }), own, finer);
  assert.deepEqual(sources, [a, b, first, own].sort());
  assert.deepEqual(rewrittenSources(block([a, b]), own, finer), [a, b, own].sort());
});

test('what was deleted is told by rewrites, in the JSON of Thanos', () => {
  const old = block([a]);
  const deletion = { id: b, matchers: [newMatcher('=~', 'job', 'x.*')], intervals: [allTime] };
  const entry = rewriteEntry(old, [deletion, { ...deletion, id: c }]);
  const printed = printBlockMeta(block([a], { rewrites: [entry] }));
  const read = parseBlockMeta(printed, 'meta.json');
  assert.deepEqual([...appliedDeletions(read)], [b, c]);
  assert.deepEqual(read.thanos?.rewrites, [
    {
      sources: [a],
      deletions_applied: [b, c].map((id) => ({
        matchers: [{ Type: 2, Name: 'job', Value: 'x.*' }],
        intervals: [{ Mint: 0, Maxt: 999 }],
        request_id: id,
      })),
    },
  ]);
});

test('a merged block tells what was deleted from all of its inputs', () => {
  const deleted = (...ids: string[]) => {
    const deletions = ids.map((id) => ({ id, matchers: [], intervals: [allTime] }));
    return block([a], { rewrites: deletions.map((one) => rewriteEntry(block([a]), [one])) });
  };
  const merged = block([a], { rewrites: commonRewrites([deleted(a, b), deleted(b, c)]) });
  assert.deepEqual([...appliedDeletions(merged)], [b]);
  assert.deepEqual(commonRewrites([deleted(a, b), deleted()]), []);
  assert.deepEqual(commonRewrites([]), []);
});

test('rewrites of another make say nothing of deletions', () => {
  const odd = [
    null,
    7,
    { deletions_applied: 'x' },
    { deletions_applied: [null, { request_id: 1 }] },
  ];
  assert.equal(appliedDeletions(block([a], { rewrites: odd })).size, 0);
});
