import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import { ChunkRecords } from '#/tsdb/chunk-records.ts';
import type { SeriesEntry, SymbolTable } from '#/tsdb/index.ts';
import { mergeSymbols } from '#/tsdb/index-writer.ts';
import type { LabelSymbols } from '#/tsdb/index-writer.ts';
import { anyChunkSampleCount } from './aggregate-chunk.ts';
import { Downsampler } from './downsample.ts';

export interface DownsampleRequest {
  readonly block: Block;
  readonly toMs: number;
  /** Of the block to be. */
  readonly ulid: string;
  readonly disk: Disk;
  /** Where the new block's directory goes. */
  readonly directory: string;
  readonly signal?: AbortSignal;
  /** Told now and then how many series are done. */
  readonly onProgress?: (series: number) => void;
}

/**
 * Writes a block with the data of `block` at the coarser resolution `toMs`, series by series. Its meta
 * is the source's but for id, resolution, maker and what was counted anew.
 * @throws CorruptionError if the block is damaged, BadInputError unless `toMs` is coarser.
 */
export async function downsampleBlock(request: DownsampleRequest): Promise<BlockMeta> {
  const { block, toMs, ulid, disk, directory, signal, onProgress } = request;
  const { meta } = block;
  if (meta.thanos === undefined) {
    throw new BadInputError(`block ${meta.ulid}: no external labels in its meta.json`);
  }
  const downsampler = new Downsampler(meta.thanos.downsample.resolution, toMs);
  const { symbols, numbers } = mergeSymbols([block.index.symbols]);
  await using writer = await BlockWriter.open(
    {
      ulid,
      minTime: meta.minTime,
      maxTime: meta.maxTime,
      compaction: meta.compaction,
      thanos: {
        ...meta.thanos,
        downsample: { resolution: toMs },
        source: 'compactor',
        files: [],
        indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
        uploadTime: '',
      },
    },
    {
      disk,
      directory,
      symbols,
      // As upstream: counts by kind of sample stay those of the source.
      stats: ({ numSamples, numSeries, numChunks }) => ({
        ...meta.stats,
        numSamples,
        numSeries,
        numChunks,
      }),
    },
  );
  const scan = await block.scan(signal);
  const records = new ChunkRecords();
  let done = 0;
  while (scan.next() || (await scan.load())) {
    downsampler.begin();
    await scan.visitChunks((chunk) => downsampler.add(chunk));
    records.clear();
    for (const chunk of downsampler.end()) records.append(chunk, anyChunkSampleCount(chunk));
    await writer.addRecords(labelsOf(scan.entry, block.index.symbols, numbers[0]!), records);
    done++;
    if (done % PROGRESS_SERIES !== 0) continue;
    signal?.throwIfAborted();
    onProgress?.(done);
  }
  onProgress?.(done);
  return await writer.finish();
}

const PROGRESS_SERIES = 256;

/** The labels of a series as numbers of the new block's symbols, without those that are empty. */
function labelsOf(
  { symbols, labelCount }: SeriesEntry,
  table: SymbolTable,
  numbers: Uint32Array,
): LabelSymbols {
  const labels: number[] = [];
  for (let i = 0; i < 2 * labelCount; i += 2) {
    const value = table.numberOf(symbols[i + 1]!);
    if (table.hasEmpty && value === 0) continue;
    labels.push(numbers[table.numberOf(symbols[i]!)]!, numbers[value]!);
  }
  return { symbols: labels, length: labels.length };
}
