import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { emptyThanosMeta, writeLocalMeta } from '#/blocks/block-files.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { writeUncheckedIndex } from '#/tsdb/unchecked-index.ts';
import type { UncheckedSeries } from '#/tsdb/unchecked-index.ts';
import { completeBlock } from './complete-block.ts';
import { repairBlock } from './repair-block.ts';

const signal = new AbortController().signal;
const HOUR_MS = 3_600_000;
const ID = '01HWRY2K805NNDTFEKG2HVJKGG';

/** A block of two hours, two series with a sample a minute, in chunks of an hour. */
async function writeBlock(disk: MemoryDisk): Promise<BlockMeta> {
  const builder = new BlockBuilder();
  for (const instance of ['1', '2']) {
    const samples = builder.samples(Labels.fromObject({ __name__: 'up', instance }));
    for (let at = 0; at < 2 * HOUR_MS; at += 60_000) samples.pushFloat(at, at / 1000);
  }
  return builder.write(disk, '/work', {
    ulid: ID,
    minTime: 0,
    maxTime: 2 * HOUR_MS,
    samplesPerChunk: 60,
    thanos: { ...emptyThanosMeta, labels: { cluster: 'a' } },
  });
}

/** Gives the block another index: of the same chunks, in whatever order and number. */
async function damage(
  disk: MemoryDisk,
  change: (series: readonly UncheckedSeries[]) => readonly UncheckedSeries[],
): Promise<void> {
  const block = await Block.open(disk, `/work/${ID}`);
  const series = (await block.allSeries()).map(({ labels, chunks }) => ({
    labels: [...labels].map(({ name, value }) => [name, value] as const),
    chunks,
  }));
  await disk.write(`/work/${ID}/index`, writeUncheckedIndex(change(series)));
}

async function repaired(disk: MemoryDisk, block: BlockMeta) {
  const ulid = newUlid(0, seededRandom(3));
  const dropped = await repairBlock({ disk, directory: '/work', block, ulid, signal });
  await completeBlock(disk, `/work/${ulid}`, [block], signal);
  return { dropped, block: await Block.open(disk, `/work/${ulid}`) };
}

async function samplesOf(block: Block): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for await (const batch of streamSeries(block)) {
    for (const { labels, chunks } of batch) {
      const buffer = new SampleBuffer();
      for (const chunk of chunks) decodeChunk(chunk, 0, Infinity, buffer);
      found.set(labels.toMetricString(), [...buffer.times.subarray(0, buffer.length)]);
    }
  }
  return found;
}

describe('repairBlock()', () => {
  const mendable: [
    what: string,
    issue: RegExp | undefined,
    change: (series: readonly UncheckedSeries[]) => readonly UncheckedSeries[],
    duplicates: number,
  ][] = [
    [
      'chunks that are there twice',
      undefined, // by itself harmless
      (all) => all.map(({ labels, chunks: [a, b] }) => ({ labels, chunks: [a!, a!, b!, b!] })),
      4,
    ],
    [
      'chunks in another order',
      /out-of-order chunks/,
      (all) => all.map(({ labels, chunks }) => ({ labels, chunks: chunks.toReversed() })),
      0,
    ],
    [
      'labels in another order',
      /out of order labels/,
      (all) => all.map(({ labels, chunks }) => ({ labels: labels.toReversed(), chunks })),
      0,
    ],
    [
      'a series that is there twice, with other chunks',
      /out of order/,
      ([first, ...others]) => [
        ...first!.chunks.map((chunk) => ({ labels: first!.labels, chunks: [chunk] })),
        ...others,
      ],
      0,
    ],
  ];
  for (const [what, issue, change, duplicates] of mendable) {
    test(`mends ${what}, and keeps every sample`, async () => {
      const disk = new MemoryDisk();
      const meta = await writeBlock(disk);
      const want = await samplesOf(await Block.open(disk, `/work/${ID}`));
      await damage(disk, change);
      const broken = await Block.open(disk, `/work/${ID}`);
      const [found] = healthIssues(await indexHealth(broken.index, meta));
      if (issue === undefined) assert.equal(found, undefined);
      else assert.match(found!.message, issue);
      const { block, dropped } = await repaired(disk, meta);
      assert.deepEqual(await samplesOf(block), want);
      assert.deepEqual(dropped, {
        outsideChunks: 0,
        outsideSamples: 0,
        duplicateChunks: duplicates,
      });
      assert.equal(block.meta.stats.numSamples, 240);
      assert.equal(block.meta.thanos?.source, 'bucket.repair');
      assert.deepEqual(block.meta.compaction, meta.compaction);
    });
  }

  test('leaves out chunks beside the time of the block, and says how many', async () => {
    const disk = new MemoryDisk();
    const meta = await writeBlock(disk);
    const shorter = { ...meta, maxTime: HOUR_MS };
    await writeLocalMeta(disk, `/work/${ID}`, shorter);
    const { block, dropped } = await repaired(disk, shorter);
    assert.deepEqual(dropped, { outsideChunks: 2, outsideSamples: 120, duplicateChunks: 0 });
    const times = [...(await samplesOf(block)).values()];
    assert.deepEqual(
      times.map((of) => [of.length, of[0], of.at(-1)]),
      [
        [60, 0, HOUR_MS - 60_000],
        [60, 0, HOUR_MS - 60_000],
      ],
    );
  });

  test('refuses chunks that are only partly outside', async () => {
    const disk = new MemoryDisk();
    const meta = await writeBlock(disk);
    const shorter = { ...meta, maxTime: 1.5 * HOUR_MS };
    await writeLocalMeta(disk, `/work/${ID}`, shorter);
    await assert.rejects(repaired(disk, shorter), (thrown: Error) => {
      assert.ok(thrown instanceof CorruptionError);
      assert.match(thrown.message, /^series up\{instance="1"\}: chunk .* partly outside/);
      return true;
    });
    assert.deepEqual(
      (await disk.list('/work')).map(({ name }) => name),
      [ID],
    );
  });

  test('refuses different chunks of the same time', async () => {
    const disk = new MemoryDisk();
    const meta = await writeBlock(disk);
    await damage(disk, (all) =>
      all.map(({ labels, chunks: [a, b] }) => ({
        labels,
        chunks: [a!, { ...b!, mint: a!.mint, maxt: a!.maxt }],
      })),
    );
    await assert.rejects(repaired(disk, meta), /non-sequential chunks not equal: \[0, 3540000\]/);
  });

  test('refuses downsampled blocks', async () => {
    const disk = new MemoryDisk();
    const meta = await writeBlock(disk);
    const thanos = { ...meta.thanos!, downsample: { resolution: 300_000 } };
    await assert.rejects(repaired(disk, { ...meta, thanos }), /cannot repair downsampled block/);
  });
});
