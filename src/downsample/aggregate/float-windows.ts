import { halvesOf } from '#/model/stale.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import { XorEncoder } from '#/tsdb/chunk-encoder.ts';
import { windowEnd } from './chunk-count.ts';

/** Columns of a window's aggregates, each a lane of the chunk to be. */
type Column = 'counts' | 'sums' | 'mins' | 'maxs' | 'counters';

/**
 * Aggregates of floats over windows, as columns that are reused from batch to batch. `counters` is
 * the running total since the start of the batch, resets made up for.
 */
export class FloatWindows {
  length = 0;
  ends = new Float64Array(256);
  counts = new Float64Array(256);
  sums = new Float64Array(256);
  mins = new Float64Array(256);
  maxs = new Float64Array(256);
  counters = new Float64Array(256);
  readonly #encoder = new XorEncoder();

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
    let window = -1;
    let end = Number.NEGATIVE_INFINITY;
    let counter = 0;
    let last = 0;
    let count = 0;
    let sum = 0;
    let min = 0;
    let max = 0;
    for (let i = from; i < to; i++) {
      const time = times[i]!;
      const value = values[i]!;
      if (time > end) {
        if (window >= 0) this.#set(window, end, count, sum, min, max, counter);
        window++;
        end = Math.min(windowEnd(time, resolutionMs), lastTime);
        count = 0;
        sum = 0;
        // As upstream has it: a window of nothing but +Inf has this as its minimum.
        min = Number.MAX_VALUE;
        max = -Number.MAX_VALUE;
      }
      counter += i === from || value < last ? value : value - last;
      last = value;
      sum += value;
      count++;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.#set(window, end, count, sum, min, max, counter);
    this.length = window + 1;
  }

  /** Begins anew, for `push`. */
  clear(): void {
    this.length = 0;
  }

  /** Adds a window of which only the number of samples matters. */
  push(end: number, count: number): void {
    this.#set(this.length++, end, count, 0, 0, 0, 0);
  }

  /** The column as an XOR chunk. */
  encode(column: Column): EncodedChunk {
    const encoder = this.#encoder;
    encoder.clear();
    const halves = halvesOf(this[column]);
    for (let i = 0; i < this.length; i++) {
      encoder.append(this.ends[i]!, halves[2 * i + 1]!, halves[2 * i]!);
    }
    return { encoding: ChunkEncoding.Xor, data: encoder.toBytes() };
  }

  /**
   * The counters as a chunk that begins with the first raw sample and ends with the last raw value,
   * at the time of the last window, from which the next chunk's reader tells a reset between them.
   */
  encodeCounter(first: { time: number; value: number }, lastValue: number): EncodedChunk {
    const encoder = this.#encoder;
    encoder.clear();
    append(encoder, first.time, first.value);
    const halves = halvesOf(this.counters);
    for (let i = 0; i < this.length; i++) {
      encoder.append(this.ends[i]!, halves[2 * i + 1]!, halves[2 * i]!);
    }
    append(encoder, this.ends[this.length - 1]!, lastValue);
    return { encoding: ChunkEncoding.Xor, data: encoder.toBytes() };
  }

  #set(
    window: number,
    end: number,
    count: number,
    sum: number,
    min: number,
    max: number,
    counter: number,
  ): void {
    if (window >= this.ends.length) this.#grow();
    this.ends[window] = end;
    this.counts[window] = count;
    this.sums[window] = sum;
    this.mins[window] = min;
    this.maxs[window] = max;
    this.counters[window] = counter;
  }

  #grow(): void {
    const larger = (column: Float64Array) => {
      const grown = new Float64Array(2 * column.length);
      grown.set(column);
      return grown;
    };
    this.ends = larger(this.ends);
    this.counts = larger(this.counts);
    this.sums = larger(this.sums);
    this.mins = larger(this.mins);
    this.maxs = larger(this.maxs);
    this.counters = larger(this.counters);
  }
}

const one = new Float64Array(1);
const halvesOfOne = halvesOf(one);

function append(encoder: XorEncoder, time: number, value: number): void {
  one[0] = value;
  encoder.append(time, halvesOfOne[1]!, halvesOfOne[0]!);
}
