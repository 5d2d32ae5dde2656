import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { writeTombstones } from '#/tsdb/tombstones.ts';
import { mergeBlocks } from './merge-blocks.ts';
import { mergedIdentity } from './merged-meta.ts';

/** Series by name, each with its samples in time order. */
type Contents = Readonly<Record<string, readonly (readonly [time: number, value: number])[]>>;

const HOUR = 3_600_000;
const random = seededRandom(3);

async function writeBlock(
  disk: MemoryDisk,
  contents: Contents,
  from: number,
  labels: Readonly<Record<string, string>> = {},
): Promise<Block> {
  const builder = new BlockBuilder();
  for (const [name, samples] of Object.entries(contents)) {
    const buffer = builder.samples(Labels.fromObject({ __name__: name }));
    for (const [time, value] of samples) buffer.pushFloat(time, value);
  }
  const ulid = newUlid(from, random);
  const thanos = { ...emptyThanosMeta, labels };
  await builder.write(disk, '/in', { ulid, minTime: from, maxTime: from + 2 * HOUR, thanos });
  return Block.open(disk, `/in/${ulid}`);
}

async function merge(
  disk: MemoryDisk,
  blocks: readonly Block[],
  algorithm: DedupAlgorithm = 'chain',
) {
  const ulid = newUlid(99 * HOUR, random);
  const metas = blocks.map(({ meta }) => meta);
  const identity = mergedIdentity(ulid, metas, { ...emptyThanosMeta, labels: { a: 'b' } });
  const result = await mergeBlocks({ blocks, identity, algorithm, disk, directory: '/out' });
  const block = result.meta && (await Block.open(disk, `/out/${ulid}`));
  return { ...result, block };
}

async function contentsOf(block: Block): Promise<Contents> {
  const contents: Record<string, [number, number][]> = {};
  for (const { labels, chunks } of (await Array.fromAsync(streamSeries(block))).flat()) {
    const samples = new SampleBuffer();
    for (const chunk of chunks) decodeChunk(chunk, -Infinity, Infinity, samples);
    contents[labels.get('__name__')] = Array.from({ length: samples.length }, (_, i) => [
      samples.times[i]!,
      samples.values[i]!,
    ]);
  }
  return contents;
}

function every(stepMs: number, from: number, to: number, value = (i: number) => i) {
  return Array.from({ length: Math.ceil((to - from) / stepMs) }, (_, i) => {
    return [from + i * stepMs, value(i)] as const;
  });
}

test('blocks in a row: chunks are kept byte for byte, series of all blocks are there', async () => {
  const disk = new MemoryDisk();
  const first = await writeBlock(disk, { a: every(15_000, 0, 2 * HOUR), c: [[5, 1]] }, 0);
  const second = await writeBlock(
    disk,
    { a: every(15_000, 2 * HOUR, 4 * HOUR), b: [[3 * HOUR, 2]] },
    2 * HOUR,
  );
  const { meta, block, samplesRead } = await merge(disk, [first, second]);
  assert.equal(samplesRead, 962);
  assert.equal(meta?.stats.numSamples, 962);
  assert.deepEqual(
    meta.compaction.parents.map(({ ulid }) => ulid),
    [first.meta.ulid, second.meta.ulid],
  );
  assert.deepEqual([meta.minTime, meta.maxTime, meta.compaction.level], [0, 4 * HOUR, 2]);
  const series = (await Array.fromAsync(streamSeries(block!))).flat();
  assert.deepEqual(
    series.map(({ labels }) => labels.get('__name__')),
    ['a', 'b', 'c'],
  );
  const inputs = [first, second].map(
    async (input) => (await Array.fromAsync(streamSeries(input))).flat()[0]!,
  );
  const chunks = (await Promise.all(inputs)).flatMap((input) => input.chunks);
  assert.deepEqual(
    series[0]!.chunks.map(({ data }) => Buffer.from(data).toString('hex')),
    chunks.map(({ data }) => Buffer.from(data).toString('hex')),
  );
});

test('blocks that overlap: the chained merge is the union of their samples, one a time', async () => {
  const points = fc
    .uniqueArray(fc.integer({ min: 0, max: 7_199_999 }), { minLength: 1, maxLength: 300 })
    .map((times) => times.sort((a, b) => a - b).map((time) => [time, time % 7] as const));
  await fc.assert(
    fc.asyncProperty(fc.array(points, { minLength: 2, maxLength: 4 }), async (inputs) => {
      const disk = new MemoryDisk();
      const blocks = [];
      for (const samples of inputs) blocks.push(await writeBlock(disk, { a: samples }, 0));
      const { block } = await merge(disk, blocks);
      const union = new Map(inputs.flat());
      const want = [...union].sort(([a], [b]) => a - b);
      assert.deepEqual(await contentsOf(block!), { a: want });
      assert.deepEqual(healthIssues(await indexHealth(block!.index, block!.meta)), []);
    }),
    { numRuns: 30 },
  );
});

// Thanos's penalty leaves out a sample where a chunk ends, now and then.
for (const [algorithm, missing] of [
  ['penalty', 12],
  ['sticky', 3],
] as const) {
  test(`replicas merged by ${algorithm} become one series at one replica's pace`, async () => {
    const disk = new MemoryDisk();
    const a = every(15_000, 0, 2 * HOUR);
    const withGap = a.filter(([time]) => time < 600_000 || time > 1_200_000);
    const one = await writeBlock(disk, { a: withGap }, 0);
    const other = await writeBlock(disk, { a: every(15_000, 4_000, 2 * HOUR) }, 0);
    const { block } = await merge(disk, [one, other], algorithm);
    const { a: got } = await contentsOf(block!);
    assert.ok(Math.abs(got!.length - a.length) <= missing, `${got!.length} samples`);
    const widest = Math.max(...got!.slice(1).map(([time], i) => time - got![i]![0]));
    assert.ok(widest <= 45_000, `${widest} ms between samples`);
  });
}

test('sticky follows one replica from block to block', async () => {
  const disk = new MemoryDisk();
  const blocks: Block[] = [];
  for (let from = 0; from < 8 * HOUR; from += 2 * HOUR) {
    const end = from + 2 * HOUR;
    for (const [replica, phase] of [
      ['a', 5_000],
      ['b', 21_000],
    ] as const) {
      blocks.push(
        await writeBlock(disk, { x: every(30_000, from + phase, end) }, from, { replica }),
      );
    }
  }
  const { block } = await merge(disk, blocks, 'sticky');
  const { x } = await contentsOf(block!);
  const wanted = every(30_000, 5_000, 8 * HOUR).map(([time]) => time);
  const last = 8 * HOUR - 9_000;
  assert.deepEqual(
    x!.map(([time]) => time),
    [...wanted, last],
  );
});

test('copies of a chunk count once, and its bytes stay', async () => {
  const disk = new MemoryDisk();
  const samples = { a: every(15_000, 0, 2 * HOUR) };
  const blocks = [await writeBlock(disk, samples, 0), await writeBlock(disk, samples, 0)];
  const { meta, samplesRead } = await merge(disk, blocks);
  assert.equal(samplesRead, 960);
  assert.equal(meta!.stats.numSamples, 480);
  assert.equal(meta!.stats.numChunks, 4);
});

test('deleted samples are gone, and a block of nothing else is none', async () => {
  const disk = new MemoryDisk();
  const { meta } = await writeBlock(disk, { a: every(60_000, 0, HOUR), b: [[7, 7]] }, 0);
  const index = (await Block.open(disk, `/in/${meta.ulid}`)).index;
  const [first, second] = await index.allPostings();
  const stones = new Map([
    [first!, [{ mint: 600_000, maxt: 1_200_000 }]],
    [second!, [{ mint: 0, maxt: HOUR }]],
  ]);
  await disk.write(`/in/${meta.ulid}/tombstones`, writeTombstones(stones));
  const { block } = await merge(disk, [await Block.open(disk, `/in/${meta.ulid}`)]);
  assert.deepEqual(await contentsOf(block!), {
    a: every(60_000, 0, HOUR).filter(([time]) => time < 600_000 || time > 1_200_000),
  });
  await disk.write(
    `/in/${meta.ulid}/tombstones`,
    writeTombstones(new Map([...stones.keys()].map((id) => [id, [{ mint: 0, maxt: HOUR }]]))),
  );
  const nothing = await merge(disk, [await Block.open(disk, `/in/${meta.ulid}`)]);
  assert.equal(nothing.meta, undefined);
  assert.deepEqual((await disk.list('/out')).length, 1);
});
