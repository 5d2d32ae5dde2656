import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { halvesOf, isStale, setStale } from '#/model/stale.ts';
import { countBuckets, emptyLayout, HistogramFlag } from './chunk/histogram-layout.ts';
import type { HistogramLayout } from './chunk/histogram-layout.ts';

export { spanIndexes, spansOf, unionIndexes } from './chunk/bucket-indexes.ts';
export { reduceSpans } from './chunk/reduce-schema.ts';
export type { HistogramLayout } from './chunk/histogram-layout.ts';

/** A row begins with count, zero count and sum; the buckets follow, the positive ones first. */
export const COUNT = 0;
export const ZERO_COUNT = 1;
export const SUM = 2;
export const BUCKETS = 3;

/** Rows of one chunk in a row. */
export interface HistogramGroup {
  readonly layout: HistogramLayout;
  readonly flag: HistogramFlag;
  /** Rows `[from, to)`. */
  readonly from: number;
  to: number;
  /** Where the first row begins among the values, and how many values a row has. */
  readonly at: number;
  readonly stride: number;
  /** Whether the first row is the chunk's first sample. */
  beginsChunk: boolean;
}

/**
 * Native histograms of one series as rows of numbers, where an object for each would cost more than
 * all that is done with it. Integer counts are doubles here. Stale samples are groups of their own,
 * without buckets. Reused: `clear()` keeps the memory.
 */
export class HistogramRows {
  times = new Float64Array(128);
  /** `undefined` while no sample has a start timestamp; else 0 for unknown. */
  startTimes: Float64Array | undefined;
  values = new Float64Array(4096);
  /** The halves of `values`. */
  halves = halvesOf(this.values);
  readonly groups: HistogramGroup[] = [];
  length = 0;
  /** How many of the values are taken. */
  #used = 0;

  clear(): void {
    this.length = 0;
    this.#used = 0;
    this.groups.length = 0;
    this.startTimes = undefined;
  }

  /** Begins a group without rows. */
  beginGroup(layout: HistogramLayout, flag: HistogramFlag, beginsChunk: boolean): HistogramGroup {
    const buckets = countBuckets(layout.positiveSpans) + countBuckets(layout.negativeSpans);
    const group: HistogramGroup = {
      layout,
      flag,
      from: this.length,
      to: this.length,
      at: this.#used,
      stride: BUCKETS + buckets,
      beginsChunk,
    };
    this.groups.push(group);
    return group;
  }

  /** Adds a row to the last group and returns where it begins among the values, which are to be set. */
  addRow(group: HistogramGroup, time: number): number {
    const at = this.#used;
    this.#reserve(group.stride);
    this.times[this.length++] = time;
    this.#used += group.stride;
    group.to++;
    return at;
  }

  addStale(time: number): void {
    const at = this.addRow(this.beginGroup(emptyLayout, HistogramFlag.Unknown, true), time);
    this.values.fill(0, at, at + BUCKETS);
    setStale(this.halves, at + SUM);
  }

  /** Keeps only some of the rows from group `first` on, which have no start timestamps. */
  retain(first: number, keeps: (group: HistogramGroup, row: number) => boolean): void {
    const groups = this.groups.splice(first);
    this.length = groups[0]?.from ?? this.length;
    this.#used = groups[0]?.at ?? this.#used;
    for (const old of groups) {
      let group: HistogramGroup | undefined;
      for (let row = old.from; row < old.to; row++) {
        if (!keeps(old, row)) continue;
        group ??= this.beginGroup(old.layout, old.flag, old.beginsChunk && row === old.from);
        const start = this.valuesAt(old, row);
        const at = this.addRow(group, this.times[row]!);
        this.values.copyWithin(at, start, start + old.stride);
      }
    }
  }

  setStartTime(row: number, startTime: number): void {
    if (this.startTimes === undefined) {
      if (startTime === 0) return;
      this.startTimes = new Float64Array(this.times.length);
    }
    this.startTimes[row] = startTime;
  }

  /** Where a row of the group begins among the values. */
  valuesAt({ from, at, stride }: HistogramGroup, row: number): number {
    return at + (row - from) * stride;
  }

  isStaleAt(group: HistogramGroup, row: number): boolean {
    return isStale(this.halves, this.valuesAt(group, row) + SUM);
  }

  /** What its chunk says of a row: the chunk before may be missing, so nothing of its first one. */
  hintAt({ flag, from, beginsChunk }: HistogramGroup, row: number): CounterReset {
    if (flag === HistogramFlag.Gauge) return CounterReset.Gauge;
    return row === from && beginsChunk ? CounterReset.Unknown : CounterReset.No;
  }

  /** A row as a value of its own. */
  histogramAt(group: HistogramGroup, row: number): FloatHistogram {
    const { schema, zeroThreshold, positiveSpans, negativeSpans, customValues } = group.layout;
    const at = this.valuesAt(group, row);
    const negatives = at + BUCKETS + countBuckets(positiveSpans);
    return {
      counterReset: this.hintAt(group, row),
      schema,
      zeroThreshold,
      zeroCount: this.values[at + ZERO_COUNT]!,
      count: this.values[at + COUNT]!,
      sum: this.values[at + SUM]!,
      positiveSpans,
      positiveBuckets: this.values.slice(at + BUCKETS, negatives),
      negativeSpans,
      negativeBuckets: this.values.slice(negatives, at + group.stride),
      customValues,
    };
  }

  /** Makes room for a row. */
  #reserve(values: number): void {
    if (this.length === this.times.length) {
      this.times = grown(this.times, 2 * this.length);
      if (this.startTimes !== undefined) this.startTimes = grown(this.startTimes, 2 * this.length);
    }
    if (this.#used + values <= this.values.length) return;
    const larger = new Float64Array(Math.max(this.#used + values, 2 * this.values.length));
    const halves = halvesOf(larger);
    // Halves, not doubles: copying numbers might lose the bits of a NaN.
    halves.set(this.halves.subarray(0, 2 * this.#used));
    this.values = larger;
    this.halves = halves;
  }
}

function grown(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}
