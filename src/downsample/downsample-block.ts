import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
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
      symbols: block.index.symbols,
      sampleCount: anyChunkSampleCount,
      // As upstream: counts by kind of sample stay those of the source.
      stats: ({ numSamples, numSeries, numChunks }) => ({
        ...meta.stats,
        numSamples,
        numSeries,
        numChunks,
      }),
    },
  );
  let done = 0;
  for await (const batch of streamSeries(block, signal)) {
    for (const { labels, chunks } of batch) {
      await writer.addSeries(labels, downsampler.series(chunks));
    }
    done += batch.length;
    onProgress?.(done);
  }
  return await writer.finish();
}
