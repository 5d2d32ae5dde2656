import type { FloatHistogram } from '#/model/histogram.ts';
import { halvesOf, isStale, isStaleNaN, setStale } from '#/model/stale.ts';

/**
 * The samples of one series as columns, in strictly increasing time order. One buffer is reused for
 * series after series: `clear()` keeps the memory. Sample i is a float unless `histograms[i]` is set.
 */
export class SampleBuffer {
  /** Milliseconds. Only the first `length` entries count, here and below. */
  times: Float64Array;
  values: Float64Array;
  /** The halves of `values`, for bit-exact access to NaNs (see model/stale.ts). */
  halves: Int32Array;
  /** `undefined` while the series has floats only. A slot of a float sample is `undefined`. */
  histograms: (FloatHistogram | undefined)[] | undefined;
  /** Start timestamps in milliseconds, 0 for unknown; `undefined` while no sample has one. */
  startTimes: Float64Array | undefined;
  /**
   * How many scraped samples each sample stands for, as a downsampled one does: a fraction where
   * one was spread out. `undefined` while each stands for itself.
   */
  counts: Float64Array | undefined;
  length = 0;

  constructor(capacity = 1024) {
    this.times = new Float64Array(capacity);
    this.values = new Float64Array(capacity);
    this.halves = halvesOf(this.values);
  }

  clear(): void {
    this.length = 0;
    this.histograms = undefined;
    this.startTimes = undefined;
    this.counts = undefined;
  }

  /** Makes room for `more` samples behind the present ones; the columns may be replaced. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.times.length) return;
    const capacity = Math.max(needed, this.times.length * 2);
    this.times = grown(this.times, this.length, capacity);
    const values = new Float64Array(capacity);
    // Halves, not doubles: copying numbers might lose the bits of a NaN.
    const halves = halvesOf(values);
    halves.set(this.halves.subarray(0, this.length * 2));
    this.values = values;
    this.halves = halves;
    if (this.startTimes !== undefined) {
      this.startTimes = grown(this.startTimes, this.length, capacity);
    }
    if (this.counts !== undefined) this.counts = grown(this.counts, this.length, capacity);
  }

  /** A stale marker gets its true bits even if the number on its way here has lost one. */
  pushFloat(time: number, value: number): void {
    this.reserve(1);
    this.times[this.length] = time;
    this.values[this.length] = value;
    if (value !== value && isStale(this.halves, this.length)) setStale(this.halves, this.length);
    if (this.histograms !== undefined) this.histograms[this.length] = undefined;
    if (this.counts !== undefined) this.counts[this.length] = 1;
    this.length++;
  }

  /** Whether the sample is a stale marker, of a float or of a histogram. */
  isStaleAt(index: number): boolean {
    const histogram = this.histograms?.[index];
    return histogram === undefined ? isStale(this.halves, index) : isStaleNaN(histogram.sum);
  }

  pushHistogram(time: number, histogram: FloatHistogram): void {
    this.reserve(1);
    this.times[this.length] = time;
    this.values[this.length] = 0;
    this.histograms ??= [];
    this.histograms[this.length] = histogram;
    if (this.counts !== undefined) this.counts[this.length] = 1;
    this.length++;
  }

  /** Gives the sample at `index` a start timestamp. */
  setStartTime(index: number, startTime: number): void {
    if (this.startTimes === undefined) {
      if (startTime === 0) return;
      this.startTimes = new Float64Array(this.times.length);
    }
    this.startTimes[index] = startTime;
  }

  /** Makes the sample at `index`, the newest, stand for `count` scraped ones. */
  setCount(index: number, count: number): void {
    if (this.counts === undefined) {
      if (count === 1) return;
      this.counts = new Float64Array(this.times.length).fill(1);
    }
    this.counts[index] = count;
  }

  /** Copies sample `index` of `other` to the end of this buffer, bit for bit. */
  pushFrom(other: SampleBuffer, index: number): void {
    const histogram = other.histograms?.[index];
    if (histogram !== undefined) {
      this.pushHistogram(other.times[index]!, histogram);
    } else {
      this.pushFloat(other.times[index]!, 0);
      const to = 2 * (this.length - 1);
      this.halves[to] = other.halves[2 * index]!;
      this.halves[to + 1] = other.halves[2 * index + 1]!;
    }
    const startTime = other.startTimes?.[index] ?? 0;
    if (startTime !== 0 || this.startTimes !== undefined) {
      this.setStartTime(this.length - 1, startTime);
    }
    this.setCount(this.length - 1, other.counts?.[index] ?? 1);
  }

  /** Copies samples `[from, end)` of `other` to the end of this buffer, bit for bit. */
  pushRange(other: SampleBuffer, from: number, end: number): void {
    const { histograms, startTimes, counts } = other;
    if (histograms !== undefined || startTimes !== undefined || counts !== undefined) {
      for (let i = from; i < end; i++) this.pushFrom(other, i);
      return;
    }
    const start = this.length;
    this.reserve(end - from);
    this.times.set(other.times.subarray(from, end), start);
    this.halves.set(other.halves.subarray(2 * from, 2 * end), 2 * start);
    this.length = start + end - from;
    this.histograms?.fill(undefined, start, this.length);
    this.startTimes?.fill(0, start, this.length);
    this.counts?.fill(1, start, this.length);
  }
}

function grown(column: Float64Array, length: number, capacity: number): Float64Array {
  const larger = new Float64Array(capacity);
  larger.set(column.subarray(0, length));
  return larger;
}
