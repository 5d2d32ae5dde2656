import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { decodeChunk } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import type { Interval } from './tombstones.ts';

/** A chunk with the ranges of its series that were deleted, in time order. */
export interface SourceChunk {
  readonly chunk: TimedChunk;
  readonly deleted: readonly Interval[];
}

/**
 * Appends the samples of chunks of one series within `[mint, maxt]` to `into`, without the deleted
 * ones, in time order and one a timestamp. Chunks may come in any order and overlap; among equal
 * timestamps the sample of the earlier chunk in `sources` wins.
 * @throws CorruptionError if a chunk is damaged.
 */
export function mergeChunks(
  sources: readonly SourceChunk[],
  range: Interval,
  into: SampleBuffer,
): void {
  const wanted = sources
    .map((source, order) => ({ ...source, order }))
    .filter(({ chunk }) => chunk.mint <= range.maxt && chunk.maxt >= range.mint)
    .sort((a, b) => a.chunk.mint - b.chunk.mint || a.order - b.order);
  for (let i = 0; i < wanted.length;) {
    // A run of chunks that overlap, each with one before it.
    let end = i + 1;
    let maxt = wanted[i]!.chunk.maxt;
    while (end < wanted.length && wanted[end]!.chunk.mint <= maxt) {
      maxt = Math.max(maxt, wanted[end]!.chunk.maxt);
      end++;
    }
    const run = wanted.slice(i, end);
    if (run.length === 1) appendChunk(run[0]!, range, into);
    else
      mergeRun(
        run.sort((a, b) => a.order - b.order),
        range,
        into,
      );
    i = end;
  }
}

function appendChunk({ chunk, deleted }: SourceChunk, range: Interval, into: SampleBuffer): void {
  for (const { mint, maxt } of keptRanges(deleted, range)) decodeChunk(chunk, mint, maxt, into);
}

/** What is left of `range` without the deleted intervals. */
function keptRanges(deleted: readonly Interval[], range: Interval): Interval[] {
  const kept: Interval[] = [];
  let { mint } = range;
  for (const interval of deleted) {
    if (interval.maxt < mint) continue;
    if (interval.mint > range.maxt) break;
    if (interval.mint > mint) kept.push({ mint, maxt: interval.mint - 1 });
    mint = interval.maxt + 1;
  }
  if (mint <= range.maxt) kept.push({ mint, maxt: range.maxt });
  return kept;
}

/** Merges overlapping chunks, two at a time; the run is in order of precedence. */
function mergeRun(run: readonly SourceChunk[], range: Interval, into: SampleBuffer): void {
  let merged = decoded(run[0]!, range);
  for (const source of run.slice(1)) merged = mergeTwo(merged, decoded(source, range));
  into.pushRange(merged, 0, merged.length);
}

function decoded(source: SourceChunk, range: Interval): SampleBuffer {
  const buffer = new SampleBuffer(256);
  appendChunk(source, range, buffer);
  return buffer;
}

function mergeTwo(first: SampleBuffer, second: SampleBuffer): SampleBuffer {
  const merged = new SampleBuffer(first.length + second.length);
  let previous: SampleBuffer | undefined;
  for (let i = 0, k = 0; i < first.length || k < second.length;) {
    const left = i < first.length ? first.times[i]! : Number.POSITIVE_INFINITY;
    const right = k < second.length ? second.times[k]! : Number.POSITIVE_INFINITY;
    const source = left <= right ? first : second;
    merged.pushFrom(source, left <= right ? i : k);
    if (source !== previous) forgetCounterReset(merged);
    previous = source;
    if (left <= right) i++;
    if (right <= left) k++;
  }
  return merged;
}

/** What a histogram says of the sample before it no longer holds when that is another chunk's. */
function forgetCounterReset(samples: SampleBuffer): void {
  const last = samples.length - 1;
  const histogram = samples.histograms?.[last];
  if (histogram === undefined || histogram.counterReset === CounterReset.Gauge) return;
  const forgotten: FloatHistogram = { ...histogram, counterReset: CounterReset.Unknown };
  samples.histograms![last] = forgotten;
}
