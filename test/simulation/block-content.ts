import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { Block } from '#/tsdb/block.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { EncodedChunk, TimedChunk } from '#/tsdb/chunk.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';

/** What a series of a block is made of. */
export interface WantedSeries {
  /** Time to value. */
  readonly samples: Map<number, number>;
  /** Whether all samples must be in it, or only those that a choice between replicas has left. */
  readonly isWhole: boolean;
  /** What is older may have been taken out. */
  readonly keptFromMs: number;
}

/** What is wrong with a block that should have those series, by the keys of their labels, and no others. */
export async function contentProblem(
  block: Block,
  wanted: ReadonlyMap<string, WantedSeries>,
  resolutionMs: number,
): Promise<string | undefined> {
  const missing = new Set(wanted.keys());
  for await (const batch of streamSeries(block)) {
    for (const { labels, chunks } of batch) {
      const name = labels.toMetricString();
      const series = wanted.get(labels.key);
      if (series === undefined) return `there should be no series ${name}`;
      missing.delete(labels.key);
      const problem =
        resolutionMs === Resolution.Raw
          ? rawProblem(chunks, series)
          : windowProblem(chunks, series, resolutionMs);
      if (problem !== undefined) return `${name} ${problem}`;
    }
  }
  for (const key of missing) {
    const { isWhole, samples, keptFromMs } = wanted.get(key)!;
    const step = Math.max(1, resolutionMs);
    // Of a window that lost a part nothing need be there.
    if (isWhole && neededOf(samples.keys(), Math.ceil(keptFromMs / step) * step) > 0)
      return `series ${key} is missing`;
  }
  return undefined;
}

/** How many of the times are those of samples that must be there. */
function neededOf(times: Iterable<number>, keptFromMs: number): number {
  let needed = 0;
  for (const time of times) if (time >= keptFromMs) needed++;
  return needed;
}

const buffer = new SampleBuffer();

function decoded(chunk: EncodedChunk): SampleBuffer {
  buffer.clear();
  decodeChunk(chunk, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, buffer);
  return buffer;
}

function rawProblem(
  chunks: readonly TimedChunk[],
  { samples, isWhole, keptFromMs }: WantedSeries,
): string | undefined {
  let found = 0;
  let needed = 0;
  let last = Number.NEGATIVE_INFINITY;
  for (const chunk of chunks) {
    const { times, values, length } = decoded(chunk);
    for (let i = 0; i < length; i++, found++) {
      const time = times[i]!;
      if (time >= keptFromMs) needed++;
      if (time <= last || samples.get(time) !== values[i]) return `has ${values[i]} at ${time}`;
      last = time;
    }
  }
  const wanted = neededOf(samples.keys(), keptFromMs);
  if (needed === wanted || (!isWhole && found > 0)) return undefined;
  return `has ${needed} samples instead of ${wanted}`;
}

interface Window {
  count: number;
  sum: number;
  min: number;
  max: number;
}

/** Counts, sums, minima and maxima of all windows must be those of the samples in them. */
function windowProblem(
  chunks: readonly TimedChunk[],
  { samples, isWhole, keptFromMs }: WantedSeries,
  resolutionMs: number,
): string | undefined {
  if (!isWhole) return undefined;
  const wanted = windowsOf(samples, resolutionMs);
  const found = new Map<number, Partial<Window>>();
  for (const { data } of chunks) {
    const lanes = readAggregateChunk(data);
    for (const lane of ['count', 'sum', 'min', 'max'] as const) {
      const part = lanes[lane];
      if (part === undefined) return `has no ${lane}`;
      const { times, values, length } = decoded(part);
      for (let i = 0; i < length; i++) {
        const start = times[i]! - (times[i]! % resolutionMs);
        const window = found.getOrInsertComputed(start, () => ({}));
        if (window[lane] !== undefined) return `has two values of ${lane} in window ${start}`;
        window[lane] = values[i]!;
      }
    }
  }
  for (const [start, { count, sum, min, max }] of wanted) {
    const got = found.get(start);
    found.delete(start);
    // A deletion may have taken a part of what the window was to be made of.
    if (start < keptFromMs) continue;
    if (got?.count === count && got.sum === sum && got.min === min && got.max === max) continue;
    return `has ${JSON.stringify(got)} instead of ${JSON.stringify(wanted.get(start))} at ${start}`;
  }
  return found.size === 0 ? undefined : `has ${found.size} windows too many`;
}

function windowsOf(
  samples: ReadonlyMap<number, number>,
  resolutionMs: number,
): Map<number, Window> {
  const windows = new Map<number, Window>();
  for (const [time, value] of samples) {
    const start = time - (time % resolutionMs);
    const window = windows.get(start);
    if (window === undefined) windows.set(start, { count: 1, sum: value, min: value, max: value });
    else {
      window.count++;
      window.sum += value;
      window.min = Math.min(window.min, value);
      window.max = Math.max(window.max, value);
    }
  }
  return windows;
}

/** The first time that a block has of a metric, of windows the end; Infinity if it has none. */
export async function firstTimeOf(block: Block, metric: string): Promise<number> {
  let first = Number.POSITIVE_INFINITY;
  for await (const batch of streamSeries(block)) {
    for (const { labels, chunks } of batch) {
      if (labels.get('__name__') !== metric) continue;
      for (const { mint } of chunks) first = Math.min(first, mint);
    }
  }
  return first;
}
