import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#/lib/random.ts';
import { isUlid, newUlid } from '#/lib/ulid.ts';
import { newMatcher } from '#/model/matcher.ts';
import { emptyStats, parseBlockMeta, printBlockMeta, ownSource } from './block-meta.ts';
import type { BlockMeta } from './block-meta.ts';
import {
  appliedDeletions,
  commonRewrites,
  leanRewrites,
  rewriteEntry,
  successorId,
} from './block-rewrites.ts';
import { allTime } from './series-deletion.ts';

const [a, b, c] = ['A', 'B', 'C'] as const;

function block(rewrites: readonly unknown[]): BlockMeta {
  const ulid = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
  return {
    ulid,
    version: 1,
    minTime: 0,
    maxTime: 1000,
    stats: emptyStats,
    compaction: ownSource(ulid),
    thanos: {
      labels: {},
      downsample: { resolution: 0 },
      source: '',
      segmentFiles: [],
      files: [],
      rewrites,
      indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
      uploadTime: '',
    },
  };
}

const ids = (meta: BlockMeta) => [...appliedDeletions(meta).keys()];

test('what was deleted survives a meta.json', () => {
  const printed = printBlockMeta(block([...leanRewrites([a]), ...leanRewrites([b, c])]));
  assert.deepEqual(ids(parseBlockMeta(printed, 'meta.json')), [a, b, c]);
  assert.deepEqual(leanRewrites([]), []);
});

test('a merged block tells what was deleted from all of its inputs', () => {
  const deleted = (...of: string[]) => block(leanRewrites(of));
  assert.deepEqual(ids(block(commonRewrites([deleted(a, b), deleted(b, c)]))), [b]);
  assert.deepEqual(commonRewrites([deleted(a, b), deleted()]), []);
  assert.deepEqual(commonRewrites([]), []);
});

test('a relabeling makes the deletions before it void', () => {
  const relabeled = { relabels_applied: [{}], deletions_applied: [{ request_id: b }] };
  assert.deepEqual(ids(block([...leanRewrites([a]), relabeled])), [b]);
});

test('rewrites of another make say nothing of deletions', () => {
  const odd = [
    null,
    7,
    { deletions_applied: 'x' },
    { deletions_applied: [null, { request_id: 1 }] },
  ];
  assert.deepEqual(ids(block(odd)), []);
});

test('a block that takes the place of another sorts before it', () => {
  const random = seededRandom(1);
  const old = newUlid(1_700_000_000_000, random);
  const successor = successorId(old, random);
  assert.ok(isUlid(successor));
  assert.ok(successor < old);
  assert.ok(successorId(successor, random) < successor);
});

test('what was done is told in the JSON of Thanos', () => {
  const old = block([]);
  const matchers = [newMatcher('=~', 'job', 'x.*')];
  const entry = rewriteEntry(
    old,
    [
      { id: a, matchers, intervals: [{ mint: 5, maxt: Number.POSITIVE_INFINITY }] },
      { matchers, intervals: [allTime] },
    ],
    [{ action: 'LabelDrop', regex: 'pod' }],
  );
  const goMatchers = [{ Type: 2, Name: 'job', Value: 'x.*' }];
  assert.deepEqual(entry, {
    sources: [old.ulid],
    deletions_applied: [
      { matchers: goMatchers, intervals: [{ Mint: 5, Maxt: 999 }], request_id: a },
      { matchers: goMatchers },
    ],
    relabels_applied: [{ separator: ';', regex: 'pod', replacement: '$1', action: 'labeldrop' }],
  });
});
