import type { Labels } from '#/model/labels.ts';
import type { Block, BlockSeries } from './block.ts';
import type { TimedChunk } from './chunk.ts';
import type { Interval } from './tombstones.ts';

/** A series of a block with its chunks. */
export interface SeriesChunks {
  readonly labels: Labels;
  /** In time order; views into what was read. */
  readonly chunks: readonly TimedChunk[];
  /** Deleted ranges whose samples are still in the chunks, in time order. */
  readonly deleted: readonly Interval[];
}

/** Chunks of series that are read at once, a few hundred KB of them; one series' are never parted. */
const CHUNKS_AT_ONCE = 1024;

/**
 * All series of a block with their chunks, in label order, a few hundred KB at a time.
 * @throws CorruptionError if the index or a chunk is damaged.
 */
export async function* streamSeries(
  block: Block,
  signal?: AbortSignal,
): AsyncGenerator<readonly SeriesChunks[], void> {
  for await (const series of block.seriesBatches(signal)) {
    for (const part of partsOf(series)) yield await withChunks(block, part, signal);
  }
}

function* partsOf(series: readonly BlockSeries[]): Generator<readonly BlockSeries[], void> {
  let start = 0;
  let chunks = 0;
  for (const [i, one] of series.entries()) {
    if (chunks > 0 && chunks + one.chunks.length > CHUNKS_AT_ONCE) {
      yield series.slice(start, i);
      start = i;
      chunks = 0;
    }
    chunks += one.chunks.length;
  }
  if (start < series.length) yield series.slice(start);
}

async function withChunks(
  block: Block,
  series: readonly BlockSeries[],
  signal: AbortSignal | undefined,
): Promise<SeriesChunks[]> {
  const all = await block.readChunks(
    series.flatMap(({ chunks }) => chunks),
    signal,
  );
  let next = 0;
  return series.map(({ labels, deleted, chunks }) => ({
    labels,
    deleted,
    chunks: all.slice(next, (next += chunks.length)),
  }));
}
