import { CorruptionError } from '#/lib/errors.ts';
import type { AggregateChunk, EncodedChunk } from '#/storeapi/store.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { chunkSampleCount, isHistogramEncoding } from '#/tsdb/chunk.ts';

/** Half the way from one resolution to the other, on a scale where a gap or two does no harm. */
const LONGEST_FIVE_MINUTES = 1_800_000;

/**
 * The length in milliseconds of the windows that a chunk's samples stand for, 0 for a raw chunk. The
 * StoreAPI does not say it: it follows from the number of windows between the chunk's ends, and
 * from windows of an hour ending on the hour. A chunk of five-minute windows that are mostly missing
 * may be taken for one of hours.
 */
export function resolutionOf(chunk: AggregateChunk): number {
  if (chunk.raw !== undefined) return Resolution.Raw;
  const { mint, maxt } = chunk;
  if ((mint + 1) % Resolution.OneHour !== 0) return Resolution.FiveMinutes;
  const distance = (maxt - mint) / Math.max(1, windowsOf(chunk) - 1);
  return distance > LONGEST_FIVE_MINUTES ? Resolution.OneHour : Resolution.FiveMinutes;
}

/** A counter of floats has its first raw sample and its last beside the windows. */
function windowsOf({ count, sum, min, max, counter }: AggregateChunk): number {
  const lane = count ?? sum ?? min ?? max;
  if (lane !== undefined) return samplesOf(lane);
  if (counter === undefined) return 0;
  return samplesOf(counter) - (isHistogramEncoding(counter.encoding) ? 0 : 2);
}

/** 0 for a damaged chunk: whoever reads it reports that. */
function samplesOf(part: EncodedChunk): number {
  try {
    return chunkSampleCount(part);
  } catch (thrown) {
    if (thrown instanceof CorruptionError) return 0;
    throw thrown;
  }
}

/** The start of the window that ends at `end`, or was cut short there. */
export function windowStart(end: number, resolutionMs: number): number {
  return end - (end % resolutionMs);
}
