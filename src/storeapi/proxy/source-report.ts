import { CorruptionError } from '#/lib/errors.ts';
import type { SourceReport } from '#/storage/queryable.ts';
import { chunkSampleCount } from '#/tsdb/chunk.ts';
import type { AggregateChunk, EncodedChunk } from '../store.ts';
import type { Collected } from './collect.ts';

/** An endpoint's answer in numbers. A series in several pieces counts once for each. */
export function sourceReport(answer: Collected, durationMs: number): SourceReport {
  const chunks = answer.series.flatMap((series) => series.chunks);
  return {
    address: answer.endpoint.address,
    durationMs,
    bytes: answer.bytes,
    responses: answer.frames,
    series: answer.series.length,
    chunks: chunks.length,
    samples: chunks.reduce((sum, chunk) => sum + samplesIn(chunk), 0),
  };
}

/** The samples of an aggregate chunk are those of any of its columns. */
function samplesIn({ raw, count, sum, min, max, counter }: AggregateChunk): number {
  const part = raw ?? count ?? sum ?? min ?? max ?? counter;
  return part === undefined ? 0 : statedCount(part);
}

/** What the header of a chunk states; 0 for a damaged one, which is reported where it is read. */
function statedCount(part: EncodedChunk): number {
  try {
    return chunkSampleCount(part);
  } catch (thrown) {
    if (thrown instanceof CorruptionError) return 0;
    throw thrown;
  }
}
