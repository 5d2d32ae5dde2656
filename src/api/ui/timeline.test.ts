import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import type { MarkKind } from '#/blocks/markers.ts';
import type { SeenBlock } from '#/blocks/seen-blocks.ts';
import { emptyStats } from '#/tsdb/block-meta.ts';
import { timeline } from './timeline.ts';

const HOUR_MS = 3_600_000;
let count = 0;

function block(
  from: number,
  to: number,
  {
    labels = { cluster: 'a' },
    resolution = 0,
    level = 1,
    marks = [],
  }: {
    labels?: Record<string, string>;
    resolution?: number;
    level?: number;
    marks?: MarkKind[];
  } = {},
): SeenBlock {
  return {
    meta: {
      ulid: `01HF7Y${String(count++).padStart(20, '0')}`,
      minTime: from * HOUR_MS,
      maxTime: to * HOUR_MS,
      version: 1,
      stats: emptyStats,
      compaction: { level, sources: [], deletable: false, parents: [], failed: false, hints: [] },
      thanos: { ...emptyThanosMeta, labels, downsample: { resolution } },
    },
    marks,
  };
}

function draw(blocks: readonly SeenBlock[], options: { label?: string; rangeMs?: number } = {}) {
  return timeline({ blocks, faulty: new Set(), label: '', ...options }).text;
}

function bars(text: string): string[] {
  const drawn = text.slice(text.indexOf('class="timeline"'));
  return Array.from(drawn.matchAll(/<rect class="([^"]*)" x="([^"]*)" y="([^"]*)"/g), (match) =>
    match.slice(1).join(' '),
  );
}

describe('timeline', () => {
  test('has a row for each stream, and a line for each resolution and overlap in it', () => {
    const text = draw([
      block(0, 8, { level: 2 }),
      block(8, 10),
      block(4, 6),
      block(0, 10, { resolution: 300_000, level: 2 }),
      block(0, 10, { labels: { cluster: 'b' } }),
    ]);
    assert.deepEqual(bars(text), [
      'r0 l2 0 2',
      'r0 l1 800 2',
      'r0 l1 400 14',
      'r1 l2 0 26',
      'r0 l1 0 2',
    ]);
    assert.match(text, /4 blocks of \{cluster=&quot;a&quot;\}/);
    assert.match(text, /1 block of \{cluster=&quot;b&quot;\}/);
  });

  test('says in a title what a block is, and shows marks and faults', () => {
    const [marked, faulty] = [block(0, 8, { marks: ['deletion', 'no-compact'] }), block(8, 16)];
    const text = timeline({
      blocks: [marked, faulty],
      faulty: new Set([faulty.meta.ulid]),
      label: '',
    }).text;
    assert.deepEqual(bars(text), ['r0 l1 deleted alone 0 2', 'r0 l1 faulty 500 2']);
    assert.ok(text.includes(`<title>${marked.meta.ulid}\n1970-01-01 00:00 UTC – `));
    assert.ok(text.includes('marked: deletion\nmarked: no-compact</title>'));
  });

  test('names rows by one label, and escapes what labels say', () => {
    const nasty = '<img src=x onerror="alert(1)">';
    const text = draw([block(0, 2, { labels: { cluster: nasty, zone: 'z' } })], {
      label: 'cluster',
    });
    assert.ok(!text.includes('<img'));
    assert.ok(text.includes('<span>&lt;img src=x onerror=&quot;alert(1)&quot;&gt;</span>'));
  });

  test('shows the last of the time that is asked for', () => {
    const text = draw([block(0, 2), block(100, 102)], { rangeMs: 50 * HOUR_MS });
    assert.deepEqual(bars(text), ['r0 l1 960 2']);
  });

  test('draws no more than a browser likes, however many blocks there are', () => {
    const blocks = Array.from({ length: 250 }, (_, stream) =>
      Array.from({ length: 60 }, (__, i) =>
        block(2 * i, 2 * i + 2, { labels: { cluster: `c${stream}` } }),
      ),
    ).flat();
    const text = draw(blocks);
    const drawn = bars(text).length;
    assert.ok(drawn > 1000 && drawn <= 5000, `${drawn} bars`);
    assert.match(text, /Not shown: 50 streams with 3,000 blocks/);
    assert.match(text, /<title>\d+ blocks\n/);
  });

  test('is calm about nothing, and about times that make no sense', () => {
    assert.match(draw([]), /There are no blocks/);
    assert.match(draw([block(5, 5)]), /There are no blocks/);
    const far = block(0, 2);
    const text = draw([{ ...far, meta: { ...far.meta, maxTime: 2 ** 62 } }]);
    assert.match(text, /outside of time/);
  });
});
