import { CounterTotal } from '#/downsample/counter.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { AggregateChunk, EncodedChunk } from '#/storeapi/store.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { AggregateChoice } from '../aggregates.ts';

/** Columns that one reader reuses for chunk after chunk. */
export class ChunkScratch {
  readonly first = new SampleBuffer();
  readonly second = new SampleBuffer();
}

/** Told of a chunk that cannot be read: it throws, or the chunk is left out. */
export type OnDamage = (chunk: AggregateChunk, thrown: CorruptionError) => void;

/**
 * Appends the samples of `[mint, maxt]` of chunks that follow each other: of each the chosen column
 * or the raw samples. Where chunks overlap after all, the earlier one's samples are kept.
 * A chunk that is damaged or lacks the column goes to `onDamage`, and none of its samples are taken.
 */
export function readChunks(
  chunks: readonly AggregateChunk[],
  choice: AggregateChoice,
  { mint, maxt }: { readonly mint: number; readonly maxt: number },
  into: SampleBuffer,
  scratch: ChunkScratch,
  onDamage: OnDamage,
): void {
  for (const chunk of chunks) {
    if (chunk.maxt < mint || chunk.mint > maxt) continue;
    const from = Math.max(mint, lastTime(into) + 1);
    const start = into.length;
    try {
      readChunk(chunk, choice, { from, maxt }, into, scratch);
      checkOrder(into, start);
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
      into.startTimes?.fill(0, start, into.length);
      into.length = start;
      onDamage(chunk, thrown);
    }
  }
}

function readChunk(
  chunk: AggregateChunk,
  choice: AggregateChoice,
  { from, maxt }: { readonly from: number; readonly maxt: number },
  into: SampleBuffer,
  scratch: ChunkScratch,
): void {
  const part = choice === 'average' ? chunk.raw : (chunk[choice] ?? chunk.raw);
  if (part !== undefined) decodeChunk(part, from, maxt, into);
  else if (choice === 'average') readAverages(chunk, from, maxt, into, scratch);
  else throw new CorruptionError('no valid chunk found');
}

/** −Infinity for an empty buffer. */
function lastTime({ times, length }: SampleBuffer): number {
  return length === 0 ? Number.NEGATIVE_INFINITY : times[length - 1]!;
}

/** Chunks come from outside; everything behind this point relies on their order. */
function checkOrder({ times, length }: SampleBuffer, start: number): void {
  for (let i = Math.max(1, start); i < length; i++) {
    if (times[i]! > times[i - 1]!) continue;
    throw new CorruptionError(
      `chunk has a sample at ${times[i]} behind one at ${times[i - 1]}: times must increase`,
    );
  }
}

function readAverages(
  { sum, count }: AggregateChunk,
  from: number,
  maxt: number,
  into: SampleBuffer,
  scratch: ChunkScratch,
): void {
  if (sum === undefined || count === undefined) throw new CorruptionError('no valid chunk found');
  const sums = decoded(sum, from, maxt, scratch.first);
  const counts = decoded(count, from, maxt, scratch.second);
  if (sums.length !== counts.length) {
    throw new CorruptionError('sum and count iterator not aligned');
  }
  for (let i = 0; i < sums.length; i++) {
    const time = sums.times[i]!;
    if (time !== counts.times[i]) {
      throw new CorruptionError('sum and count timestamps not aligned');
    }
    const histogram = sums.histograms?.[i];
    if (histogram === undefined) into.pushFloat(time, sums.values[i]! / counts.values[i]!);
    else into.pushHistogram(time, divided(histogram, counts.values[i]!));
  }
}

function decoded(part: EncodedChunk, mint: number, maxt: number, into: SampleBuffer): SampleBuffer {
  into.clear();
  decodeChunk(part, mint, maxt, into);
  return into;
}

function divided(histogram: FloatHistogram, by: number): FloatHistogram {
  return {
    ...histogram,
    zeroCount: histogram.zeroCount / by,
    count: histogram.count / by,
    sum: histogram.sum / by,
    positiveBuckets: histogram.positiveBuckets.map((bucket) => bucket / by),
    negativeBuckets: histogram.negativeBuckets.map((bucket) => bucket / by),
  };
}

/**
 * Appends a counter's running total over `[mint, maxt]`, resets made up for, from the first sample
 * of `chunks` on.
 */
export function readTotals(
  chunks: readonly AggregateChunk[],
  { mint, maxt }: { readonly mint: number; readonly maxt: number },
  into: SampleBuffer,
  scratch: ChunkScratch,
  onDamage: OnDamage,
): void {
  const counter = new CounterTotal();
  for (const chunk of chunks) {
    const samples = scratch.first;
    try {
      const part = chunk.counter ?? chunk.raw;
      if (part === undefined) throw new CorruptionError('no valid chunk found');
      decoded(part, MIN_TIME, maxt, samples);
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
      onDamage(chunk, thrown);
      continue;
    }
    for (let i = 0; i < samples.length; i++) {
      const time = samples.times[i]!;
      if (samples.histograms?.[i] !== undefined) {
        if (counter.skipTo(time) && time >= mint) into.pushFrom(samples, i);
      } else if (counter.add(time, samples.values[i]!) && time >= mint) {
        into.pushFloat(time, counter.total);
      }
    }
  }
}
