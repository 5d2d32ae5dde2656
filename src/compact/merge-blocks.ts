import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { anyChunkSampleCount } from '#/downsample/aggregate-chunk.ts';
import type { Disk } from '#/lib/disk.ts';
import { Labels } from '#/model/labels.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { ChunkRecords } from '#/tsdb/chunk-records.ts';
import { mergeSymbols } from '#/tsdb/index-writer.ts';
import { joinIntervals } from '#/tsdb/tombstones.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import { MergeInput } from './merge-input.ts';
import { SeriesMerger } from './merge-series.ts';
import type { SeriesPart } from './merge-series.ts';
import { SeriesMerge } from './series-merge.ts';

export interface MergeRequest {
  /** By min time. */
  readonly blocks: readonly Block[];
  /** Of the block to be; samples outside its range are left out. */
  readonly identity: BlockIdentity;
  /** How samples of overlapping chunks become one series. */
  readonly algorithm: DedupAlgorithm;
  readonly disk: Disk;
  readonly directory: string;
  readonly signal?: AbortSignal;
  /** Told now and then how many samples were read. */
  readonly onProgress?: (samples: number) => void;
}

export interface MergeResult {
  /** `undefined` when no sample was left: then no block was written. */
  readonly meta: BlockMeta | undefined;
  /** Samples of all inputs, before deduplication and deletion. */
  readonly samplesRead: number;
  /** Those of them that are not in the new block: deleted ones, copies, and what replicas had twice. */
  readonly samplesDropped: number;
}

/**
 * Merges blocks into one, series by series in the order of their labels. Chunks that need no merging
 * are copied as they are, in the order of the files. Memory follows the symbols, the series' numbers
 * and the one series in flight, besides about a megabyte per input; disk holds the inputs and the
 * output.
 * @throws CorruptionError if an input is damaged.
 */
export async function mergeBlocks(request: MergeRequest): Promise<MergeResult> {
  const { blocks, identity, algorithm, disk, directory, signal, onProgress } = request;
  const { symbols, numbers } = mergeSymbols(blocks.map(({ index }) => index.symbols));
  await using writer = await BlockWriter.open(identity, { disk, directory, symbols });
  const replicas = replicasOf(blocks);
  const inputs: MergeInput[] = [];
  for (const [i, block] of blocks.entries()) {
    inputs.push(new MergeInput(block, await block.scan(signal), numbers[i]!, replicas[i]!));
  }
  const outside = outsideOf(identity);
  const records = new ChunkRecords();
  const merger = new SeriesMerger(algorithm);
  const merged = new SeriesMerge(inputs);
  let samplesRead = 0;
  let reported = 0;
  while (await merged.next()) {
    const { parts } = merged;
    records.clear();
    if (areInRow(parts, identity)) {
      for (const { scan } of parts) {
        const reading = scan.copyChunks(records, anyChunkSampleCount);
        if (reading !== undefined) await reading;
      }
      samplesRead += records.samples;
    } else {
      const read: SeriesPart[] = [];
      for (const { scan, blockEnd, replica } of parts) {
        const chunks = await scan.readChunks();
        for (const chunk of chunks) samplesRead += anyChunkSampleCount(chunk);
        const own = withoutNextBlocks(chunks, blockEnd);
        read.push({ chunks: own, deleted: withOutside(scan.deleted, own, outside), replica });
      }
      merger.startSeries();
      for (const chunk of merger.merge(read)) {
        records.append(chunk, anyChunkSampleCount(chunk));
      }
    }
    const writing = writer.addRecords(merged.labels, records);
    if (writing !== undefined) await writing;
    if (samplesRead - reported < PROGRESS_SAMPLES) continue;
    signal?.throwIfAborted();
    reported = samplesRead;
    onProgress?.(samplesRead);
  }
  onProgress?.(samplesRead);
  const samplesDropped = samplesRead - writer.sampleCount;
  if (writer.sampleCount === 0) return { meta: undefined, samplesRead, samplesDropped };
  return { meta: await writer.finish(), samplesRead, samplesDropped };
}

const PROGRESS_SAMPLES = 1_000_000;

/** For each block the number of its replica: blocks of one have the same external labels. */
function replicasOf(blocks: readonly Block[]): number[] {
  const known = new Map<string, number>();
  return blocks.map(({ meta }) => {
    const { key } = Labels.fromObject(meta.thanos?.labels ?? {});
    return known.getOrInsert(key, known.size);
  });
}

/**
 * Whether nothing has to be done with the chunks of a series but to put one behind the other, as with
 * most: the times in the index tell.
 */
function areInRow(parts: readonly MergeInput[], { minTime, maxTime }: BlockIdentity): boolean {
  let last = minTime - 1;
  for (const { scan, blockEnd } of parts) {
    if (scan.deleted.length > 0) return false;
    const { mints, maxts, chunkCount } = scan.entry;
    for (let i = 0; i < chunkCount; i++) {
      if (mints[i]! <= last) return false;
      last = maxts[i]!;
    }
    if (chunkCount > 0 && last > blockEnd) return false;
  }
  return last < maxTime;
}

function outsideOf({ minTime, maxTime }: BlockIdentity): readonly [Interval, Interval] {
  return [
    { mint: Number.NEGATIVE_INFINITY, maxt: minTime - 1 },
    { mint: maxTime, maxt: Number.POSITIVE_INFINITY },
  ];
}

/** Deleted ranges, and what lies outside of the block to be, if a chunk does. */
function withOutside(
  deleted: readonly Interval[],
  chunks: readonly TimedChunk[],
  [before, after]: readonly [Interval, Interval],
): readonly Interval[] {
  const passes = chunks.some(({ mint, maxt }) => mint <= before.maxt || maxt >= after.mint);
  return passes ? joinIntervals([before, ...deleted, after]) : deleted;
}

/**
 * Without chunks that begin right where their block ends, and pass it: an old Prometheus wrote them,
 * and the next block has their samples (https://github.com/prometheus/tsdb/issues/347).
 */
function withoutNextBlocks(chunks: readonly TimedChunk[], blockEnd: number): readonly TimedChunk[] {
  const last = chunks.at(-1);
  if (last === undefined || last.maxt <= blockEnd) return chunks;
  return chunks.filter(({ mint, maxt }) => mint < blockEnd || maxt <= blockEnd);
}
