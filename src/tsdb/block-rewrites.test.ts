import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyStats, parseBlockMeta, printBlockMeta } from './block-meta.ts';
import type { BlockMeta } from './block-meta.ts';
import { appliedDeletions, commonRewrites, leanRewrites } from './block-rewrites.ts';

const [a, b, c] = ['A', 'B', 'C'] as const;

function block(rewrites: readonly unknown[]): BlockMeta {
  const ulid = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
  return {
    ulid,
    version: 1,
    minTime: 0,
    maxTime: 1000,
    stats: emptyStats,
    compaction: {
      level: 1,
      sources: [ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
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
