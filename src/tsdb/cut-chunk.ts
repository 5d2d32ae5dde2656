import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, isHistogramEncoding } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { encodeSamples, SAMPLES_PER_CHUNK } from './chunk-encoder.ts';
import { mergeChunks } from './merge-chunks.ts';
import type { Interval } from './tombstones.ts';

/**
 * What is left of a chunk, which is no downsampled one, without the samples in `deleted` (in time order,
 * apart): the chunk as it is if nothing is deleted of it, else encoded anew, mostly as one.
 * @throws CorruptionError if a chunk that must be written anew is damaged.
 */
export function withoutRanges(
  chunk: TimedChunk,
  deleted: readonly Interval[],
): readonly TimedChunk[] {
  const touching = deleted.filter(({ mint, maxt }) => mint <= chunk.maxt && maxt >= chunk.mint);
  if (touching.length === 0) return [chunk];
  const covers = touching.some(({ mint, maxt }) => mint <= chunk.mint && maxt >= chunk.maxt);
  if (covers) return [];
  const samples = new SampleBuffer(2 * SAMPLES_PER_CHUNK);
  mergeChunks([{ chunk, deleted: touching }], { mint: MIN_TIME, maxt: MAX_TIME }, samples);
  const { encoding } = chunk;
  const isInteger = encoding === ChunkEncoding.Histogram || encoding === ChunkEncoding.HistogramSt;
  return encodeSamples(samples, {
    samplesPerChunk: 0xffff,
    ...(isHistogramEncoding(encoding) && !isInteger ? { floatHistograms: true } : {}),
  });
}
