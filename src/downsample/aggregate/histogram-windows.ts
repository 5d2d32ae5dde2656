import {
  CounterReset,
  CUSTOM_BUCKETS_SCHEMA,
  detectReset,
  equalBounds,
  reduceResolution,
} from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import { encodeHistogramRows, HistogramFlag } from '#/tsdb/chunk-encoder.ts';
import { BUCKETS, SUM } from '#/tsdb/histogram-rows.ts';
import type { HistogramGroup, HistogramRows } from '#/tsdb/histogram-rows.ts';
import { windowEnd } from './chunk-count.ts';
import { commonLayout } from './common-layout.ts';
import type { CommonLayout } from './common-layout.ts';

/** Rows `[from, to)` of a group, at least one. */
export interface RowRange {
  readonly group: HistogramGroup;
  readonly from: number;
  readonly to: number;
}

/**
 * The rows `[from, to)` whose sums are numbers, cut where they cannot be aggregated into one chunk
 * (`areAlike`).
 */
export function* alikeRanges(
  rows: HistogramRows,
  from: number,
  to: number,
): Generator<RowRange[], void> {
  let alike: RowRange[] = [];
  for (const range of rangesOf(rows, from, to)) {
    const last = alike.at(-1);
    if (last !== undefined && !areAlike(last.group, range.group)) {
      yield alike;
      alike = [];
    }
    alike.push(range);
  }
  if (alike.length > 0) yield alike;
}

export function wholeRanges({ groups }: HistogramRows): RowRange[] {
  return groups.map((group) => ({ group, from: group.from, to: group.to }));
}

function* rangesOf(rows: HistogramRows, from: number, to: number): Generator<RowRange, void> {
  for (const group of rows.groups) {
    const end = Math.min(to, group.to);
    let start = Math.max(from, group.from);
    for (let row = start; row < end; row++) {
      if (!Number.isNaN(rows.values[rows.valuesAt(group, row) + SUM]!)) continue;
      if (row > start) yield { group, from: start, to: row };
      start = row + 1;
    }
    if (end > start) yield { group, from: start, to: end };
  }
}

/**
 * Whether the histograms of two groups can be aggregated into one chunk: both or neither are gauges,
 * and their zero buckets and kinds of buckets are the same.
 */
export function areAlike(
  a: Pick<HistogramGroup, 'layout' | 'flag'>,
  b: Pick<HistogramGroup, 'layout' | 'flag'>,
): boolean {
  if (a.layout === b.layout) return true;
  return (
    isGauge(a) === isGauge(b) &&
    a.layout.zeroThreshold === b.layout.zeroThreshold &&
    isCustom(a) === isCustom(b) &&
    equalBounds(a.layout.customValues, b.layout.customValues)
  );
}

function isGauge({ flag }: Pick<HistogramGroup, 'flag'>): boolean {
  return flag === HistogramFlag.Gauge;
}

function isCustom({ layout }: Pick<HistogramGroup, 'layout'>): boolean {
  return layout.schema === CUSTOM_BUCKETS_SCHEMA;
}

/**
 * Aggregates of native histograms over windows, as rows of numbers in the layout that they have in
 * common: all are brought to the coarsest schema among them, for a chunk has one. Reused from batch to
 * batch.
 */
export class HistogramWindows {
  length = 0;
  ends = new Float64Array(0);
  /** Numbers of samples. */
  counts = new Float64Array(0);
  #sums = new Float64Array(0);
  /** The running totals since the start of the batch, resets made up for. */
  #counters = new Float64Array(0);
  #common: CommonLayout = commonLayout([], 0);
  #isGauge = false;

  /** The end of the first window and of the last. */
  get mint(): number {
    return this.ends[0]!;
  }

  get maxt(): number {
    return this.ends[this.length - 1]!;
  }

  /** Replaces the windows by those of rows that are alike. No window ends after the last sample. */
  aggregate(rows: HistogramRows, ranges: readonly RowRange[], resolutionMs: number): void {
    const first = ranges[0]!;
    const last = ranges.at(-1)!;
    const lastTime = rows.times[last.to - 1]!;
    const firstTime = rows.times[first.from]!;
    const firstEnd = Math.min(windowEnd(firstTime, resolutionMs), lastTime);
    const ahead = ranges.findIndex(({ from }) => rows.times[from]! > firstEnd);
    const inFirstWindow = ahead < 0 ? ranges.length : ahead;
    const common = commonLayout(
      ranges.map(({ group }) => group.layout),
      inFirstWindow,
    );
    this.#common = common;
    this.#isGauge = isGauge(first.group);
    this.#reserve(countWindows(rows.times, ranges, resolutionMs, lastTime), common.stride);
    this.#fold(rows, ranges, resolutionMs, lastTime);
  }

  #fold(
    rows: HistogramRows,
    ranges: readonly RowRange[],
    resolutionMs: number,
    lastTime: number,
  ): void {
    const { stride, taken, targets } = this.#common;
    const sums = this.#sums;
    const total = new Float64Array(stride);
    let current = new Float64Array(stride);
    let previous = new Float64Array(stride);
    let former: FloatHistogram | undefined;
    let window = -1;
    let end = Number.NEGATIVE_INFINITY;
    for (const [i, { group, from, to }] of ranges.entries()) {
      for (let row = from; row < to; row++) {
        load(rows, rows.valuesAt(group, row), group.stride, targets[i], current);
        const time = rows.times[row]!;
        const isFirst = window < 0;
        if (time > end) {
          if (!isFirst) this.#counters.set(total, window * stride);
          end = Math.min(windowEnd(time, resolutionMs), lastTime);
          window++;
          this.ends[window] = end;
          this.counts[window] = 1;
          sums.set(current, window * stride);
          if (isFirst) total.set(current);
          for (const column of taken) current[column] = 0;
        } else {
          for (const column of taken) current[column] = 0;
          this.counts[window]!++;
          for (let k = 0, at = window * stride; k < stride; k++) sums[at + k]! += current[k]!;
        }
        if (!isFirst) {
          // Only of a chunk's first sample it is not known.
          const isReset =
            rows.hintAt(group, row) === CounterReset.Unknown &&
            former !== undefined &&
            detectReset(rows.histogramAt(group, row), former);
          if (isReset) for (let k = 0; k < stride; k++) total[k]! += current[k]!;
          else for (let k = 0; k < stride; k++) total[k]! += current[k]! - previous[k]!;
        }
        [current, previous] = [previous, current];
      }
      former = reduceResolution(rows.histogramAt(group, to - 1), this.#common.layout.schema);
    }
    this.#counters.set(total, window * stride);
    this.length = window + 1;
  }

  /** Sums as a gauge, since they may fall from window to window. */
  encodeSums(): EncodedChunk {
    return this.#encode(this.#sums, HistogramFlag.Gauge);
  }

  encodeCounters(): EncodedChunk {
    if (this.#isGauge) return this.#encode(this.#counters, HistogramFlag.Gauge);
    this.#checkRising();
    return this.#encode(this.#counters, HistogramFlag.NotReset);
  }

  #encode(values: Float64Array, flag: HistogramFlag): EncodedChunk {
    const { layout, stride } = this.#common;
    const times = this.ends.subarray(0, this.length);
    return encodeHistogramRows(layout, flag, times, values.subarray(0, this.length * stride));
  }

  /** A running total does not fall, unless a chunk says of a histogram that fell that it did not. */
  #checkRising(): void {
    const { stride } = this.#common;
    const counters = this.#counters;
    for (let at = stride; at < this.length * stride; at++) {
      if (at % stride === SUM || !(counters[at]! < counters[at - stride]!)) continue;
      throw new CorruptionError(
        `native histogram up to ${this.ends[Math.floor(at / stride)]}: its counts fall within a chunk that is marked as without resets`,
      );
    }
  }

  #reserve(windows: number, stride: number): void {
    if (windows > this.ends.length) {
      this.ends = new Float64Array(2 * windows);
      this.counts = new Float64Array(2 * windows);
    }
    if (windows * stride > this.#sums.length) {
      this.#sums = new Float64Array(2 * windows * stride);
      this.#counters = new Float64Array(2 * windows * stride);
    }
  }
}

function countWindows(
  times: Float64Array,
  ranges: readonly RowRange[],
  resolutionMs: number,
  lastTime: number,
): number {
  let count = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of ranges) {
    for (let row = from; row < to; row++) {
      if (times[row]! <= end) continue;
      count++;
      end = Math.min(windowEnd(times[row]!, resolutionMs), lastTime);
    }
  }
  return count;
}

/** Copies a row to where its buckets are in the common layout. */
function load(
  { values }: HistogramRows,
  at: number,
  stride: number,
  target: Int32Array | undefined,
  into: Float64Array,
): void {
  if (target === undefined) {
    for (let k = 0; k < stride; k++) into[k] = values[at + k]!;
    return;
  }
  into.fill(0);
  for (let k = 0; k < BUCKETS; k++) into[k] = values[at + k]!;
  for (let k = BUCKETS; k < stride; k++) into[target[k - BUCKETS]!]! += values[at + k]!;
}
