import {
  addHistograms,
  CounterReset,
  detectReset,
  scaleHistogram,
  subtractHistograms,
  withCounterReset,
} from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { windowStart } from './resolution.ts';
import type { TimeRange } from './time-range.ts';

/** Downsampled samples that are further apart than a query can see. */
export interface Spreading {
  /** The length of the windows that the samples stand for. */
  readonly resolutionMs: number;
  /** How far apart samples may be, so that the query sees two in its range. */
  readonly spacingMs: number;
}

/** No closer than samples are usually scraped: shorter ranges see nothing in raw data either. */
const LEAST_SPACING_MS = 15_000;

/** How to read windows so that a query sees two samples in `rangeMs`; `undefined` if it does anyway. */
export function spreadingFor(resolutionMs: number, rangeMs: number): Spreading | undefined {
  if (resolutionMs <= rangeMs / 2) return undefined;
  return { resolutionMs, spacingMs: Math.max(LEAST_SPACING_MS, Math.floor(rangeMs / 2)) };
}

/**
 * Appends the samples of downsampled windows, each repeated evenly over its window, as far as they
 * lie in `[mint, maxt]`. A value that adds up over time, like a sum or a count, is divided among
 * the repetitions, and so is how many scrapes it stands for: sums over any range are then what
 * an even flow would have made them, and never a whole window's worth at one instant.
 */
export function spreadWindows(
  windows: SampleBuffer,
  { resolutionMs, spacingMs }: Spreading,
  addsUp: boolean,
  { mint, maxt }: TimeRange,
  into: SampleBuffer,
): void {
  for (let i = 0; i < windows.length; i++) {
    const end = windows.times[i]!;
    const before = windowStart(end, resolutionMs) - 1;
    const pieces = Math.max(1, Math.ceil((end - before) / spacingMs));
    const share = addsUp ? 1 / pieces : 1;
    const histogram = windows.histograms?.[i];
    const part = histogram && (addsUp ? scaleHistogram(histogram, share) : histogram);
    const count = (windows.counts?.[i] ?? 1) / pieces;
    for (let piece = 1; piece <= pieces; piece++) {
      const time = between(before, end, piece / pieces);
      if (time < mint || time > maxt) continue;
      if (part === undefined) into.pushFloat(time, windows.values[i]! * share);
      else into.pushHistogram(time, part);
      into.setCount(into.length - 1, count);
    }
  }
}

/**
 * Appends the points of a running total from index `from` on, and between two that are in
 * neighbouring windows the points on the line from one to the other, as far as they lie in
 * `[mint, maxt]`. The rate over any range in between is then the mean rate between the two.
 */
export function spreadTotals(
  totals: SampleBuffer,
  from: number,
  { resolutionMs, spacingMs }: Spreading,
  { mint, maxt }: TimeRange,
  into: SampleBuffer,
): void {
  for (let i = from; i < totals.length; i++) {
    const end = totals.times[i]!;
    const start = i === 0 ? end : totals.times[i - 1]!;
    const pieces = end - start > 2 * resolutionMs ? 1 : Math.ceil((end - start) / spacingMs);
    for (let piece = 1; piece < pieces; piece++) {
      const time = between(start, end, piece / pieces);
      if (time >= mint && time <= maxt) pushBetween(totals, i, piece / pieces, time, into);
    }
    if (end >= mint && end <= maxt) into.pushFrom(totals, i);
  }
}

/** The point on the line from sample `i - 1` to sample `i`; none where the line makes no sense. */
function pushBetween(
  totals: SampleBuffer,
  i: number,
  share: number,
  time: number,
  into: SampleBuffer,
): void {
  const last = totals.histograms?.[i];
  const first = totals.histograms?.[i - 1];
  if (first !== undefined && last !== undefined) {
    const histogram = histogramBetween(first, last, share);
    if (histogram !== undefined) into.pushHistogram(time, histogram);
  } else if (first === last) {
    const start = totals.values[i - 1]!;
    const end = totals.values[i]!;
    // A rounding upwards would be followed by a fall, which is a reset to whoever reads a counter.
    into.pushFloat(time, Math.min(start + (end - start) * share, end));
  }
}

function histogramBetween(
  first: FloatHistogram,
  last: FloatHistogram,
  share: number,
): FloatHistogram | undefined {
  if (detectReset(last, first)) return undefined;
  const growth = subtractHistograms(last, first)?.histogram;
  if (growth === undefined) return undefined;
  const sum = addHistograms(first, scaleHistogram(growth, share))?.histogram;
  return sum && withCounterReset(sum, CounterReset.Unknown);
}

/** In whole milliseconds. */
function between(start: number, end: number, share: number): number {
  return Math.round(start + (end - start) * share);
}
