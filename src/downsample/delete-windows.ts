import { SampleBuffer } from '#/storage/sample-buffer.ts';
import {
  ChunkEncoding,
  decodeChunk,
  decodeHistogramChunk,
  isHistogramEncoding,
} from '#/tsdb/chunk.ts';
import type { EncodedChunk, TimedChunk } from '#/tsdb/chunk.ts';
import { encodeHistogramRows, encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { HistogramRows } from '#/tsdb/histogram-rows.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import { lanes, readAggregateChunk, writeAggregateChunk } from './aggregate-chunk.ts';
import type { Lane } from './aggregate-chunk.ts';

/**
 * Whether a window of a downsampled series goes when `deleted` (in time order, apart) does. Its
 * sample at `end` stands for the raw ones since the last multiple of the resolution, and they cannot be told
 * apart any more, so it goes only as a whole: when all of that time is deleted. `deletionWithin` makes
 * whole windows of what users ask for.
 */
export function isWindowDeleted(
  end: number,
  deleted: readonly Interval[],
  resolutionMs: number,
): boolean {
  const start = Math.floor(end / resolutionMs) * resolutionMs;
  return deleted.some(({ mint, maxt }) => mint <= start && maxt >= end);
}

/**
 * A downsampled chunk without the windows that `deleted` takes (`isWindowDeleted`): the chunk itself if
 * that is none, `undefined` if that is all. The counter goes on across a hole as if its windows were there:
 * increases over what is left stay as they were.
 * @throws CorruptionError if the chunk is damaged.
 */
export function withoutWindows(
  chunk: TimedChunk,
  deleted: readonly Interval[],
  resolutionMs: number,
): TimedChunk | undefined {
  const touching = deleted.filter(({ mint, maxt }) => mint <= chunk.maxt && maxt >= chunk.mint);
  if (touching.length === 0) return chunk;
  const isKept = (end: number) => !isWindowDeleted(end, touching, resolutionMs);
  const found = readAggregateChunk(chunk.data);
  const decoded = lanes.flatMap((lane) => {
    const part = found[lane];
    return part === undefined ? [] : [{ lane, part, samples: decode(part) }];
  });
  // The counter lane begins with a raw sample, so the ends of windows are those of the others.
  const ends = decoded.find(({ lane }) => lane !== 'counter')?.samples ?? decoded[0]?.samples;
  const all = ends === undefined ? [] : [...ends.times.subarray(0, ends.length)];
  const kept = all.filter(isKept);
  if (kept.length === all.length) return chunk;
  if (kept.length === 0) return undefined;
  const left: { [lane in Lane]?: EncodedChunk } = {};
  for (const { lane, part, samples } of decoded) {
    const isCounter = lane === 'counter';
    if (isHistogramEncoding(part.encoding)) left[lane] = keepHistograms(part, isKept);
    else
      left[lane] = isCounter
        ? keepCounter(samples, isKept, isKept(all[0]!))
        : keepFloats(samples, isKept);
  }
  return {
    encoding: ChunkEncoding.Aggregate,
    mint: kept[0]!,
    maxt: kept.at(-1)!,
    data: writeAggregateChunk(left),
  };
}

function decode(part: EncodedChunk): SampleBuffer {
  const samples = new SampleBuffer(256);
  decodeChunk(part, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, samples);
  return samples;
}

function keepFloats(samples: SampleBuffer, isKept: (end: number) => boolean): EncodedChunk {
  const kept = new SampleBuffer(samples.length);
  for (let i = 0; i < samples.length; i++) {
    if (isKept(samples.times[i]!)) kept.pushFloat(samples.times[i]!, samples.values[i]!);
  }
  return encodeFloats(kept);
}

/**
 * The lane is the first raw sample, the running total at each window's end, and at the last one's once
 * more the counter's own value. Where the last windows go, that value is moved back by what it rose in them.
 */
function keepCounter(
  samples: SampleBuffer,
  isKept: (end: number) => boolean,
  keepsFirst: boolean,
): EncodedChunk {
  const { times, values, length } = samples;
  const last = length - 1;
  const hasOwn = last > 0 && times[last] === times[last - 1];
  const left = new SampleBuffer(length);
  const totals = hasOwn ? last : length;
  for (let i = 0; i < totals; i++) {
    if (i === 0 ? keepsFirst : isKept(times[i]!)) left.pushFloat(times[i]!, values[i]!);
  }
  if (hasOwn && left.length > 0) {
    const rise = values[last - 1]! - left.values[left.length - 1]!;
    left.pushFloat(left.times[left.length - 1]!, values[last]! - rise);
  }
  return encodeFloats(left);
}

function keepHistograms(part: EncodedChunk, isKept: (end: number) => boolean): EncodedChunk {
  const rows = new HistogramRows();
  decodeHistogramChunk(part, rows);
  rows.retain(0, (_, row) => isKept(rows.times[row]!));
  const { times, values, length } = rows;
  const { layout, flag, at, stride } = rows.groups[0]!;
  const kept = values.subarray(at, at + length * stride);
  return encodeHistogramRows(layout, flag, times.subarray(0, length), kept);
}

function encodeFloats(samples: SampleBuffer): EncodedChunk {
  return encodeSamples(samples, { samplesPerChunk: 0xffff })[0]!;
}
