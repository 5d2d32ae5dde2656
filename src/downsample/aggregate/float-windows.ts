import { halvesOf } from '#/model/stale.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import { XorEncoder } from '#/tsdb/chunk-encoder.ts';
import { windowEnd } from './chunk-count.ts';

/** Columns of a window's aggregates, each a lane of the chunk to be. */
type Aggregate = 'counts' | 'sums' | 'mins' | 'maxs';

/**
 * Aggregates of floats over windows, as columns that are reused from batch to batch: the windows are
 * in slots 1 to `length`. The slots around them belong to the counter's lane alone.
 */
export class FloatWindows {
  length = 0;
  #ends = new Float64Array(0);
  #counts = new Column(0);
  #sums = new Column(0);
  #mins = new Column(0);
  #maxs = new Column(0);
  /** The running total since the start of the batch, resets made up for. */
  #counters = new Column(0);
  readonly #encoder = new XorEncoder();

  /** The end of the first window and of the last. */
  get mint(): number {
    return this.#ends[1]!;
  }

  get maxt(): number {
    return this.#ends[this.length]!;
  }

  /**
   * Replaces the columns by the aggregates of samples `[from, to)`, at least one. No window ends after
   * the last sample: a later batch may go on within it.
   */
  aggregate(
    times: Float64Array,
    values: Float64Array,
    [from, to]: readonly [number, number],
    resolutionMs: number,
  ): void {
    const lastTime = times[to - 1]!;
    this.#reserve(to - from);
    const ends = this.#ends;
    const counts = this.#counts.values;
    const sums = this.#sums.values;
    const mins = this.#mins.values;
    const maxs = this.#maxs.values;
    const counters = this.#counters.values;
    let window = 0;
    let counter = 0;
    let last = 0;
    for (let i = from; i < to;) {
      const end = Math.min(windowEnd(times[i]!, resolutionMs), lastTime);
      const start = i;
      let sum = 0;
      // As upstream has it: a window of nothing but +Inf has this as its minimum.
      let min = Number.MAX_VALUE;
      let max = -Number.MAX_VALUE;
      do {
        const value = values[i]!;
        counter += value < last ? value : value - last;
        last = value;
        sum += value;
        if (value < min) min = value;
        if (value > max) max = value;
        i++;
      } while (i < to && times[i]! <= end);
      window++;
      ends[window] = end;
      counts[window] = i - start;
      sums[window] = sum;
      mins[window] = min;
      maxs[window] = max;
      counters[window] = counter;
    }
    this.length = window;
  }

  /** Replaces the columns by windows of which only the numbers of samples matter. */
  setCounts(windows: {
    readonly ends: Float64Array;
    readonly counts: Float64Array;
    readonly length: number;
  }): void {
    const { length } = windows;
    this.#reserve(length);
    this.#ends.set(windows.ends.subarray(0, length), 1);
    this.#counts.values.set(windows.counts.subarray(0, length), 1);
    this.length = length;
  }

  /** Forgets the chunks encoded so far, whose memory it takes for the next. */
  beginChunk(): void {
    this.#encoder.clear();
  }

  /** The column as an XOR chunk, good until `beginChunk`. */
  encode(aggregate: Aggregate): EncodedChunk {
    return this.#encode(this.#columnOf(aggregate), 1, this.length + 1);
  }

  /**
   * The counters as a chunk that begins with the first raw sample and ends with the last raw value,
   * at the time of the last window, from which the next chunk's reader tells a reset between them.
   */
  encodeCounter(first: { time: number; value: number }, lastValue: number): EncodedChunk {
    const { values } = this.#counters;
    const end = this.length + 1;
    this.#ends[0] = first.time;
    values[0] = first.value;
    this.#ends[end] = this.maxt;
    values[end] = lastValue;
    return this.#encode(this.#counters, 0, end + 1);
  }

  #encode({ halves }: Column, from: number, to: number): EncodedChunk {
    const data = this.#encoder.encode(this.#ends, halves, from, to);
    return { encoding: ChunkEncoding.Xor, data };
  }

  #columnOf(aggregate: Aggregate): Column {
    if (aggregate === 'counts') return this.#counts;
    if (aggregate === 'sums') return this.#sums;
    return aggregate === 'mins' ? this.#mins : this.#maxs;
  }

  /** Makes room for windows and the slots around them. */
  #reserve(windows: number): void {
    const slots = windows + 2;
    if (slots <= this.#ends.length) return;
    const capacity = Math.max(256, 2 * slots);
    this.#ends = new Float64Array(capacity);
    this.#counts = new Column(capacity);
    this.#sums = new Column(capacity);
    this.#mins = new Column(capacity);
    this.#maxs = new Column(capacity);
    this.#counters = new Column(capacity);
  }
}

class Column {
  readonly values: Float64Array;
  readonly halves: Int32Array;

  constructor(capacity: number) {
    this.values = new Float64Array(capacity);
    this.halves = halvesOf(this.values);
  }
}
