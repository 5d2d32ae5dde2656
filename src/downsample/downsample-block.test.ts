import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { Labels } from '#/model/labels.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { anyChunkSampleCount } from './aggregate-chunk.ts';
import { downsampleBlock } from './downsample-block.ts';

const RAW = '01HERP1T00B6GR48QH7ECGPZ10';
const FINE = '01HERP1T00B6GR48QH7ECGPZ11';

test('a downsampled block is its source but for id, resolution, maker and counts', async () => {
  const disk = new MemoryDisk();
  const builder = new BlockBuilder();
  for (let series = 0; series < 600; series++) {
    const samples = builder.samples(Labels.fromObject({ __name__: 'up', series: `${series}` }));
    for (let i = 0; i < 30; i++) samples.pushFloat(i * 60_000, series === 7 ? Number.NaN : i);
  }
  await builder.write(disk, '/blocks', {
    ulid: RAW,
    maxTime: 7_200_000,
    thanos: {
      labels: { cluster: 'a' },
      downsample: { resolution: 0 },
      source: 'sidecar',
      segmentFiles: [],
      files: [],
      rewrites: [],
      indexStats: { seriesMaxSize: 3, chunkMaxSize: 4 },
      extensions: { keep: 'me' },
      uploadTime: '2026-01-01T00:00:00Z',
    },
  });
  const block = await Block.open(disk, `/blocks/${RAW}`);
  const seen: number[] = [];
  const meta = await downsampleBlock({
    block,
    toMs: Resolution.FiveMinutes,
    ulid: FINE,
    disk,
    directory: '/made',
    onProgress: (series) => seen.push(series),
  });
  assert.equal(seen.at(-1), 600);
  // The series of NaNs alone is left out.
  assert.deepEqual(meta.stats, {
    ...block.meta.stats,
    numSeries: 599,
    numChunks: 599,
    numSamples: 599 * 6,
  });
  assert.deepEqual(meta.thanos, {
    ...block.meta.thanos,
    downsample: { resolution: 300_000 },
    source: 'compactor',
    segmentFiles: ['000001'],
    files: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    uploadTime: '',
  });
  assert.deepEqual(meta.compaction, block.meta.compaction);
  assert.deepEqual([meta.minTime, meta.maxTime], [0, 7_200_000]);
  const made = await Block.open(disk, `/made/${FINE}`);
  let windows = 0;
  for await (const batch of streamSeries(made)) {
    for (const { chunks } of batch)
      for (const chunk of chunks) windows += anyChunkSampleCount(chunk);
  }
  assert.equal(windows, 599 * 6);
});
