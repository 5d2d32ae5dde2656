import {
  addHistograms,
  CounterReset,
  detectReset,
  equalBounds,
  reduceResolution,
  subtractHistograms,
  usesCustomBuckets,
  withCounterReset,
} from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { assert, CorruptionError } from '#/lib/errors.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import { HistogramEncoder, HistogramFlag } from '#/tsdb/chunk-encoder.ts';
import { windowEnd } from './chunk-count.ts';

/** Aggregates of native histograms over one window. */
export interface HistogramWindow {
  readonly end: number;
  readonly count: number;
  readonly sum: FloatHistogram;
  /** The running total since the start of the batch, resets made up for. */
  readonly counter: FloatHistogram;
}

/**
 * The aggregates of a batch of histograms that are alike (`areAlike`), at least one. All are brought to
 * the coarsest schema among them, for a chunk has one. No window ends after the last sample.
 */
export function aggregateHistograms(
  times: Float64Array,
  histograms: readonly FloatHistogram[],
  resolutionMs: number,
): HistogramWindow[] {
  const windows: HistogramWindow[] = [];
  const schema = Math.min(...histograms.map((histogram) => histogram.schema));
  const lastTime = times[histograms.length - 1]!;
  let end = Number.NEGATIVE_INFINITY;
  let count = 0;
  let sum: FloatHistogram | undefined;
  let counter: FloatHistogram | undefined;
  let previous: FloatHistogram | undefined;
  for (const [i, original] of histograms.entries()) {
    const time = times[i]!;
    if (time > end) {
      if (sum !== undefined && counter !== undefined) windows.push({ end, count, sum, counter });
      end = Math.min(windowEnd(time, resolutionMs), lastTime);
      count = 0;
      sum = undefined;
    }
    const histogram = original.schema > schema ? reduceResolution(original, schema) : original;
    counter =
      counter === undefined || previous === undefined
        ? histogram
        : added(counter, increase(original, histogram, previous));
    sum = sum === undefined ? histogram : added(sum, histogram);
    previous = histogram;
    count++;
  }
  assert(sum !== undefined && counter !== undefined, 'a batch has a sample');
  windows.push({ end, count, sum, counter });
  return windows;
}

/** A rise of the resolution counts as a reset, so the sample is looked at before it was reduced. */
function increase(
  original: FloatHistogram,
  histogram: FloatHistogram,
  previous: FloatHistogram,
): FloatHistogram {
  const isGauge = original.counterReset === CounterReset.Gauge;
  if (!isGauge && detectReset(original, previous)) return histogram;
  const difference = subtractHistograms(histogram, previous);
  assert(difference !== undefined, 'histograms of a batch are alike');
  return difference.histogram;
}

function added(a: FloatHistogram, b: FloatHistogram): FloatHistogram {
  const sum = addHistograms(a, b);
  assert(sum !== undefined, 'histograms of a batch are alike');
  return sum.histogram;
}

/**
 * Whether two histograms can be aggregated into one chunk: both or neither are gauges, and their zero
 * buckets and kinds of buckets are the same.
 */
export function areAlike(a: FloatHistogram, b: FloatHistogram): boolean {
  return (
    (a.counterReset === CounterReset.Gauge) === (b.counterReset === CounterReset.Gauge) &&
    a.zeroThreshold === b.zeroThreshold &&
    usesCustomBuckets(a) === usesCustomBuckets(b) &&
    equalBounds(a.customValues, b.customValues)
  );
}

/** Sums as a gauge, since they may fall from window to window. */
export function encodeSums(windows: readonly HistogramWindow[]): EncodedChunk {
  return encode(windows, ({ sum }) => withCounterReset(sum, CounterReset.Gauge));
}

export function encodeCounters(
  windows: readonly HistogramWindow[],
  isGauge: boolean,
): EncodedChunk {
  const hint = isGauge ? CounterReset.Gauge : CounterReset.Unknown;
  return encode(windows, ({ counter }) => withCounterReset(counter, hint));
}

function encode(
  windows: readonly HistogramWindow[],
  choose: (window: HistogramWindow) => FloatHistogram,
): EncodedChunk {
  const encoder = new HistogramEncoder({ float: true, startTimes: false }, HistogramFlag.NotReset);
  for (const window of windows) {
    // A running total does not fall, unless a chunk says of a histogram that fell that it did not.
    if (encoder.append(window.end, choose(window)) === undefined) continue;
    throw new CorruptionError(
      `native histogram up to ${window.end}: its counts fall within a chunk that is marked as without resets`,
    );
  }
  return { encoding: ChunkEncoding.FloatHistogram, data: encoder.toBytes() };
}
