import { isDeepStrictEqual } from 'node:util';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { compareLabels, Labels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockSeries } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import { areEqualChunks, chunkSampleCount } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { indexHealth } from '#/tsdb/index-health.ts';
import { mergeChunks } from '#/tsdb/merge-chunks.ts';
import { resolutionOf } from './downsample-plan.ts';

export interface RepairRequest {
  readonly disk: Disk;
  /** Has the block in a directory of its ULID; the repaired one gets one beside it. */
  readonly directory: string;
  readonly block: BlockMeta;
  /** Of the block to be. */
  readonly ulid: string;
  readonly signal: AbortSignal;
}

/** What is not in the repaired block, and need not be. */
export interface Dropped {
  /** Chunks that lie outside of the block's time range altogether, or begin where it ends. */
  outsideChunks: number;
  outsideSamples: number;
  /** Chunks with the very bytes of the one ahead. */
  duplicateChunks: number;
}

/**
 * Writes a block anew without what is wrong with its index: chunks and labels are put in order, series
 * that are there twice become one, and what `Dropped` counts is left out. Then all samples that are
 * left are compared with those of the original.
 *
 * As Thanos it does not guess: chunks of one time range with different bytes, overlapping ones, and
 * ones that only reach outside of the block cannot be repaired. Other than Thanos, it keeps the
 * samples of all series with equal labels, not only the first one's.
 *
 * Memory follows the series' symbols; if labels are out of order, all places of chunks too.
 * Source: Repair in pkg/block/index.go of Thanos.
 * @throws CorruptionError if the block cannot be repaired.
 */
export async function repairBlock(request: RepairRequest): Promise<Dropped> {
  const { disk, directory, block: meta, ulid, signal } = request;
  if (resolutionOf(meta) > 0) throw new CorruptionError('cannot repair downsampled block');
  const original = await Block.open(disk, `${directory}/${meta.ulid}`, signal);
  if (original.tombstones.size > 0) {
    throw new CorruptionError('cannot repair a block with tombstones: they name series by place');
  }
  const dropped: Dropped = { outsideChunks: 0, outsideSamples: 0, duplicateChunks: 0 };
  const { minTime, maxTime, compaction } = meta;
  const thanos = meta.thanos && { ...meta.thanos, source: 'bucket.repair', files: [] };
  const identity = { ulid, minTime, maxTime, compaction, ...(thanos && { thanos }) };
  const symbols = original.index.symbols;
  await using writer = await BlockWriter.open(identity, { disk, directory, symbols });
  for await (const { labels, chunks } of seriesInOrder(original, signal)) {
    const kept = sanitize(chunks, meta, dropped);
    if (typeof kept === 'string') {
      throw new CorruptionError(`series ${labels.toMetricString()}: ${kept}`);
    }
    await writer.addSeries(labels, kept);
  }
  if (writer.sampleCount === 0) {
    throw new CorruptionError('no chunk of the block lies within its time range');
  }
  await writer.finish();
  await checkSamples(original, await Block.open(disk, `${directory}/${ulid}`, signal), signal);
  return dropped;
}

interface OneSeries extends Pick<BlockSeries, 'labels'> {
  readonly chunks: readonly TimedChunk[];
}

/** All series in the order of their labels, each once, whatever order the block has them in. */
async function* seriesInOrder(block: Block, signal: AbortSignal): AsyncGenerator<OneSeries, void> {
  let last: BlockSeries | undefined;
  for await (const batch of batchesInOrder(block, signal)) {
    for (const series of batch) {
      if (last !== undefined && compareLabels(last.labels, series.labels) === 0) {
        last = { ...last, chunks: [...last.chunks, ...series.chunks] };
        continue;
      }
      if (last !== undefined) yield await withChunks(block, last, signal);
      last = series;
    }
  }
  if (last !== undefined) yield await withChunks(block, last, signal);
}

async function withChunks(
  block: Block,
  { labels, chunks }: BlockSeries,
  signal: AbortSignal,
): Promise<OneSeries> {
  return { labels, chunks: await block.readChunks(chunks, signal) };
}

async function* batchesInOrder(
  block: Block,
  signal: AbortSignal,
): AsyncGenerator<readonly BlockSeries[], void> {
  const { outOfOrderLabels, broken } = await indexHealth(block.index, block.meta, signal);
  if (outOfOrderLabels === 0 && broken === undefined) yield* block.seriesBatches(signal);
  else {
    const all = await block.allSeries(signal);
    const sorted = all.map((series) => ({ ...series, labels: Labels.from(series.labels) }));
    yield sorted.sort((a, b) => compareLabels(a.labels, b.labels));
  }
}

/** The chunks to keep, in the order of time; or why that cannot be told. */
function sanitize(
  chunks: readonly TimedChunk[],
  { minTime, maxTime }: BlockMeta,
  dropped: Dropped,
): TimedChunk[] | string {
  const kept: TimedChunk[] = [];
  for (const chunk of chunks.toSorted((a, b) => a.mint - b.mint)) {
    const { mint, maxt } = chunk;
    const last = kept.at(-1);
    if (mint >= maxTime || maxt < minTime) {
      dropped.outsideChunks++;
      dropped.outsideSamples += chunkSampleCount(chunk);
    } else if (mint < minTime || maxt > maxTime) {
      return `chunk [${mint}, ${maxt}] is partly outside of the block's time range [${minTime}, ${maxTime}]`;
    } else if (last === undefined || mint > last.maxt) kept.push(chunk);
    else if (areEqualChunks(last, chunk)) dropped.duplicateChunks++;
    else {
      return `non-sequential chunks not equal: [${last.mint}, ${last.maxt}] and [${mint}, ${maxt}]`;
    }
  }
  return kept;
}

/**
 * Compares, series by series, the samples within the block's time range by their bits.
 * @throws CorruptionError if any differs: the repaired block must not be used.
 */
async function checkSamples(original: Block, repaired: Block, signal: AbortSignal): Promise<void> {
  const { minTime, maxTime } = original.meta;
  const range = { mint: minTime, maxt: maxTime - 1 };
  const found = seriesInOrder(repaired, signal);
  const [want, got] = [new SampleBuffer(), new SampleBuffer()];
  const read = ({ chunks }: OneSeries, into: SampleBuffer) => {
    into.clear();
    mergeChunks(
      chunks.map((chunk) => ({ chunk, deleted: [] })),
      range,
      into,
    );
  };
  for await (const series of seriesInOrder(original, signal)) {
    read(series, want);
    if (want.length === 0) continue;
    let next = await found.next();
    while (next.done !== true && compareLabels(next.value.labels, series.labels) < 0) {
      next = await found.next();
    }
    if (next.done === true || compareLabels(next.value.labels, series.labels) !== 0) {
      throw new CorruptionError(`the repaired block has lost ${series.labels.toMetricString()}`);
    }
    read(next.value, got);
    if (isEqual(want, got)) continue;
    throw new CorruptionError(
      `the repaired block has other samples of ${series.labels.toMetricString()}`,
    );
  }
}

function isEqual(a: SampleBuffer, b: SampleBuffer): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a.times[i] !== b.times[i]) return false;
    if (a.startTimes?.[i] !== b.startTimes?.[i]) return false;
    const [left, right] = [a.histograms?.[i], b.histograms?.[i]];
    if (left !== undefined || right !== undefined) {
      if (!isDeepStrictEqual(left, right)) return false;
    } else if (a.halves[2 * i] !== b.halves[2 * i] || a.halves[2 * i + 1] !== b.halves[2 * i + 1]) {
      return false;
    }
  }
  return true;
}
