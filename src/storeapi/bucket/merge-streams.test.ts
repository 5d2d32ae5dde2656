import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels } from '#/model/labels.ts';
import type { SeriesBatch, StoreSeries } from '../store.ts';
import { mergeStreams } from './merge-streams.ts';

function series(id: number, mint: number): StoreSeries {
  const labels = Labels.fromObject({ id: String(id).padStart(3, '0') });
  return {
    labels,
    chunks: [{ mint, maxt: mint + 1, raw: { encoding: 1, data: Uint8Array.of(mint) } }],
  };
}

async function* batchesOf(
  items: readonly StoreSeries[],
  size: number,
): AsyncGenerator<SeriesBatch, void> {
  for (let i = 0; i < items.length; i += size) {
    yield { series: items.slice(i, i + size), warnings: [] };
    await Promise.resolve();
  }
}

test('mergeStreams() gives each label set once, in order, with the chunks of all streams', async () => {
  const stream = fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(stream, { maxLength: 5 }),
      fc.integer({ min: 1, max: 7 }),
      async (ids, size) => {
        const streams = ids.map((own, i) =>
          batchesOf(
            own.toSorted((a, b) => a - b).map((id) => series(id, i)),
            size,
          ),
        );
        const merged: StoreSeries[] = [];
        for await (const batch of mergeStreams(streams)) merged.push(...batch.series);
        const want = [...new Set(ids.flat())].sort((a, b) => a - b);
        assert.deepEqual(
          merged.map(({ labels }) => Number(labels.get('id'))),
          want,
        );
        for (const { labels, chunks } of merged) {
          const holders = ids.flatMap((own, i) =>
            own.includes(Number(labels.get('id'))) ? [i] : [],
          );
          assert.deepEqual(
            chunks.map(({ mint }) => mint),
            holders,
          );
        }
      },
    ),
  );
});

test('leaving early closes every stream', async () => {
  let closed = 0;
  async function* endless(): AsyncGenerator<SeriesBatch, void> {
    try {
      for (let id = 0; ; id++) {
        yield { series: [series(id, id)], warnings: [] };
        await Promise.resolve();
      }
    } finally {
      closed++;
    }
  }
  for await (const batch of mergeStreams([endless(), endless()])) {
    assert.ok(batch.series.length > 0);
    break;
  }
  assert.equal(closed, 2);
});
